"""Study: comparisons in one table, each for another kind of target or another size of the source."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from transrec._version import __version__
from transrec.evaluation.contrasts import Contrast, one_family
from transrec.recipes.comparing.report import Comparison, without_nan
from transrec.recipes.comparing.results import RowResult
from transrec.recipes.comparing.sentence import judged

FORMAT = 1

COPIED = "copied"
"""The label of the line of a study of fractions in which the parts are copied whole, as they are without a rule."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One line of a study.

    Attributes:
        label: what is special about it, for the first column.
        detail: a few words below the label.
        comparison: what was found.
        folder: of the comparison, below that of the study.
        size: its place on the axis of the figure; None where the lines are kinds.
        facts: about it, as values that JSON can hold.
    """

    label: str
    detail: str
    comparison: Comparison
    folder: str
    size: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def row(self, label: str) -> RowResult | None:
        """The row of this label; None where the comparison has none."""
        return next((row for row in self.comparison.findings.table if row.label == label), None)


@dataclass(frozen=True, eq=False)
class Study:
    """A study that is done.

    Attributes:
        name: which one.
        title: of the figure.
        column: what the lines differ in: the first column of the table, or the axis of the figure.
        lines: in the order of the table.
        metric: what is shown.
        alpha: how often a difference may be seen where there is none, over all lines.
        notes: what has to be known with the table.
        left_out: lines that cannot be had, each with the reason.
    """

    name: Literal["kinds", "sources", "fractions"]
    title: str
    column: str
    lines: tuple[Line, ...]
    metric: str
    alpha: float
    notes: tuple[str, ...]
    left_out: Mapping[str, str]

    @property
    def row_labels(self) -> tuple[str, ...]:
        """The rows that at least one comparison has."""
        return tuple(dict.fromkeys(row.label for line in self.lines for row in line.comparison.findings.table))

    @functools.cached_property
    def transfers(self) -> Sequence[Contrast | None]:
        """For each line transferred against from scratch, its p-value corrected for all such tests of the study.

        Every comparison asks the question once, so that a study of four lines asks four times. With several tuning rules a
        line shows the row that did best on validation, as the verdict of its comparison does.
        """
        found = [line.comparison.findings for line in self.lines]
        family = iter(one_family([own for each in found for own in each.transfers]))
        corrected = [{own.first: own for own in (next(family) for _ in each.transfers)} for each in found]
        return [
            own[each.evidence.transfer.first] if each.evidence.transfer else None
            for each, own in zip(found, corrected, strict=True)
        ]

    @property
    def sentences(self) -> Sequence[str]:
        """For each line what its comparison says of the transfer, with the p-value of the study."""
        told = []
        for line, transfer in zip(self.lines, self.transfers, strict=True):
            found = line.comparison.findings
            evidence = replace(found.evidence, transfer=transfer, rivals=())
            told.append(judged(evidence, alpha=self.alpha, mind=found.mind).sentence)
        return told

    @property
    def headline(self) -> str:
        """For which lines what is shown."""
        asked = [(line, own) for line, own in zip(self.lines, self.transfers, strict=True) if own]
        if not asked:
            return "Whether the transfer helps was not asked; that takes the rows scratch and transferred."
        shown = by_what_is_shown([(line.label, own) for line, own in asked], self.alpha)
        words = {"above": "helps", "below": "does harm", "undecided": "makes no difference that is shown"}
        told = [f"{words[what]} {self._among(labels)}" for what, labels in shown.items()]
        return f"Against training from scratch, the transfer {'; it '.join(told)}."

    def _among(self, labels: Sequence[str]) -> str:
        if self.name == "sources":
            return f"with {listed(labels)} source users"
        if self.name == "fractions":
            shares = [label for label in labels if label != COPIED]
            told = ["the parts copied"] if COPIED in labels else []
            return f"with {' and '.join([*told, *([f'omega {listed(shares)}'] if shares else [])])}"
        return f"for the kind{'s' if len(labels) > 1 else ''} {listed(labels)}"

    def to_json(self) -> dict[str, Any]:
        """Everything that table and figure show, as values that JSON can hold."""
        document = {
            "format": FORMAT,
            "version": __version__,
            "study": self.name,
            "title": self.title,
            "headline": self.headline,
            "metric": self.metric,
            "alpha": self.alpha,
            "notes": list(self.notes),
            "left_out": dict(self.left_out),
            "lines": [
                {
                    "label": line.label,
                    **line.facts,
                    "comparison": line.folder,
                    "sentence": sentence,
                    "targets": line.comparison.findings.targets,
                    "rows": [self._row(row) for row in line.comparison.findings.table],
                    "transferred_against_scratch": asdict(transfer) if transfer else None,
                }
                for line, sentence, transfer in zip(self.lines, self.sentences, self.transfers, strict=True)
            ],
        }
        cleaned: dict[str, Any] = without_nan(document)
        return cleaned

    def _row(self, row: RowResult) -> dict[str, Any]:
        own = {"row": row.row.name, "label": row.label, self.metric: asdict(row.metrics[self.metric])}
        return {**own, "by_seed": list(row.by_seed[self.metric])}


def by_what_is_shown(found: Sequence[tuple[str, Contrast]], alpha: float) -> dict[str, list[str]]:
    """Labels of contrasts by what they show: above, below, undecided, in this order; without what none shows."""
    labels = {what: [label for label, own in found if own.shown(alpha) == what] for what in ("above", "below", "undecided")}
    return {what: own for what, own in labels.items() if own}


def folder_name(name: str) -> str:
    """The name of a dataset as that of a folder."""
    return re.sub(r"[^\w.-]+", "-", name)


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
