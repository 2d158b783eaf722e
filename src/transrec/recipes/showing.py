"""Tables and progress lines for people, shared by the verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from transrec.rules import Fate, pace_columns, summarised
from transrec.runs import PARAMETERS


def fate_table(fates: Sequence[Fate]) -> Table:
    """What becomes of every part of a model: where it comes from, how much of it learns, and how where that differs."""
    table = Table(title="parameters", title_justify="left")
    table.add_column("part", overflow="fold")
    table.add_column("from", overflow="fold")
    table.add_column("learning", justify="right", no_wrap=True)
    table.add_column("all", justify="right", no_wrap=True)
    rows = summarised(fates)
    paces = pace_columns(rows)
    for heading in paces:
        table.add_column(heading, justify="right", overflow="fold")
    for row, *cells in zip(rows, *paces.values(), strict=True):
        table.add_row(row.part, row.source, f"{row.learning:,}", f"{row.total:,}", *cells)
    table.add_section()
    kept = [row for row in rows if row.source != "drop"]
    table.add_row("sum", "", f"{sum(r.learning for r in kept):,}", f"{sum(r.total for r in kept):,}")
    return table


def tell_of_parameters(console: Console) -> None:
    """Say where each parameter is by itself, of which the table shows sums.

    Not by its whole path: a run that a comparison or a study makes is put in its place when it is done.
    """
    told = f"each parameter by itself, with where it comes from and whether and how fast it learns: {PARAMETERS} of the run"
    console.print(told, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(console: Console | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """A function that draws how much of what is done; each kind of work has a line of its own."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console or Console(stderr=True)) as progress:
        tasks = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield report


def next_steps(*commands: str) -> None:
    """Tell the person which commands make sense now; nothing where there are none."""
    if not commands:
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("\nNext:", style="bold")
    for command in commands:
        console.print(f"  {command}", markup=False)
