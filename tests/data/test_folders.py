"""Folders that are made once."""

import threading
from pathlib import Path

import pytest

from transrec.data.folders import grown_once, made_once
from transrec.errors import DataError


def test_made_once_and_then_found(tmp_path: Path):
    calls = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "text").write_text("made")

    for _ in range(2):
        assert (made_once(tmp_path / "below" / "it", make) / "text").read_text() == "made"
    assert len(calls) == 1
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["it"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_half_made_one_leaves_nothing(tmp_path: Path, error: type[BaseException]):
    def make(folder: Path) -> None:
        (folder / "text").write_text("half")
        raise error

    with pytest.raises(error):
        made_once(tmp_path / "it", make)
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_make_the_same_the_first_wins(tmp_path: Path):
    def make(folder: Path) -> None:
        (folder / "text").write_text("second")
        (tmp_path / "it").mkdir()
        (tmp_path / "it" / "text").write_text("first")

    assert (made_once(tmp_path / "it", make) / "text").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_grown_once_goes_on_from_what_an_interrupt_left(tmp_path: Path):
    found = []

    def make(folder: Path) -> None:
        found.append(sorted(path.name for path in folder.iterdir()))
        (folder / f"part {len(found)}").write_text("made")
        if len(found) < 3:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            grown_once(tmp_path / "it", make)
        assert not (tmp_path / "it").exists()
    for _ in range(2):
        grown_once(tmp_path / "it", make)
    assert found == [[], ["part 1"], ["part 1", "part 2"]]
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_an_error_that_would_come_again_leaves_nothing(tmp_path: Path):
    def make(folder: Path) -> None:
        (folder / "text").write_text("half")
        raise DataError("item 7 cannot be read")

    with pytest.raises(DataError):
        grown_once(tmp_path / "it", make)
    assert list(tmp_path.iterdir()) == []


def test_of_several_one_works_and_the_others_wait(tmp_path: Path):
    calls, together, found = [], threading.Barrier(4), []

    def make(folder: Path) -> None:
        calls.append(folder)
        threading.Event().wait(0.2)
        (folder / "text").write_text("made")

    def ask() -> None:
        together.wait()
        found.append((grown_once(tmp_path / "it", make) / "text").read_text())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["made"] * 4 and len(calls) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_where_folders_cannot_be_locked_it_is_made_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr("fcntl.flock", refuse)
    made = grown_once(tmp_path / "it", lambda folder: (folder / "text").write_text("made") and None)
    assert (made / "text").read_text() == "made"
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
