"""The pictures of the demo: bars with intervals, and what the items of its platforms look like."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from transrec.data.dataset import Dataset
from transrec.evaluation.protocol import Evaluation

COLOURS = ("#bbbbbb", "#e69f00", "#56b4e9", "#8fcfb9", "#00795a")
"""From the palette of Okabe and Ito, which colour-blind people can tell apart; from light to dark in grey, too."""
COLUMNS, SHOWN = 6, 12


def save_bars(found: Mapping[str, Mapping[str, Evaluation]], path: Path, *, metric: str) -> None:
    """Draw a group of bars for each target, a bar with its interval for each method.

    Args:
        found: by target, then by method; every target has the same methods in the same order.
        path: the PNG to write.
        metric: what the bars show.
    """
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    axes = figure.subplots()
    methods = list(next(iter(found.values())))
    width = 0.8 / len(methods)
    for place, (method, colour) in enumerate(zip(methods, COLOURS, strict=True)):
        intervals = [by_method[method].overall.metrics[metric] for by_method in found.values()]
        heights = np.array([interval.value for interval in intervals])
        reach = np.array([[i.value - i.low for i in intervals], [i.high - i.value for i in intervals]]).clip(min=0)
        at = np.arange(len(found)) + (place - (len(methods) - 1) / 2) * width
        axes.bar(at, heights, 0.92 * width, color=colour, label=method)
        axes.errorbar(at, heights, yerr=reach, fmt="none", ecolor="#333333", elinewidth=1, capsize=2)
    first = next(iter(found.values()))[methods[0]]
    axes.set_xticks(range(len(found)), list(found))
    axes.set_ylabel(f"{metric} on the test events")
    axes.set_title("Moving to platforms that share no user and no item with the source", loc="left", fontsize=12)
    axes.set_xlabel(
        f"target platform ({first.overall.targets:,} users each; ranked among {first.choices.candidates}; bars: "
        f"{first.settings.confidence:.0%} intervals over users)",
        fontsize=9,
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.grid(visible=True, color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=len(methods), frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)


def save_items(platforms: Mapping[str, Dataset], path: Path) -> None:
    """Draw the first pictures of each platform, with the titles that only people see, and its first texts."""
    shown = {name: dataset for name, dataset in platforms.items() if dataset.catalog.presence["image"].any()}
    figure = Figure(figsize=(9, 4.2 * len(shown)), layout="constrained")
    parts = figure.subfigures(len(shown), 1, squeeze=False)
    for part, (name, dataset) in zip(parts[:, 0], shown.items(), strict=True):
        part.suptitle(f"Items of the platform {name!r}: a picture each, or a sentence each", fontsize=11)
        grid = part.subplots(3, COLUMNS, height_ratios=(3, 3, 2), squeeze=False)
        rows = np.flatnonzero(dataset.catalog.presence["image"])[:SHOWN]
        titles = dataset.catalog.titles(rows)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, item, title in zip(grid[:2].flat, dataset.catalog.items(rows), titles, strict=False):
            assert item.image is not None
            _picture(axes, item.image, title)
        texts = dataset.catalog.items(np.flatnonzero(dataset.catalog.presence["text"])[:COLUMNS])
        for axes, item in zip(grid[2], texts, strict=False):
            axes.text(0.5, 0.5, textwrap.fill(item.text or "", 17), ha="center", va="center", fontsize=8)
    figure.savefig(path, dpi=130)


def _picture(axes: Axes, png: bytes, title: str) -> None:
    axes.imshow(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")), interpolation="nearest")
    axes.set_title(textwrap.fill(textwrap.shorten(title, 42, placeholder="..."), 22), fontsize=6, color="#666666")
