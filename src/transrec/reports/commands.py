"""Commands: what makes a run again, and what makes the parts of a report that are missing."""

from __future__ import annotations

import shlex
from pathlib import Path

from transrec.reports.files import RunFiles

AGAIN = "RUN2"
"""Stands for the folder of a run that is made again; a run is never written over."""


def quoted(*words: str | Path) -> str:
    """Words as a shell reads them."""
    return shlex.join(str(word) for word in words)


def remaking(run: RunFiles) -> str:
    """The command that makes the run again, with the same data and settings."""
    return _making(run, AGAIN)


def resuming(run: RunFiles) -> str:
    """The command that goes on with an interrupted run."""
    return f"{_making(run, run.folder)} --resume"


def _making(run: RunFiles, out: str | Path) -> str:
    record = run.record
    if record.verb == "slice":
        return f"transrec slice {quoted(record.source, '--out', out, *record.flags)}"
    data = [own.path or own.name for own in record.data]
    own = (quoted(record.source) + " " if record.source else "") + quoted(*data)
    rules = [word for rule in record.rules for word in ("--rules", rule)]
    config = quoted("--out", out, "--config", run.folder / "settings.yaml", *rules)
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
