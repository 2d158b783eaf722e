"""Verdict: a document of ``transrec compare`` as tables and a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transrec.data.reading.findings import counted
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
        take: which model to take, and why; empty where that is not known.
        answer: whether the transfer helps, in a word or two.
        measured: the choices without which the numbers mean nothing.
        table: a row for each way.
        caption: what the columns are, and how the p-values were made.
        left_out: the rows that could not be had, each with the reason.
        shared: what the target has in common with the platforms that the run has learned from.
        shares: a row for each share of the users; without rows where there is one share alone.
        chart: an SVG element; empty where there are no rows.
        figure: where the comparison's own figure is; None where it is not.
    """

    dataset: str
    sentence: str
    take: str
    answer: str
    measured: Sequence[str]
    table: Table
    caption: Sequence[str]
    left_out: Sequence[str]
    shared: Sequence[str]
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
            return cls(folder.name, "", "", "", [], Table([], []), [], [], [], Table([], []), "", None)
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
            take=_take(document.get("take")),
            answer=document["transfer"],
            measured=document["measured"],
            table=_table(rows, metric, own),
            caption=_caption(document, metric),
            left_out=[f"{row}: {reason}" for row, reason in document.get("left_out", {}).items()],
            shared=_shared(document),
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
            f"{row['memory_bytes'] / 2**30:.1f} GiB" if row.get("memory_bytes") else DASH,
        ]
        for row in rows
    ]
    return Table(["row", *names, *AGAINST, *slices, "time", "memory"], cells, own)


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


def _take(take: Mapping[str, Any] | None) -> str:
    """Which model to take and where it is; the folder of the comparison is known to who opened this report."""
    if not take:
        return ""
    where = f"its run is in the job {take['job']}" if take["job"] else "it is this run itself"
    return f"{take['told']}; {where if take['weights_kept'] else 'its weights were not kept'}"


def _caption(document: Mapping[str, Any], metric: str) -> list[str]:
    """What the columns are."""
    families = [
        f"{told}: {counted(len(found), 'test')}{', Holm-corrected' if len(found) > 1 else ''}"
        for told, found in zip(
            AGAINST, (document.get("against_the_highest"), document.get("transferred_against_scratch")), strict=True
        )
        if found
    ]
    relabellings = document.get("settings", {}).get("permutations")
    often = f", {relabellings:,} relabellings" if relabellings else ""
    costs = [job["cost"] for row in document["rows"] for job in row.get("jobs", ()) if job["cost"]]
    memories = sorted({cost["memory_of"] for cost in costs})
    ids = document.get("transferred_with_ids_against_scratch_with_ids")
    return [
        *([f"{ids['first']} less {ids['second']}: {_difference(ids)}"] if ids else []),
        *([f"p: paired randomisation test over users{often} ({'; '.join(families)})"] if families else []),
        f"cold, tail: {metric} of targets that no, or at most four, training events of all users touch; few: not many",
        "time, memory: of training or tuning, all seeds on the clock and the highest peak"
        + (f" ({', '.join(memories)})" if memories else ""),
    ]


def _shared(document: Mapping[str, Any]) -> list[str]:
    """What was found in common with each source, or why that is not known; then how many targets it concerns."""
    lines = []
    for checked in document.get("overlap", ()):
        note = f"{checked['source']}: {checked['note']}"
        lines += [note] if checked["note"] else []
        found = [own for own in checked["shared"] if own["count"]]
        lines += [f"in common with {checked['source']}: {_common(own)}" for own in found]
        if checked["checked"] and not found:
            lines.append(f"nothing in common with {checked['source']}")
    if known := document.get("targets_known_to_the_source"):
        removed = "; they were left out of the test" if document.get("targets_removed") else ""
        lines.append(f"{counted(known, 'test target')} known to a source, by the item or the user{removed}")
    return lines


def _common(found: Mapping[str, Any]) -> str:
    told = counted(found["count"], found["kind"].removesuffix("s"))
    sampled = f" (of {found['compared']:,} compared, {found['present']:,} there are)"
    return told + (sampled if found["compared"] < found["present"] else "") + (f"; {found['note']}" if found["note"] else "")


def _shares(shares: Sequence[Mapping[str, Any]], metric: str) -> Table:
    """From scratch and transferred at every share of the users; beside the number of users a warning of harm."""
    if not shares:
        return Table([], [])
    labels = {share["transferred"]["label"] for share in shares}
    names = [shares[0]["from_scratch"]["label"], labels.pop() if len(labels) == 1 else "transferred"]
    each = len({share["transferred"]["label"] for share in shares}) > 1  # every share has chosen its tuning rule
    columns = ["users", *(f"{name}, {metric}" for name in names), "difference", "in %", "p", "best simple method"]
    rows = []
    for share in shares:
        gain, simple = share["gain"], share["best_simple"]
        warning = " (Warning: negative transfer)" if share["shown"] == "below" else ""
        rows.append(
            [
                f"{share['users']:,}{warning}",
                interval_text(share["from_scratch"][metric]),
                interval_text(share["transferred"][metric]) + (f", {share['transferred']['label']}" if each else ""),
                interval_text(gain["points"], sign="+"),
                percent_text(gain["percent"]["value"]),
                p_text(gain["corrected"]),
                f"{simple['label']} {simple[metric]['value']:.4f}" if simple else DASH,
            ]
        )
    return Table(columns, rows)
