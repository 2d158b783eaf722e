"""Every kind of broken input ends in one message with the place and the remedy, and leaves everything as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from corruption import broken_encoders, broken_folders, broken_places, broken_settings, broken_sources, broken_tables
from corruption.broken import INGEST, RECOMMEND, TRAIN, Refused, digests
from corruption.conftest import Ended

REFUSED = [
    kind
    for file in (broken_tables, broken_settings, broken_folders, broken_encoders, broken_places, broken_sources)
    for kind in file.REFUSED
]


WRITING = ("export run", "recommend run --all", "compare run --data data", "study kinds run --data data", "demo")


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_it_is_refused(kind: Refused, folder: Path, typed: Callable[[str], Ended]) -> None:
    kind.spoils(folder)
    before = digests(folder)
    end = typed(kind.command)
    assert end.code == 2, end.told
    assert "Traceback" not in end.told
    assert errors_in(end.told) == 1, end.told
    assert "To mend it:" in end.told, end.told
    assert [words for words in kind.told if words not in end.told] == [], end.told
    assert changes(before, digests(folder), besides=kind.prepares) == []


def test_the_kinds_are_many_and_differ() -> None:
    names = [kind.name for kind in REFUSED]
    assert len(set(names)) == len(names) >= 45
    assert all(kind.told for kind in REFUSED)


@pytest.mark.parametrize("command", [INGEST, TRAIN, *(f"{command} --out new" for command in WRITING)])
def test_a_folder_of_others(
    command: str, folder: Path, typed: Callable[[str], Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root may write everywhere, the system's answer is replaced."""
    allowed = os.access
    monkeypatch.setattr("os.access", lambda path, mode: mode & os.W_OK == 0 and allowed(path, mode))
    before = digests(folder)
    end = typed(command)
    assert end.code == 2 and "may not be written to" in end.told and "--out" in end.told
    assert changes(before, digests(folder)) == []


def test_what_is_sound_is_not_refused(folder: Path, typed: Callable[[str], Ended]) -> None:
    assert typed(INGEST).code == 0
    assert typed(RECOMMEND).code == 0
    assert errors_in(typed(RECOMMEND).told) == 0


def errors_in(told: str) -> int:
    """How many errors a person reads."""
    return told.count("Error: ") + told.count("─ Error ─")


def changes(before: dict[str, str], after: dict[str, str], *, besides: str = "") -> list[str]:
    """What is new, gone, or not what it was; new files of a folder of prepared content apart, unless they are half-made."""
    differing = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    return [path for path in differing if not besides or not path.startswith(besides) or "/." in path]
