"""Keeping: what is done is not done again, and what would come out differently is never found.

The name of everything that an experiment keeps ends in a digest of what decides it: settings, data, the run that it starts
from. Change any of them and the old result stays where it is, under its own name. Beside kept ranks and tables there is what
decided them, and the versions that made them.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from transrec.evaluation.ranks import RankedTargets
from transrec.reports.environment import environment
from transrec.weights import WEIGHTS


def digest_of(*deciding: object) -> str:
    """Eight hex digits of what decides an outcome: settings, mappings, sequences, numbers; anything else by its text."""
    told = json.dumps(deciding, default=_plain, sort_keys=True)
    return hashlib.blake2b(told.encode(), digest_size=4).hexdigest()


def name_of(told: str, *deciding: object) -> str:
    """A name for a file or a folder: what it is in words, and the digest of what decides it."""
    return f"{told.replace(' ', '-').replace(',', '').replace(':', '')}-{digest_of(*deciding)}"


@functools.cache
def weights_of(run: Path) -> str:
    """A digest of a run's weights."""
    with (run / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def run_called(name: str, runs: Path) -> Path:
    """The run of this name in a folder of runs, as it is or with a digest behind it.

    Raises:
        SystemExit: there is none, or several have that name.
    """
    if (runs / name).is_dir():
        return runs / name
    found = sorted(runs.glob(f"{name}-{'[0-9a-f]' * 8}"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise SystemExit(f"{runs} has no run called {name}: experiments/real.py trains it")
    raise SystemExit(f"{runs} has {len(found)} runs called {name}: name one of {', '.join(run.name for run in found)}")


def ranked(path: Path, deciding: Mapping[str, object], make: Callable[[], RankedTargets]) -> RankedTargets:
    """The ranks of this file, made now if they are not there; what decides them is written beside."""
    if not path.exists():
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path.with_suffix(".json"), {"decided_by": deciding, "versions": environment()})
        aside = path.with_suffix(".part")
        made.save(aside)
        aside.replace(path)  # whole, or not at all
    return RankedTargets.open(path)


def write_table(folder: Path, rows: Sequence[Mapping[str, object]], **asked: object) -> Path:
    """Write a table that is printed as numbers, too: ``table-DIGEST.json`` with what was asked for.

    Args:
        folder: where to.
        rows: one mapping each.
        asked: the options that decide what the table is about.

    Returns:
        the file.
    """
    path = folder / f"{name_of('table', asked)}.json"
    folder.mkdir(parents=True, exist_ok=True)
    _write(path, {"format": 1, "asked": asked, "rows": rows, "versions": environment()})
    return path


def _write(path: Path, document: Mapping[str, object]) -> None:
    path.write_text(json.dumps(document, indent=1, default=_plain, ensure_ascii=False) + "\n")


def _plain(value: object) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
