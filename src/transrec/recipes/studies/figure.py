"""The figure of a study: every row with its interval, and beside it what the transfer adds, with the line at zero."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from transrec.evaluation.contrasts import Contrast
from transrec.recipes.comparing.cells import short, short_p
from transrec.recipes.comparing.figure import MOVED, colour_of, plain
from transrec.recipes.comparing.results import RowResult
from transrec.recipes.comparing.variants import SCRATCH
from transrec.recipes.studies.study import Study

HARM, UNDECIDED = "#b4451f", "#7f7f7f"
MARKERS = ("o", "s", "D", "^", "v", "P", "X")


def save_figure(study: Study, path: Path) -> None:
    """Draw the study: kinds as groups of dots, sizes as curves.

    Args:
        study: what was found.
        path: the PNG to write.
    """
    curves = all(line.size is not None for line in study.lines)
    height = 4.2 if curves else 1.9 + (0.35 + 0.27 * len(study.row_labels)) * len(study.lines)
    figure = Figure(figsize=(11.5, max(height, 3.2)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=not curves, width_ratios=(1.25, 1))
    if curves:
        _curves(left, study)
        _gains_over_sizes(right, study)
    else:
        _groups(left, study)
        _gains_of_groups(right, study)
    looks = _looks(study)
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=7, markeredgecolor="white", linewidth=2.2, label=label)
        for label, (colour, marker) in looks.items()
    ]
    figure.legend(handles=handles, frameon=False, fontsize=9, loc="outside lower left", ncols=6)
    figure.suptitle(study.title, x=0.01, ha="left", fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _groups(axes: Axes, study: Study) -> None:
    """For each line a group of dots, from the top down."""
    labels = study.row_labels
    looks = _looks(study)
    for place, line in zip(_places(study), study.lines, strict=True):
        for offset, label in zip(_offsets(len(labels)), labels, strict=True):
            row = line.row(label)
            if row is None:
                continue
            value, (colour, marker) = row.metrics[study.metric], looks[label]
            axes.plot((value.low, value.high), [place + offset] * 2, color=colour, linewidth=2.2, solid_capstyle="butt")
            axes.plot(value.value, place + offset, marker, color=colour, markersize=7, markeredgecolor="white")
            told_beside(axes, short(value.value), value.high, place + offset)
    axes.set_yticks(_places(study), [f"{line.label}\n{line.detail}".strip() for line in study.lines])
    axes.set_ylim(-0.55, len(study.lines) - 0.45)
    axes.margins(x=0.12)
    axes.set_xlim(left=max(0.0, axes.get_xlim()[0]))
    axes.set_xlabel(study.metric, fontsize=9.5)
    axes.set_title(f"line: {_confidence(study)} interval over users", loc="left", fontsize=9, color="#555555")
    _parted(axes, study)
    plain(axes, grid="x")


def _gains_of_groups(axes: Axes, study: Study) -> None:
    """What the transfer adds, at the height of its group."""
    axes.axvline(0, color="#444444", linewidth=0.9, zorder=1)
    for place, transfer in zip(_places(study), study.transfers, strict=True):
        if transfer is None:
            continue
        gain, colour = transfer.points, verdict_colour(transfer, study.alpha)
        axes.plot((gain.low, gain.high), (place, place), color=colour, linewidth=2.6, solid_capstyle="butt")
        axes.plot(gain.value, place, "o", color=colour, markersize=8, markeredgecolor="white")
        tell_gain(axes, transfer, (gain.value, place), above=9, between=", ")
    axes.margins(x=0.18)
    axes.set_xlabel(f"{study.metric}: transferred less from scratch", fontsize=9.5)
    axes.set_title(_meaning(study), loc="left", fontsize=9, color="#555555")
    axes.tick_params(left=False, labelleft=False)
    _parted(axes, study)
    plain(axes, grid="x")


def _curves(axes: Axes, study: Study) -> None:
    """A curve with intervals for each row, a little beside each other; what does not depend on the size is dashed."""
    looks = _looks(study)
    beside = np.exp(np.array(_offsets(len(study.row_labels))) * -0.04 * _breadth(study))
    for label, factor in zip(study.row_labels, beside, strict=True):
        points = [(line.size or 0, row) for line in study.lines if (row := line.row(label))]
        colour, marker = looks[label]
        sizes = [size * factor for size, _ in points]
        values = [row.metrics[study.metric] for _, row in points]
        style = "--" if points[0][1].row.name == SCRATCH else "-"
        for size, value in zip(sizes, values, strict=True):
            axes.plot((size, size), (value.low, value.high), color=colour, linewidth=1.6, alpha=0.55, solid_capstyle="butt")
        means = [value.value for value in values]
        axes.plot(sizes, means, style, marker=marker, color=colour, markersize=7, markeredgecolor="white", linewidth=1.9)
    axes.set_ylabel(study.metric, fontsize=9.5)
    axes.set_ylim(bottom=0)
    axes.set_title(f"bars: {_confidence(study)} intervals over users", loc="left", fontsize=9, color="#555555")
    _sizes(axes, study)
    plain(axes, grid="y")


def _gains_over_sizes(axes: Axes, study: Study) -> None:
    """What the transfer adds, over the size of the source."""
    axes.axhline(0, color="#444444", linewidth=0.9, zorder=1)
    found = [(line.size or 0, own) for line, own in zip(study.lines, study.transfers, strict=True) if own]
    axes.plot([size for size, _ in found], [own.points.value for _, own in found], color="#c9c9c9", linewidth=1.4, zorder=1)
    for size, own in found:
        gain, colour = own.points, verdict_colour(own, study.alpha)
        axes.plot((size, size), (gain.low, gain.high), color=colour, linewidth=2.6, solid_capstyle="butt")
        axes.plot(size, gain.value, "o", color=colour, markersize=8, markeredgecolor="white")
        tell_gain(axes, own, (size, gain.high), above=5, between="\n")
    axes.margins(x=0.16, y=0.2)
    axes.set_ylabel(f"{study.metric}: transferred less from scratch", fontsize=9.5)
    axes.set_title(_meaning(study), loc="left", fontsize=9, color="#555555")
    _sizes(axes, study)
    plain(axes, grid="y")


def _breadth(study: Study) -> float:
    """How wide the axis of sizes is, as a natural logarithm; 1 where there is one size."""
    sizes = [line.size or 1 for line in study.lines]
    return float(np.log(max(sizes) / min(sizes))) or 1.0


def _sizes(axes: Axes, study: Study) -> None:
    sizes = [line.size or 0 for line in study.lines]
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(f"{study.column} that train (log scale)", fontsize=9.5)


def _looks(study: Study) -> dict[str, tuple[str, str]]:
    """Colour and marker of each row; rows of one colour differ in their markers."""
    rows: dict[str, RowResult] = {}
    for line in study.lines:
        rows = {**{row.label: row for row in line.comparison.findings.table}, **rows}
    looks: dict[str, tuple[str, str]] = {}
    for label in study.row_labels:
        colour = colour_of(rows[label])
        same = sum(own == colour for own, _ in looks.values())
        looks[label] = (colour, next(itertools.islice(itertools.cycle(MARKERS), same, None)))
    return looks


def _places(study: Study) -> np.ndarray:
    return np.arange(len(study.lines))[::-1]


def _offsets(rows: int) -> Sequence[float]:
    """The places of a group's rows around its middle, the first one at the top."""
    offsets: list[float] = np.linspace(0.28, -0.28, rows).tolist() if rows > 1 else [0.0]
    return offsets


