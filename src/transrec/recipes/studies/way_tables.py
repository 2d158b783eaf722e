"""A study of one platform for people: one table on the screen, the same as Markdown, a figure, and everything as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from transrec.evaluation.contrasts import Contrast
from transrec.recipes.comparing.cells import short, short_p, two_lines
from transrec.recipes.comparing.results import COLD, TAIL, SliceResult
from transrec.recipes.studies.tables import DOCUMENT, FIGURE, TABLE, markdown_row, write_texts
from transrec.recipes.studies.way_figure import save_figure
from transrec.recipes.studies.way_lines import WayLine
from transrec.recipes.studies.way_study import WayStudy
from transrec.reports.numbers import duration

SLICES = {"cold": COLD, "tail": TAIL}
"""What the table shows of slices, and their labels."""


def keep(study: WayStudy, folder: Path) -> None:
    """Write ``study.json``, ``study.md`` and ``study.png``."""
    write_texts(folder, study.to_json(), markdown_table(study))
    save_figure(study, folder / FIGURE)


def tell(study: WayStudy, folder: Path, console: Console) -> None:
    """Show the table, what it says line by line, and where it is kept."""
    console.print(f"\n[bold]{study.name}[/bold]: ", end="")
    console.print(study.title, markup=False)
    for line in study.measured:
        console.print(line, markup=False, soft_wrap=True)
    console.print(study_table(study))
    for told in (*_told(study), f"\n{study.headline}"):
        console.print(told, markup=False, soft_wrap=True)
    console.print(
        f"\nkept in {folder}: {DOCUMENT}, {TABLE} and {FIGURE}; the test split has been opened", markup=False, soft_wrap=True
    )


def study_table(study: WayStudy) -> Table:
    """One row a line, three lines each: the metrics, the difference from the first, slices, and what it took."""
    table = Table(box=box.SIMPLE_HEAD, caption=_caption(study), caption_justify="left", pad_edge=False)
    table.add_column(study.column)
    cold, tail = (f"{name} ({_counted(study, label)})" for name, label in SLICES.items())
    also = f"\n{study.also}" if study.also else ""
    for name in (
        f"{study.metric} ±seeds\ninterval{also}",
        f"less {study.first.label}\ninterval\np",
        f"{cold}\n{tail}",
        "learn\nof all",
        "time\nmemory",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for line in study.lines:
        value, spread = line.metrics[study.metric], line.spread(study.metric)
        metric = two_lines(
            f"{short(value.value)}{'' if spread is None else f' ±{short(spread)}'}",
            f"{short(value.low)}-{short(value.high)}" + (f"\n{short(line.metrics[study.also].value)}" if study.also else ""),
        )
        slices = [_sliced(line.slice(label)) for label in SLICES.values()]
        table.add_row(
            two_lines(line.label, line.detail.replace(", ", "\n")),
            metric,
            _gain(line.against),
            two_lines(*slices),
            two_lines(readable_count(line.size.learning), readable_count(line.size.parameters)),
            two_lines(_time(line), _memory(line)),
        )
    return table


def markdown_table(study: WayStudy) -> str:
    """The table as Markdown, with the sentences and notes below it."""
    also = [study.also] if study.also else []
    less = f"less {study.first.label}"
    columns = [study.column, "", study.metric, "over seeds", *also, less, "in %", "p"]
    columns += [f"{name} ({_counted(study, label)})" for name, label in SLICES.items()]
    columns += ["learning", "parameters", "time", "memory"]
    rows = [columns, ["---"] * len(columns), *(_cells(line, study, also) for line in study.lines)]
    parts = [
        f"# {study.title}",
        study.headline,
        "\n".join(markdown_row(row) for row in rows),
        _caption(study).replace("\n", "; ") + ".",
        _with_and_without_counts(study),
        "\n".join(f"- {told}" for told in (*_told(study), *study.measured)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _with_and_without_counts(study: WayStudy) -> str:
    """What is read by whether counts are added, as a small table in Markdown; empty where counts are not in question."""
    found: dict[tuple[str, ...], dict[bool, str]] = {}
    labels: dict[tuple[str, ...], str] = {}
    for line in study.lines:
        facts = line.ranked.way.facts
        read = tuple(facts.get("reads", ()))
        labels.setdefault(read, line.label)
        found.setdefault(read, {})[facts.get("counts", True)] = str(line.metrics[study.metric])
    if not all(any(counts in by for by in found.values()) for counts in (True, False)):
        return ""
    rows = [[study.metric, "with counts", "without"], ["---"] * 3]
    rows += [[labels[read], by.get(True, "-"), by.get(False, "-")] for read, by in found.items()]
    return "\n".join(markdown_row(row) for row in rows)


def readable_count(number: int) -> str:
    """A number of parameters in three figures: 950, 12.3K, 4.56M."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= 0.9995 * size:  # three figures round what is just below up to the next letter
            return f"{number / size:.3g}{letter}"
    return str(number)


