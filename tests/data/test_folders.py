"""Folders that are made once."""

from pathlib import Path

import pytest

from transrec.data.folders import made_once


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