def _parted(axes: Axes, study: Study) -> None:
    for between in range(1, len(study.lines)):
        axes.axhline(between - 0.5, color="#e3e3e3", linewidth=0.8, zorder=0)


def told_beside(axes: Axes, text: str, at: float, place: float) -> None:
    """A small text to the right of a place."""
    axes.annotate(text, (at, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)


def tell_gain(axes: Axes, transfer: Contrast, at: tuple[float, float], *, above: float, between: str) -> None:
    """The difference and its p-value, so many points above a place."""
    p_value = short_p(transfer)
    axes.annotate(
        f"{short(transfer.points.value, '+')}{between}p {p_value if p_value.startswith('<') else f'= {p_value}'}",
        at,
        xytext=(0, above),
        textcoords="offset points",
        ha="center",
        fontsize=8.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        zorder=3,
    )


def verdict_colour(found: Contrast, alpha: float) -> str:
    """Of a difference: one where it is shown to be a gain, one where it is shown to be a loss, grey where neither is."""
    return {"above": MOVED, "below": HARM, "undecided": UNDECIDED}[found.shown(alpha)]


def _meaning(study: Study) -> str:
    tests = max((own.tests for own in study.transfers if own), default=0)
    corrected = f"; p corrected for {tests} tests" if tests > 1 else ""
    return f"line: {_confidence(study)} interval; grey: not shown to differ{corrected}"


def _confidence(study: Study) -> str:
    return f"{study.lines[0].comparison.settings.evaluation.confidence:.0%}"