def _told(study: WayStudy) -> Sequence[str]:
    left_out: Mapping[str, str] = study.left_out
    return [*study.sentences, *(f"left out: {name}: {reason}" for name, reason in left_out.items())]


def _cells(line: WayLine, study: WayStudy, also: Sequence[str]) -> list[str]:
    spread, found = line.spread(study.metric), line.against
    points = f"{found.points.value:+.4f} [{found.points.low:+.4f}, {found.points.high:+.4f}]" if found else "-"
    return [
        line.label,
        line.detail,
        str(line.metrics[study.metric]),
        "-" if spread is None else f"±{spread:.4f}",
        *(str(line.metrics[name]) for name in also),
        points,
        _percent(found) or "-" if found else "-",
        short_p(found) if found else "-",
        *(_sliced(line.slice(label)) for label in SLICES.values()),
        f"{line.size.learning:,}",
        f"{line.size.parameters:,}",
        _time(line),
        _memory(line) or "-",
    ]


def _gain(found: Contrast | None) -> Text:
    if found is None:
        return Text("-")
    points, percent = found.points, _percent(found)
    p_value = short_p(found)
    return two_lines(
        short(points.value, "+") + (f" {percent}" if percent else ""),
        f"[{short(points.low, '+')},{short(points.high, '+')}]\n{p_value}",
    )


def _percent(found: Contrast) -> str:
    value = found.percent.value
    return "" if value != value else f"{value:+.0f} %"  # not not-a-number


def _sliced(part: SliceResult | None) -> str:
    return "-" if part is None else f"{short(part.value.value)}{'†' if part.small else ''}"


def _counted(study: WayStudy, label: str) -> str:
    part = study.first.slice(label)
    return f"{part.targets:,}" if part else "0"


def _time(line: WayLine) -> str:
    return f"{duration(line.seconds)}{'+' if line.resumed else ''}"


def _memory(line: WayLine) -> str:
    return "" if line.memory is None else f"{line.memory / 2**30:.1f} GiB"


def _caption(study: WayStudy) -> str:
    settings, tests = study.settings, len(study.lines) - 1
    family = f", Holm-corrected for {tests} tests" if tests > 1 else ""
    memories = sorted({own.trained.cost.memory_of for line in study.lines for own in line.ranked.tried})
    resumed = ", + resumed: its last part" if any(line.resumed for line in study.lines) else ""
    return "\n".join(
        [
            f"±: standard deviation over seeds; less {study.first.label}: the paired difference, in %, its interval",
            f"p: paired randomisation test over users, {settings.permutations:,} relabellings{family}",
            f"cold, tail: {study.metric} of targets that no, or at most four, training events touch († few targets)",
            "learn, of all: parameters that training moves, and all of the model",
            f"time, memory: of training, all rates and seeds, and the highest peak ({', '.join(memories)}){resumed}",
        ]
    )
