"""A study for people: one table on the screen, the same as Markdown, and everything as files in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from transrec.data.sealing import write_whole
from transrec.evaluation.contrasts import Contrast
from transrec.recipes.comparing.cells import short, short_p, two_lines
from transrec.recipes.comparing.results import RowResult
from transrec.recipes.opening import write_document
from transrec.recipes.studies.figure import save_figure
from transrec.recipes.studies.study import Line, Study

DOCUMENT, TABLE, FIGURE = "study.json", "study.md", "study.png"


def keep(study: Study, folder: Path) -> None:
    """Write ``study.json``, ``study.md`` and ``study.png``."""
    write_texts(folder, study.to_json(), markdown_table(study))
    save_figure(study, folder / FIGURE)


def write_texts(folder: Path, document: Mapping[str, Any], table: str) -> None:
    """Write ``study.json`` and ``study.md`` of a study of any kind; the folder is made.

    Args:
        folder: where to.
        document: everything, as values that JSON can hold.
        table: for people, as Markdown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_document(document, folder / DOCUMENT)
    write_whole(folder / TABLE, table)


def tell(study: Study, folder: Path, console: Console) -> None:
    """Show the table, what it says line by line, and where it is kept."""
    console.print(f"\n[bold]{study.name}[/bold]: ", end="")
    console.print(study.title, markup=False)
    console.print(study_table(study))
    for line, sentence in zip(study.lines, study.sentences, strict=True):
        console.print(f"- {line.label}: {sentence}", markup=False, soft_wrap=True)
    for name, reason in study.left_out.items():
        console.print(f"left out: {name}: {reason}", markup=False, soft_wrap=True)
    for note in study.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    console.print(f"\n{study.headline}", markup=False, soft_wrap=True, style="bold")
    console.print(
        f"\nkept in {folder}: {DOCUMENT}, {TABLE} and {FIGURE}; the test split has been opened", markup=False, soft_wrap=True
    )


def study_table(study: Study) -> Table:
    """One row a line, two lines each: the metric of every row with its interval, and what the transfer adds."""
    table = Table(box=box.SIMPLE_HEAD, caption=_caption(study), caption_justify="left", pad_edge=False)
    table.add_column(study.column.replace(" ", "\n"))
    for label in (*study.row_labels, "transferred\nless scratch", "p\nin %"):
        table.add_column(label, justify="right")
    for line, transfer in zip(study.lines, study.transfers, strict=True):
        table.add_row(
            two_lines(line.label, line.detail),
            *(_value(line.row(label), study) for label in study.row_labels),
            *_gain(transfer),
        )
    return table


def markdown_table(study: Study) -> str:
    """The table as Markdown, with the sentences and notes below it."""
    columns = [study.column, "", *study.row_labels, "transferred less scratch", "p"]
    lines = [markdown_row(columns), markdown_row(["---"] * len(columns))]
    for line, transfer in zip(study.lines, study.transfers, strict=True):
        values = [_written(line, label, study) for label in study.row_labels]
        gain = [str(transfer.points), short_p(transfer)] if transfer else ["-", "-"]
        lines.append(markdown_row([line.label, line.detail, *values, *gain]))
    told = [f"- {line.label}: {sentence}" for line, sentence in zip(study.lines, study.sentences, strict=True)]
    told += [f"- left out: {name}: {reason}" for name, reason in study.left_out.items()]
    told += [f"- {note}" for note in study.notes]
    parts = [
        f"# {study.title}",
        study.headline,
        "\n".join(lines),
        _caption(study).replace("\n", "; ") + ".",
        "\n".join(told),
    ]
    return "\n\n".join(parts) + "\n"


def _value(row: RowResult | None, study: Study) -> Text:
    if row is None:
        return Text("-")
    value = row.metrics[study.metric]
    return two_lines(short(value.value), f"{short(value.low)}-{short(value.high)}")


def _gain(transfer: Contrast | None) -> tuple[Text, Text]:
    if transfer is None:
        return Text("-"), Text("-")
    points, percent = transfer.points, transfer.percent.value
    return (
        two_lines(short(points.value, "+"), f"[{short(points.low, '+')},{short(points.high, '+')}]"),
        two_lines(short_p(transfer), "" if percent != percent else f"{percent:+.0f} %"),  # not not-a-number
    )


def _written(line: Line, label: str, study: Study) -> str:
    row = line.row(label)
    return str(row.metrics[study.metric]) if row else "-"


def markdown_row(cells: list[str]) -> str:
    """Cells as a row of a table in Markdown."""
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _caption(study: Study) -> str:
    settings = study.lines[0].comparison.settings
    tests = max((own.tests for own in study.transfers if own), default=0)
    family = f", Holm-corrected for {tests} tests" if tests > 1 else ""
    [share] = settings.fractions
    few = f"; {share:.3g} of the target's users train" if share < 1 else ""
    return (
        f"{study.metric} on test users, mean over seeds {', '.join(map(str, settings.seeds))}; intervals over users{few}\n"
        f"p: paired randomisation test over users, {settings.permutations:,} relabellings{family}"
    )
