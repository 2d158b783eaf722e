"""What the target shares with everything that the run has learned from, as far as that can still be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.overlap.overlap import Overlap, OverlapSettings, Shared, overlap
from transrec.data.reading.findings import counted
from transrec.errors import DataError
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.showing import progress_bar
from transrec.runs import DataRecord


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """A dataset that the run has learned from, held against the target.

    Attributes:
        source: the dataset.
        found: what the two share; None where that could not be found out.
        note: why it could not be found out, or what to know about it; may be empty.
    """

    source: DataRecord
    found: Overlap | None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Everything but where the source is, as values that JSON can hold."""
        described = {"source": self.source.name, "fingerprint": self.source.fingerprint, "note": self.note}
        return {**described, "checked": self.found is not None, **(self.found.to_json() if self.found else {"shared": []})}


def check_sources(bench: Bench, settings: OverlapSettings, *, console: Console | None = None) -> list[Checked]:
    """Hold the target against each dataset that the run and those before it have learned from."""
    sources = {source.fingerprint: source for source in (*bench.record.data, *bench.record.ancestors)}
    return [_checked(source, bench.dataset, settings, console) for source in sources.values()]


def known_targets(checks: Sequence[Checked], bench: Bench) -> np.ndarray:
    """Which test targets are items that a source knows, too, or belong to its users; bool (E,)."""
    test = bench.whole.test
    known_E = np.zeros(len(test), dtype=bool)
    for checked in checks:
        if checked.found is not None:
            known_E |= np.isin(bench.whole.interactions.rows[test.positions], checked.found.rows)
            known_E |= np.isin(test.users, checked.found.people)
    return known_E


def told(checked: Checked) -> list[str]:
    """What was found, in lines for people."""
    lines = [f"{checked.source.name}: {checked.note}"] if checked.note else []
    if checked.found is None:
        return lines
    shared = [found for found in (checked.found.users, *checked.found.items) if len(found)]
    if not shared:
        kinds = [f"{found.kind}{_of(found)}" for found in (checked.found.users, *checked.found.items)]
        return [*lines, f"nothing in common with {checked.source.name} ({', '.join(kinds)})"]
    return [*lines, *(f"in common with {checked.source.name}: {_line(found)}" for found in shared)]


def unsure(checks: Sequence[Checked]) -> list[str]:
    """What could not be found out, each in a few words: whatever is shared there is not in the counts."""
    absent = [checked.source.name for checked in checks if checked.found is None]
    changed = [checked.source.name for checked in checks if checked.found is not None and checked.note]
    sampled = {found.kind: None for checked in checks if checked.found for found in checked.found.items if found.sampled}
    lines = [f"whether the test repeats {name}, which the run has learned from, is not known" for name in absent]
    lines += [f"{name} has changed since the run learned from it" for name in changed]
    return [*lines, f"{' and '.join(sampled)} were looked for in samples alone"] if sampled else lines


def _checked(source: DataRecord, target: Dataset, settings: OverlapSettings, console: Console | None) -> Checked:
    if not source.path or not Path(source.path).exists():
        where = "it was in memory only" if not source.path else "it is no longer where it was"
        return Checked(source, None, f"could not be compared with the target, for {where}")
    try:
        dataset = Dataset.open(source.path)
    except DataError as error:
        return Checked(source, None, f"could not be compared with the target: {error.what}")
    note = (
        "" if dataset.fingerprint == source.fingerprint else "has changed since the run learned from it; compared as it is"
    )
    with progress_bar(console) as progress:
        return Checked(source, overlap(target, dataset, settings, progress=progress), note)


def _line(found: Shared) -> str:
    examples = ", ".join(repr(ours) if ours == theirs else f"{ours!r} = {theirs!r}" for ours, theirs in found.examples)
    note = f"; {found.note}" if found.note else ""
    return f"{counted(len(found), found.kind.removesuffix('s'))}{_of(found)}, such as {examples}{note}"


def _of(found: Shared) -> str:
    """Of how many, where not all were compared."""
    if not found.sampled:
        return ""
    held, there = found.against or (0, 0)
    besides = f", with {held:,} of {there:,} of the source" if held < there else ""
    return f" (of {found.compared:,} compared, {found.present:,} there are{besides})"
