"""A study of widths for people: a table on the screen, the same as Markdown, a figure, and everything as JSON."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from transrec.data.room import readable_bytes
from transrec.evaluation.intervals import Interval
from transrec.recipes.comparing.cells import short, two_lines
from transrec.recipes.comparing.figure import plain
from transrec.recipes.studies.tables import DOCUMENT, FIGURE, TABLE, write_texts
from transrec.recipes.studies.width_lines import WidthLine, WidthStudy

WORDS = {"whole": "whole run", "slice": "sliced", "index": "index cut"}
WORTH, SIZE, SPEED = "#00694d", "#2f8fce", "#e69f00"
"""Colours of the figure: of the metric, of what is searched, of time."""


def keep(study: WidthStudy, folder: Path) -> None:
    """Write ``study.json``, ``study.md`` and ``study.png``."""
    write_texts(folder, study.to_json(), markdown_table(study))
    _save_figure(study, folder / FIGURE)


def tell(study: WidthStudy, folder: Path, console: Console) -> None:
    """Show the table, what has to be known with it, and where it is kept."""
    table = Table(box=box.SIMPLE_HEAD, title=study.title, title_justify="left", pad_edge=False)
    for column in ("width", study.metric, "less\nthe whole", "searched\nparameters", "read\nsearch"):
        table.add_column(column, justify="right")
    for line in study.lines:
        table.add_row(
            two_lines(f"{line.width}", WORDS[line.how]),
            two_lines(short(line.value.value), f"{short(line.value.low)}-{short(line.value.high)}"),
            _gain(line.gain),
            two_lines(readable_bytes(line.index_bytes), f"{line.parameters:,}"),
            two_lines(f"{line.reading:.2f} ms", f"{line.searching:.2f} ms"),
        )
    console.print(table)
    for note in notes(study):
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    console.print(f"\nkept in {folder}: {DOCUMENT}, {TABLE} and {FIGURE}", markup=False, soft_wrap=True)


def _gain(gain: Interval | None) -> Text:
    if gain is None:
        return Text("-")
    return two_lines(short(gain.value, "+"), f"[{short(gain.low, '+')},{short(gain.high, '+')}]")


def markdown_table(study: WidthStudy) -> str:
    """The table as Markdown, with what has to be known below it."""
    columns = ["width", "", study.metric, "less the whole", "searched", "parameters", "read, ms", "search, ms"]
    rows = [columns, ["---"] * len(columns), *(_cells(line) for line in study.lines)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    told = "\n".join(f"- {note}" for note in notes(study))
    return f"# {study.title}\n\n{table}\n\n{told}\n"


def notes(study: WidthStudy) -> list[str]:
    """What has to be known with the table."""
    opened = " (the test split has been opened)" if study.part == "test" else ""
    told = [
        f"{study.metric} over {study.targets:,} {study.part} targets{opened}, one training; intervals over users",
        "searched: the numbers of all items that are compared, as float32; parameters: all but those of encoders of content",
        "read: the user tower over one history; search: the exact best ten of the catalog; medians of one user at a time",
    ]
    if any(line.how == "index" for line in study.lines):
        told.append("index cut: users, and the items of their histories, are read at full width")
    return told


def _cells(line: WidthLine) -> list[str]:
    gain = f"{line.gain.value:+.4f} [{line.gain.low:+.4f}, {line.gain.high:+.4f}]" if line.gain else "-"
    times = [f"{line.reading:.2f}", f"{line.searching:.2f}"]
    size = readable_bytes(line.index_bytes)
    return [str(line.width), WORDS[line.how], str(line.value), gain, size, f"{line.parameters:,}", *times]


def _save_figure(study: WidthStudy, path: Path) -> None:
    """The metric over widths with its intervals, and beside it size and time as shares of those of the whole."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    widths = [line.width for line in study.lines]
    for line in study.lines:
        left.plot((line.width,) * 2, (line.value.low, line.value.high), color=WORTH, linewidth=1.6, alpha=0.55)
    left.plot(widths, [line.value.value for line in study.lines], "-o", color=WORTH, markersize=7, markeredgecolor="white")
    left.set_ylabel(study.metric, fontsize=9.5)
    left.set_ylim(bottom=0)
    whole = study.lines[-1]
    drawn = {
        "numbers that are searched": (SIZE, [line.index_bytes / whole.index_bytes for line in study.lines]),
        "time of one user": (SPEED, [_time(line) / _time(whole) for line in study.lines]),
    }
    for label, (colour, shares) in drawn.items():
        right.plot(widths, shares, "-o", color=colour, markersize=7, markeredgecolor="white", label=label)
    right.set_ylabel("share of the whole", fontsize=9.5)
    right.set_ylim(bottom=0)
    right.legend(frameon=False, fontsize=9)
    for axes in (left, right):
        _over_widths(axes, widths)
    figure.suptitle(study.title, x=0.01, ha="left", fontsize=12)
    figure.savefig(path, dpi=150)


def _time(line: WidthLine) -> float:
    return line.reading + line.searching


def _over_widths(axes: Axes, widths: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("width", fontsize=9.5)
    plain(axes, grid="y")
