"""Commands: what makes a run again, and what makes the parts of a report that are missing."""

from __future__ import annotations

import shlex
from pathlib import Path

from transrec.reports.files import RunFiles
from transrec.runs import RunRecord
from transrec.weights import SETTINGS

AGAIN = "RUN2"
"""Stands for the folder of a run that is made again; a run is never written over."""


def quoted(*words: str | Path) -> str:
    """Words as a shell reads them."""
    return shlex.join(str(word) for word in words)


def remaking(run: RunFiles) -> str:
    """The command that makes the run again, with the same data and settings."""
    return making(run.record, run.folder / SETTINGS, AGAIN)


def resuming(run: RunFiles) -> str:
    """The command that goes on with an interrupted run."""
    return f"{making(run.record, run.folder / SETTINGS, run.folder)} --resume"


def making(record: RunRecord, settings: Path, out: str | Path) -> str:
    """The command that makes a run.

    Args:
        record: how it came to be.
        settings: its settings file.
        out: where it is to be made.
    """
    if record.verb == "slice":
        return f"transrec slice {quoted(record.source, '--out', out, *record.flags)}"
    data = [own.path or own.name for own in record.data]
    own = (quoted(record.source) + " " if record.source else "") + quoted(*data)
    rules = [word for rule in record.rules for word in ("--rules", rule)]
    config = quoted("--out", out, "--config", settings, *rules)
    return f"transrec {record.verb} {own} {config}"


def evaluating(run: RunFiles) -> str:
    """The command that opens the test split."""
    return f"transrec evaluate {quoted(run.folder)}"


def comparing(run: RunFiles) -> str:
    """The command that says whether pre-training helps."""
    return f"transrec compare {quoted(run.folder)} --data TARGET"


def reporting(run: RunFiles, *words: str | Path) -> str:
    """The command that makes the report again."""
    return f"transrec report {quoted(run.folder, *words)}"
