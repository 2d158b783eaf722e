"""Plots of a diagnosis: lengths, popularity, and events over time, drawn without a display."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transrec.data.ingest.doctor import Diagnosis

_COLOUR = "#3b6ea5"


def save_plots(found: Diagnosis, folder: str | Path) -> list[Path]:
    """Write ``lengths.png``, ``popularity.png`` and ``times.png``; nothing where there are no events.

    Returns:
        the files.
    """
    if not len(found.interactions):
        return []
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in (("lengths", _lengths), ("popularity", _popularity), ("times", _times)):
        figure = Figure(figsize=(6, 4), layout="constrained")
        draw(figure.subplots(), found)
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=120)
    return paths


def count_bins(axes: Axes, counts: np.ndarray) -> list[float]:
    """The edges of a histogram of whole numbers; where they reach far they grow, and the axis becomes logarithmic.

    Args:
        axes: where it is to be drawn.
        counts: whole numbers, at least one.
    """
    least, most = int(counts.min()), int(counts.max())
    if most <= 60:
        edges = np.arange(least, most + 2) - 0.5
    else:
        edges = np.unique(np.geomspace(max(least, 1), most + 1, 40).round()) - 0.5
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
    found: list[float] = edges.tolist()
    return found


def times_to_draw(found: Diagnosis) -> tuple[np.ndarray, bool]:
    """When the events were, as dates where the input has such, and whether it has."""
    times = found.interactions.times
    are_dates = "-" in found.period[0][1:]
    return ((times * 1e6).astype("datetime64[us]") if are_dates else times), are_dates


def _lengths(axes: Axes, found: Diagnosis) -> None:
    lengths = found.interactions.lengths
    axes.hist(lengths, bins=count_bins(axes, lengths), color=_COLOUR)
    median = float(np.median(lengths))
    axes.axvline(median, color="black", linewidth=1, linestyle="--", label=f"median {median:g}")
    axes.legend(frameon=False)
    axes.set(title="Length of the histories", xlabel="events of a user", ylabel="users")


def _popularity(axes: Axes, found: Diagnosis) -> None:
    counts = np.sort(np.bincount(found.interactions.rows, minlength=len(found.contents.ids)))[::-1]
    share = np.cumsum(counts) / counts.sum()
    part = np.arange(1, len(counts) + 1) / len(counts)
    axes.plot(np.insert(part, 0, 0) * 100, np.insert(share, 0, 0) * 100, color=_COLOUR)
    axes.plot([0, 100], [0, 100], color="grey", linewidth=1, linestyle=":", label="all items alike")
    axes.plot([1], [found.top_share * 100], "o", color="black", label=f"top 1 %: {found.top_share:.0%} of the events")
    axes.legend(frameon=False, loc="lower right")
    axes.set(title=f"Popularity (Gini {found.gini:.2f})", xlabel="items, most popular first (%)", ylabel="events (%)")
    axes.set(xlim=(0, 100), ylim=(0, 102))


def _times(axes: Axes, found: Diagnosis) -> None:
    times, are_dates = times_to_draw(found)
    axes.hist(times, bins=50, color=_COLOUR)
    if are_dates:
        axes.tick_params(axis="x", labelrotation=30)
    axes.set(title="Events over time", xlabel="" if are_dates else "time, as the input has it", ylabel="events")
