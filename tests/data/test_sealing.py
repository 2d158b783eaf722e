"""Files that are there as a whole or not at all, and damage that is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from transrec.data import sealing
from transrec.data.sealing import SEAL, damage, seal, write_whole


def test_an_interruption_leaves_the_old_text_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "settings.yaml"
    write_whole(path, "old")

    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sealing, "settle", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_whole(path, "new, and longer")
    assert path.read_text() == "old"
    write_whole(path, "newer")
    assert [entry.name for entry in tmp_path.iterdir()] == ["settings.yaml"]
    assert path.read_text() == "newer"


def test_every_file_is_on_the_disk_before_the_seal_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    settled: list[str] = []
    monkeypatch.setattr(sealing, "settle", lambda path: settled.append(path.name))
    seal(tmp_path)
    assert settled == ["a", "b", SEAL, tmp_path.name]


def test_damage_is_told_in_words_and_a_sound_folder_has_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert damage(tmp_path) == f"{SEAL} is missing or cannot be read"
    seal(tmp_path)
    assert damage(tmp_path) is None
    seal(tmp_path)
    assert damage(tmp_path) is None, "sealed twice"
    (tmp_path / "a").write_bytes(b"12346")
    assert damage(tmp_path) == "a is not what was written"
    (tmp_path / "a").unlink()
    assert damage(tmp_path) == "a cannot be read (No such file or directory)"
    (tmp_path / SEAL).write_text(json.dumps({"format": 2, "files": {}}))
    assert damage(tmp_path) == "it has format 2, this version of transrec reads up to 1"
    (tmp_path / SEAL).write_text("{")
    assert damage(tmp_path) == f"{SEAL} is missing or cannot be read"
