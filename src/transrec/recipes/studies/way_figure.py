"""The figure of a study of one platform: each line with its interval, beside it how it differs from the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transrec.recipes.comparing.cells import short
from transrec.recipes.comparing.figure import FROM_SCRATCH, IDENTITY, plain
from transrec.recipes.studies.figure import tell_gain, told_beside, verdict_colour
from transrec.recipes.studies.way_lines import WayLine
from transrec.recipes.studies.way_study import WayStudy


def save_figure(study: WayStudy, path: Path) -> None:
    """Draw the study.

    Args:
        study: what was found.
        path: the PNG to write.
    """
    figure = Figure(figsize=(11.5, max(1.9 + 0.5 * len(study.lines), 3.2)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    places = np.arange(len(study.lines))[::-1]
    confidence = f"line: {study.settings.evaluation.confidence:.0%} interval"
    for place, line in zip(places, study.lines, strict=True):
        _dot(left, line, study.metric, place)
        _gain(right, line, study.settings.alpha, place)
    left.axvline(study.first.metrics[study.metric].value, color="#444444", linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    left.set_yticks(places, [f"{line.label}\n{line.detail}".strip() for line in study.lines])
    left.set_ylim(-0.6, len(study.lines) - 0.4)
    left.margins(x=0.12)
    left.set_xlim(left=max(0.0, left.get_xlim()[0]))
    left.set_xlabel(f"{study.metric} on {len(study.split.test):,} test targets", fontsize=9.5)
    seeds = "; ticks: single seeds" if len(study.settings.seeds) > 1 else ""
    left.set_title(f"{confidence} over users{seeds}", loc="left", fontsize=9, color="#555555")
    right.axvline(0, color="#444444", linewidth=0.9, zorder=1)
    right.margins(x=0.18)
    right.tick_params(left=False, labelleft=False)
    right.set_xlabel(f"{study.metric}: less {study.first.label}", fontsize=9.5)
    tests = len(study.lines) - 1
    corrected = f"; p corrected for {tests} tests" if tests > 1 else ""
    right.set_title(f"{confidence}; grey: not shown to differ{corrected}", loc="left", fontsize=9, color="#555555")
    for axes in (left, right):
        plain(axes, grid="x")
    figure.suptitle(study.title, x=0.01, ha="left", fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _dot(axes: Axes, line: WayLine, metric: str, place: float) -> None:
    """The mean with its interval, and the means of single seeds below it."""
    value, seeds = line.metrics[metric], line.by_seed[metric]
    colour = FROM_SCRATCH if line.ranked.way.reads_content else IDENTITY
    axes.plot((value.low, value.high), (place, place), color=colour, linewidth=2.4, solid_capstyle="butt")
    axes.plot(value.value, place, "o", color=colour, markersize=7.5, markeredgecolor="white", markeredgewidth=0.8)
    if len(seeds) > 1:
        axes.plot(seeds, [place - 0.24] * len(seeds), "|", color=colour, markersize=6, markeredgewidth=1.2)
    told_beside(axes, short(value.value), value.high, place)


def _gain(axes: Axes, line: WayLine, alpha: float, place: float) -> None:
    """How the line differs from the first, at its height."""
    if line.against is None:
        return
    gain, colour = line.against.points, verdict_colour(line.against, alpha)
    axes.plot((gain.low, gain.high), (place, place), color=colour, linewidth=2.6, solid_capstyle="butt")
    axes.plot(gain.value, place, "o", color=colour, markersize=8, markeredgecolor="white")
    tell_gain(axes, line.against, (gain.value, place), above=8, between=", ")
