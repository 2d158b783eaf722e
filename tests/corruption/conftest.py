"""One good folder for all kinds of broken input, a copy of it for each, and the command line as a program would end it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from corruption.ground import copy_of, make_ground

from transrec.cli import main


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        code: what it gave back to the shell.
        told: what it printed, on one line.
    """

    code: object
    told: str


@pytest.fixture(scope="package")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ground")
    make_ground(folder)
    return folder


@pytest.fixture
def folder(ground: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the good folder, in which commands are typed."""
    copied = copy_of(ground, tmp_path)
    monkeypatch.chdir(copied)
    return copied


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Ended]:
    """Types a command and says how it ended."""
    monkeypatch.setenv("COLUMNS", "200")

    def ended(line: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["transrec", *line.split()])
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        shown = capsys.readouterr()
        told = (shown.out + shown.err).replace("│", " ").replace("───", "")
        return Ended(code, " ".join(told.split()))

    return ended
