"""Chapter: everything that a report says about one run, each part there or with the command that makes it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from transrec.data.reading.findings import counted
from transrec.reports.card import Card
from transrec.reports.commands import comparing, evaluating, remaking, reporting, resuming
from transrec.reports.curves import training_curves
from transrec.reports.files import RunFiles
from transrec.reports.missing import Missing
from transrec.reports.people import People
from transrec.reports.places import Map
from transrec.reports.results import Measured
from transrec.reports.verdict import Verdict
from transrec.rules import FateSummary, pace_columns, summarised

FIGURE_WIDTH = 1200
"""Pixels; a wider figure is shrunk."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One run.

    Attributes:
        slug: unlike that of any other chapter; ids begin with it.
        run: its files.
        headline: the numbers that one wants first, by name.
        card: of the dataset that it recommends from.
        curves: an SVG element.
        measured: the evaluations, the run's own dataset first.
        verdicts: the comparisons, with the figure of each as a data URI.
        places: the map of item vectors.
        people: some users.
        parts: what each part of the model did.
        paces: how, where that differs: further columns of the table of parts by their heading, a text for each part.
        commands: what was done and can be done again, by what it does.
    """

    slug: str
    run: RunFiles
    headline: Mapping[str, str]
    card: Card | Missing
    curves: str | Missing
    measured: Sequence[Measured] | Missing
    verdicts: Sequence[tuple[Verdict, str]] | Missing
    places: Map | Missing
    people: People | Missing
    parts: Sequence[FateSummary] | Missing
    paces: Mapping[str, Sequence[str]]
    commands: Mapping[str, str]

    @property
    def sentence(self) -> str:
        """What the run is."""
        record = self.run.record
        names = " and ".join(own.name for own in record.data)
        made = f"trained from scratch on {names}"
        if record.source:
            how = f"trained further on {names}, from" if record.continuing else f"moved to {names} from"
            made = f"{how} the run {Path(record.source).name}"
        stages = f", after {counted(len(record.stages), 'stage')} before" if record.stages else ""
        state = "" if self.run.ended else "; its training has not come to its end"
        return f"A recommender {made} by transrec {record.version}{stages}{state}."

    @classmethod
    def of(
        cls,
        slug: str,
        run: RunFiles,
        *,
        card: Card | Missing,
        places: Map | Missing,
        people: People | Missing,
    ) -> Chapter:
        """The chapter of a run, from its files and what others have made.

        Args:
            slug: what ids begin with.
            run: its files.
            card: of its dataset.
            places: the map of its items.
            people: some users.
        """
        own = run.record.data[0].fingerprint
        parts = summarised(run.fates)
        documents = sorted(run.evaluations.values(), key=lambda found: found.get("dataset", {}).get("fingerprint") != own)
        measured = [Measured.of(found, name=f"{slug}-measured{place}") for place, found in enumerate(documents)]
        verdicts = [
            (verdict, _figure(verdict.figure))
            for place, (folder, found) in enumerate(run.comparisons.items())
            for verdict in [Verdict.of(folder, found, name=f"{slug}-compared{place}")]
        ]
        return cls(
            slug=slug,
            run=run,
            headline=_headline(run, measured),
            card=card,
            curves=training_curves(run, name=f"{slug}-curves") or Missing("Nothing has been logged yet.", resuming(run)),
            measured=measured
            or Missing("The run has not been evaluated, so that the test split is still sealed.", evaluating(run)),
            verdicts=verdicts or Missing("Whether this run helps on another platform has not been asked.", comparing(run)),
            places=places,
            people=people,
            parts=parts or Missing("Nothing says what became of the parameters.", resuming(run)),
            paces=pace_columns(parts),
            commands=_commands(run),
        )


def _headline(run: RunFiles, measured: Sequence[Measured]) -> dict[str, str]:
    numbers = {}
    best = run.best
    if best is not None:
        epoch = f" (epoch {best['epoch']:g})" if "epoch" in best else ""
        numbers[f"best validation {run.metric}"] = f"{best[run.metric]:.4f} at step {best['step']:,}{epoch}"
    for found in measured[:1]:
        numbers |= {f"test {metric}": told for metric, told in found.headline.items()}
    if run.continued:
        numbers[f"beside {Path(run.record.source or '').name}"] = _remembered(run.continued)
    if run.fates:
        parts = [part for part in summarised(run.fates) if part.source != "drop"]
        numbers["parameters"] = f"{sum(p.learning for p in parts):,} of {sum(p.total for p in parts):,} learned"
    if run.weights:
        numbers["weights"] = f"{run.weights / 2**20:,.1f} MiB"
    return numbers


def _remembered(continued: Mapping[str, Any]) -> str:
    """What a run that went on has kept of the earlier test."""
    check = continued["check"]
    if check is None:
        return f"not measured: {continued['unchecked']}"
    numbers = f"{check['metric']} {check['before']:.4f} then, {check['now']:.4f} now"
    told = f"{numbers}, on {check['users']:,} users of the earlier test"
    return f"{told}; more is forgotten than was allowed" if check["forgotten"] else told


def _commands(run: RunFiles) -> dict[str, str]:
    return {
        "make the run again": remaking(run),
        **({} if run.ended else {"go on with it": resuming(run)}),
        "measure it on the test split": evaluating(run),
        "make this report again": reporting(run),
    }


def _figure(path: Path | None) -> str:
    """A figure as a data URI, with few colours; empty where there is none."""
    if path is None:
        return ""
    with Image.open(path) as picture:
        flat = picture.convert("RGB")
    flat.thumbnail((FIGURE_WIDTH, FIGURE_WIDTH), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    flat.quantize(128).save(out, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
