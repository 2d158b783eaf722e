from __future__ import annotations

import json
from pathlib import Path

import pytest

from transrec.data import sealing
from transrec.errors import RunError
from transrec.recipes.opening import kept_document, note_that_the_test_is_opened

DOCUMENT = "study.json"


def test_every_opening_is_noted_and_what_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / DOCUMENT
    assert kept_document(path) is None
    note_that_the_test_is_opened(path)
    opened = note_that_the_test_is_opened(path)
    found = kept_document(path)
    assert found and found["unfinished"] is True and found["test_opened"] == opened and len(opened) == 2
    assert [own.name for own in path.parent.iterdir()] == [DOCUMENT], "nothing is left beside it"


@pytest.mark.parametrize("text", ["", '{"test_opened": ["2026-', "[]", "{}", '{"test_opened": 3}', "\udcff"])
def test_a_damaged_document_is_an_error_and_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / DOCUMENT).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RunError, match="damaged or cannot be read") as caught:
        note_that_the_test_is_opened(tmp_path / DOCUMENT)
    assert caught.value.where == str(tmp_path / DOCUMENT) and "test_opened says when" in str(caught.value)
    assert (tmp_path / DOCUMENT).read_bytes() == text.encode(errors="surrogateescape")


def test_an_interruption_while_it_is_written_costs_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note_that_the_test_is_opened(tmp_path / DOCUMENT)
    before = (tmp_path / DOCUMENT).read_text()

    def interrupted(made: Path, path: Path) -> None:
        raise KeyboardInterrupt(made, path)

    with monkeypatch.context() as patch:
        patch.setattr(sealing, "put_in_place", interrupted)
        with pytest.raises(KeyboardInterrupt):
            note_that_the_test_is_opened(tmp_path / DOCUMENT)
    assert (tmp_path / DOCUMENT).read_text() == before and len(json.loads(before)["test_opened"]) == 1
