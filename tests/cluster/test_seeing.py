"""A worker notices when it does not see what the command sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from transrec.cluster.seeing import Ground
from transrec.errors import ClusterError, DataError


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "dataset.json").write_text('{"name": "garden"}')
    return folder


def test_a_worker_stands_where_the_command_was_given(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = Ground.under(["data", "sentence-transformers/a-name-of-the-hub"])
    assert list(ground.digests) == [str(data / "dataset.json")]
    monkeypatch.chdir("/")
    ground.stand()
    assert Path.cwd() == data.parent


def test_a_folder_that_is_not_there_is_named(data: Path) -> None:
    ground = Ground.under([data])
    (data / "dataset.json").unlink()
    with pytest.raises(ClusterError, match=rf"a worker on \S+ sees another folder than the command does at {data}"):
        ground.stand()
    data.rmdir()
    with pytest.raises(ClusterError, match=rf"a worker on \S+ cannot see the folder {data}(.|\n)*mounted at the same path"):
        ground.stand()
    with pytest.raises(ClusterError, match="cannot see the folder in which the command was given /nowhere"):
        replace(ground, folder="/nowhere").stand()


def test_another_dataset_at_the_same_place_is_noticed(data: Path) -> None:
    ground = Ground.under([data])
    (data / "dataset.json").write_text('{"name": "kitchen"}')
    with pytest.raises(ClusterError, match=r"finds another dataset\.json than the command does in"):
        ground.stand()


def test_what_is_written_is_marked_for_as_long_as_it_takes(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "one"
    with Ground.under([data]).writing(out) as ground:
        ground.stand()
        assert not out.exists()
        [mark] = out.parent.iterdir()
        mark.unlink()
        with pytest.raises(ClusterError, match="sees another folder than the command does at"):
            ground.stand()
    assert not list(out.parent.iterdir())
    ground.writing(out)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"), ground.writing(tmp_path / "file" / "run"):
        pass
