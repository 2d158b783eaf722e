"""The figure: a dot with its interval for each row, and the curve over the number of users where there is one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from transrec.recipes.comparing.report import Comparison
from transrec.recipes.comparing.results import RowResult
from transrec.recipes.comparing.sentence import shown_with
from transrec.recipes.comparing.variants import (
    SCRATCH,
    WITH_IDS,
    FromScratch,
    SimpleMethod,
    Transferred,
    TransferredWithIds,
    ZeroShot,
)

SIMPLE, IDENTITY, FROM_SCRATCH, AS_IT_IS, MOVED = "#7f7f7f", "#e69f00", "#2f8fce", "#4fb08c", "#00694d"
"""From the palette of Okabe and Ito, darkened where lines are thin; colour-blind people can tell them apart."""
STYLES = ("-", (0, (5, 1)), (0, (1, 1)), "-.")
"""Of lines of transferred rows with different tuning rules."""


def save_figure(comparison: Comparison, path: Path) -> None:
    """Draw the comparison.

    Args:
        comparison: what was found.
        path: the PNG to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure_of(comparison).savefig(path, dpi=150)


def figure_of(comparison: Comparison) -> Figure:
    """The dots of all rows and, where there is one, the curve beside them."""
    found = comparison.findings
    height = 1.7 + 0.42 * len(found.table)
    wide = bool(found.curve)
    figure = Figure(figsize=(11.5 if wide else 7.5, max(height, 4.2 if wide else 2.8)), layout="constrained")
    axes = figure.subplots(1, 2 if wide else 1, squeeze=False, width_ratios=(1.15, 1) if wide else None)[0]
    _dots(axes[0], found.table, comparison)
    if wide:
        _curves(axes[1], found.curve, comparison)
    figure.suptitle(titled(comparison), x=0.01, ha="left", fontsize=12)
    return figure


def titled(comparison: Comparison) -> str:
    """What the figure says above everything: the verdict in a few words, and harm with few users, too."""
    name, found = comparison.bench.dataset.name, comparison.findings
    learned = found.evidence.learned
    title = {
        "helps": f"{name}: the transfer helps",
        "harms": f"{name}: negative transfer",
        "not asked": name,
    }.get(found.verdict.answer, f"{name}: no difference shown between transfer and training from scratch")
    if learned:  # on a line of its own, for the first one is as wide as the figure
        title += f"\nwith {learned[0]:,} of {learned[1]:,} users to learn from"
    harmed = shown_with(found.evidence.fewer, "below", comparison.settings.alpha)
    return f"{title};\nnegative transfer with {', '.join(f'{users:,}' for users in harmed)} users" if harmed else title


def _dots(axes: Axes, table: Sequence[RowResult], comparison: Comparison) -> None:
    metric = comparison.settings.metric
    places = np.arange(len(table))[::-1]
    for place, row in zip(places, table, strict=True):
        value, colour = row.metrics[metric], colour_of(row)
        axes.plot((value.low, value.high), (place, place), color=colour, linewidth=2.4, solid_capstyle="butt")
        axes.plot(value.value, place, "o", color=colour, markersize=7.5, markeredgecolor="white", markeredgewidth=0.8)
        if len(row.by_seed[metric]) > 1:
            seeds = row.by_seed[metric]
            axes.plot(seeds, [place - 0.24] * len(seeds), "|", color=colour, markersize=6, markeredgewidth=1.2)
        axes.annotate(
            f"{value.value:.4f}",
            (value.high, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
    scratch = next((row for row in table if row.row.name == SCRATCH), None)
    if scratch:
        axes.axvline(scratch.metrics[metric].value, color=FROM_SCRATCH, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.set_yticks(places, [row.label for row in table])
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.margins(x=0.12)
    axes.set_xlim(left=max(0.0, axes.get_xlim()[0]))
    axes.set_xlabel(f"{metric} on {comparison.findings.targets:,} test targets", fontsize=9.5)
    several = any(len(row.by_seed[metric]) > 1 for row in table)
    line = f"line: {comparison.settings.evaluation.confidence:.0%} interval over users"
    axes.set_title(f"{line}; ticks: single seeds" if several else line, loc="left", fontsize=9, color="#555555")
    plain(axes, grid="x")


def _curves(axes: Axes, curve: Sequence[RowResult], comparison: Comparison) -> None:
    """From scratch and transferred, with and without ids, over the number of users, with bands.

    Beside them the run as it is, and the best simple method.
    """
    metric = comparison.settings.metric
    simple, styles = _best_simple(curve, metric), itertools.cycle(STYLES)
    for label in dict.fromkeys(row.label for row in curve):
        points = sorted((row for row in curve if row.label == label), key=lambda row: row.users)
        made = points[0].row.made
        colour = colour_of(points[0])
        if isinstance(made, Transferred | TransferredWithIds):
            _line(axes, points, metric, style=next(styles))
        elif points[0].row.name in (SCRATCH, WITH_IDS):
            _line(axes, points, metric, style="-" if points[0].row.name == SCRATCH else STYLES[1])
        elif isinstance(made, ZeroShot) and not points[0].users:
            axes.axhline(points[0].metrics[metric].value, color=colour, linewidth=1.4, linestyle=":", label=label)
        elif isinstance(made, ZeroShot) or label == simple:
            values = [row.metrics[metric].value for row in points]
            style = ":" if isinstance(made, ZeroShot) else "--"
            users = [row.users for row in points]
            axes.plot(users, values, style, marker="o", color=colour, markersize=3, linewidth=1.4, label=label)
    counts = sorted({row.users for row in curve if row.users})
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{users:,}" for users in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("users that train and validate (log scale); all users test", fontsize=9.5)
    axes.set_ylabel(metric, fontsize=9.5)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9)
    axes.set_title("with fewer users; bands: intervals over users", loc="left", fontsize=9, color="#555555")
    plain(axes, grid="y")


def _line(axes: Axes, points: Sequence[RowResult], metric: str, *, style: Any) -> None:
    """A line with the band of its intervals."""
    users, values = [row.users for row in points], [row.metrics[metric] for row in points]
    colour = colour_of(points[0])
    axes.fill_between(users, [v.low for v in values], [v.high for v in values], color=colour, alpha=0.16, linewidth=0)
    means = [value.value for value in values]
    axes.plot(users, means, linestyle=style, marker="o", color=colour, markersize=5, linewidth=1.9, label=points[0].label)


def _best_simple(curve: Sequence[RowResult], metric: str) -> str | None:
    """The label of the simple method that does best on average over the shares."""
    simple: dict[str, list[float]] = {}
    for row in curve:
        if isinstance(row.row.made, SimpleMethod):
            simple.setdefault(row.label, []).append(row.metrics[metric].value)
    return max(simple, key=lambda label: float(np.mean(simple[label])), default=None)


def colour_of(row: RowResult) -> str:
    """The colour of a row, the same in every figure."""
    match row.row.made:
        case SimpleMethod():
            return SIMPLE
        case FromScratch(content=content):
            return FROM_SCRATCH if content else IDENTITY
        case ZeroShot():
            return AS_IT_IS
        case Transferred() | TransferredWithIds():
            return MOVED


def plain(axes: Axes, *, grid: Literal["x", "y"]) -> None:
    """Axes without a frame at the top and on the right, with a light grid along one of the two."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    (axes.xaxis if grid == "x" else axes.yaxis).grid(visible=True, color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)
