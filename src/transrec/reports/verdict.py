"""Verdict: a document of ``transrec compare`` as tables and a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transrec.reports.results import DASH, ENDS, Dot, Table, dot_chart, interval_text, shown_of

FIGURE = "compare.png"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A comparison of ways to a model for one dataset.

    Attributes:
        dataset: its name.
        sentence: the verdict; empty where the comparison has not ended.
        answer: whether the transfer helps, in a word or two.
        measured: the choices without which the numbers mean nothing.
        table: a row for each way.
        shares: a row for each share of the users; without rows where there is one share alone.
        chart: an SVG element; empty where there are no rows.
        figure: where the comparison's own figure is; None where it is not.
    """

    dataset: str
    sentence: str
    answer: str
    measured: Sequence[str]
    table: Table
    shares: Table
    chart: str
    figure: Path | None

    @classmethod
    def of(cls, folder: Path, document: Mapping[str, Any], *, name: str) -> Verdict:
        """What a document of ``transrec compare`` says.

        Args:
            folder: where it and its figure are.
            document: as read.
            name: what the ids of the chart begin with.
        """
        if document.get("unfinished"):
            return cls(folder.name, "", "", [], Table([], []), Table([], []), "", None)
        metric, leaders = document["metric"], document["leaders"]
        rows = document["rows"]
        dots = [
            Dot(row["label"], **{end: float(row["metrics"][metric][end]) for end in ENDS}, own=row["label"] in leaders)
            for row in rows
        ]
        names = list(dict.fromkeys([metric, *shown_of(rows[0]["metrics"])])) if rows else [metric]
        cells = [[row["label"], *(interval_text(row["metrics"][one]) for one in names)] for row in rows]
        own = frozenset(place for place, row in enumerate(rows) if row["label"] in leaders)
        figure = folder / FIGURE
        return cls(
            dataset=document["dataset"]["name"],
            sentence=document["sentence"],
            answer=document["transfer"],
            measured=document["measured"],
            table=Table(["row", *names], cells, own),
            shares=_shares(document.get("by_share", ()), metric),
            chart=dot_chart(dots, metric=metric, name=name) if dots else "",
            figure=figure if figure.exists() else None,
        )


def _shares(shares: Sequence[Mapping[str, Any]], metric: str) -> Table:
    """From scratch and transferred at every share of the users; beside the number of users a warning of harm."""
    if not shares:
        return Table([], [])
    names = [shares[0][side]["label"] for side in ("from_scratch", "transferred")]
    columns = ["users", *(f"{name}, {metric}" for name in names), "difference", "in %", "p", "best simple method"]
    rows = []
    for share in shares:
        gain, simple = share["gain"], share["best_simple"]
        warning = " (Warning: negative transfer)" if share["shown"] == "below" else ""
        rows.append(
            [
                f"{share['users']:,}{warning}",
                *(interval_text(share[side][metric]) for side in ("from_scratch", "transferred")),
                interval_text(gain["points"], sign="+"),
                percent_text(gain["percent"]["value"]),
                p_text(gain["corrected"]),
                f"{simple['label']} {simple[metric]['value']:.4f}" if simple else DASH,
            ]
        )
    return Table(columns, rows)


def percent_text(value: float | None) -> str:
    """A difference in percent; a dash where it is not known."""
    return DASH if value is None else f"{value:+.0f} %"


def p_text(value: float) -> str:
    """A p-value with three decimals."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
