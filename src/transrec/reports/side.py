"""Side by side: several runs in one table, and in one chart for each dataset on which they have been evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transrec.reports.files import RunFiles
from transrec.reports.missing import Missing
from transrec.reports.numbers import ENDS, interval_text
from transrec.reports.results import Dot, Table, dot_chart
from transrec.rules import summarised


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Several runs.

    Attributes:
        table: a row for each run.
        charts: by dataset, an SVG element with a dot for each run that has been evaluated there.
        gains: what one run gains over another, in sentences.
        missing: what would have to be done to compare them on test targets, where they cannot be.
    """

    table: Table
    charts: Mapping[str, str]
    gains: Sequence[str]
    missing: Missing | None

    @classmethod
    def of(cls, runs: Sequence[RunFiles], gains: Sequence[str], *, metric: str = "NDCG@10") -> SideBySide:
        """Runs beside each other.

        Args:
            runs: in order, at least two.
            gains: paired differences between them, in sentences.
            metric: what the charts show, where the evaluations have it.
        """
        shared = _shared(runs, metric)
        charts = {
            name: dot_chart(dots, metric=metric, name=f"side{place}") for place, (name, dots) in enumerate(shared.items())
        }
        columns = ["run", "made by", "from", "dataset", "tuning", "learned", "best validation", f"test {metric}"]
        missing = None
        if not charts:
            commands = " && ".join(f"transrec evaluate {run.folder}" for run in runs)
            missing = Missing("No two of these runs have been evaluated on the same dataset.", commands)
        return cls(Table(columns, [_row(run, metric) for run in runs]), charts, gains, missing)


def _shared(runs: Sequence[RunFiles], metric: str) -> dict[str, list[Dot]]:
    """By name, the datasets on which at least two runs have been evaluated, with a dot for each."""
    found: dict[str, tuple[str, list[Dot]]] = {}
    for run in runs:
        for document in run.evaluations.values():
            own = _own(document, metric)
            if own is not None:
                _, dots = found.setdefault(document["dataset"]["fingerprint"], (document["dataset"]["name"], []))
                dots.append(Dot(document["evaluations"][0]["ranker"], **{e: float(own[e]) for e in ENDS}, own=True))
    return {name: dots for name, dots in found.values() if len(dots) > 1}


def _own(document: Mapping[str, Any], metric: str) -> Mapping[str, float] | None:
    """The run's own interval in a document of ``transrec evaluate``; None where this metric is not in it."""
    found: Mapping[str, float] | None = document["evaluations"][0]["overall"]["metrics"].get(metric)
    return found


def _row(run: RunFiles, metric: str) -> list[str]:
    record, best = run.record, run.best
    parts = [part for part in summarised(run.fates) if part.source != "drop"]
    document = run.evaluation_on(record.data[0].fingerprint)
    own = _own(document, metric) if document else None
    return [
        run.name if run.ended else f"{run.name} (not ended)",
        f"{record.verb} {record.version}",
        Path(record.source).name if record.source else "scratch",
        ", ".join(data.name for data in record.data),
        record.tune,
        f"{sum(p.learning for p in parts):,} of {sum(p.total for p in parts):,}" if parts else "not known",
        f"{run.metric} {best[run.metric]:.4f}" if best else "none yet",
        interval_text(own) if own else "not evaluated",
    ]
