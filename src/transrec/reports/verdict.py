"""Verdict: a document of ``transrec compare`` as tables and a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transrec.reports.numbers import DASH, ENDS, duration, interval_text, p_text, percent_text
from transrec.reports.results import Dot, Table, dot_chart, shown_of

FIGURE = "compare.png"
AGAINST = {"less the best other row": "against_the_best_other", "less from scratch": "against_scratch"}
"""Columns of differences, and where a row has them."""
PARTS = ("cold", "tail")
"""Targets that no, or at most four, training events of all users touch."""


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
        own = frozenset(place for place, row in enumerate(rows) if row["label"] in leaders)
        figure = folder / FIGURE
        return cls(
            dataset=document["dataset"]["name"],
            sentence=document["sentence"],
            answer=document["transfer"],
            measured=document["measured"],
            table=_table(rows, metric, own),
            shares=_shares(document.get("by_share", ()), metric),
            chart=dot_chart(dots, metric=metric, name=name) if dots else "",
            figure=figure if figure.exists() else None,
        )


def _table(rows: Sequence[Mapping[str, Any]], metric: str, own: frozenset[int]) -> Table:
    """A row for each way to a model: metrics, differences, cold and tail targets, and what it took."""
    names = list(dict.fromkeys([metric, *shown_of(rows[0]["metrics"])])) if rows else [metric]
    slices = [f"{part} ({_targets(rows, part)})" for part in PARTS]
    cells = [
        [
            row["label"],
            *(interval_text(row["metrics"][one]) for one in names),
            *(_difference(row.get(against)) for against in AGAINST.values()),
            *(_sliced(row.get(part)) for part in PARTS),
            DASH if row.get("seconds") is None else duration(row["seconds"]),
        ]
        for row in rows
    ]
    return Table(["row", *names, *AGAINST, *slices, "time"], cells, own)


def _difference(contrast: Mapping[str, Any] | None) -> str:
    if contrast is None:
        return DASH
    percent = percent_text(contrast["percent"]["value"])
    return f"{interval_text(contrast['points'], sign='+')}, {percent}, p {p_text(contrast['corrected'])}"


def _sliced(part: Mapping[str, Any] | None) -> str:
    return DASH if part is None else f"{part['value']['value']:.4f}{' (few)' if part['small'] else ''}"


def _targets(rows: Sequence[Mapping[str, Any]], part: str) -> str:
    """How many targets are in a part, the same in every row."""
    return next((f"{row[part]['targets']:,}" for row in rows if row.get(part)), "0")


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
