"""Ingest: read tables and pictures, write a dataset folder, say what was found."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from transrec.data.ingest import ingest as data
from transrec.data.ingest.ingest import Ingested
from transrec.data.ingest.inputs import IngestSettings, Input
from transrec.data.reading.findings import counted


def ingest(settings: IngestSettings, out: Path, *, console: Console | None = None) -> Ingested:
    """Write or extend a dataset folder and tell about it.

    Raises:
        DataError: the tables cannot be used, or, with ``strict``, there are findings.
    """
    console = console or Console()
    with progress(console) as shown:
        result = data.ingest(settings, out, progress=shown, announce=lambda given: announce(given, console))
    if len(result.findings):
        console.print(result.findings.shown())
        console.print(f"Every finding with its file and row: {out / 'rejects.parquet'}", markup=False)
    for line in _told(result):
        console.print(line, markup=False, highlight=False)
    console.print(f"\nNext: transrec check {out}\n      transrec train {out} --out RUN", markup=False, highlight=False)
    return result


def progress(console: Console) -> Progress:
    """A display for long work: what, how far, how long."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def announce(given: Input, console: Console) -> None:
    """Say which files are read and which columns were chosen, guesses marked as such."""
    for what, choices in given.choices.items():
        files = given.interactions if what == "interactions" else given.items
        more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
        console.print(f"{what}: {files[0].path}{more}", markup=False, highlight=False)
        for choice in choices:
            console.print(f"  {choice.shown}", markup=False, highlight=False)


def _told(result: Ingested) -> list[str]:
    dataset = result.dataset
    told = [
        f"{counted(own.removed, 'event')} removed by the filter: {own.name}"
        for own in (result.events.filters if result.events else [])
    ]
    if result.roll.repeated:
        told.append(f"{counted(result.roll.repeated, 'item row')} with the content that the item has already")
    if result.events and result.events.present:
        told.append(f"{counted(result.events.present, 'event')} in the dataset already")
    modalities = ", ".join(f"{number:,} with {name}" for name, number in dataset.manifest["modalities"].items())
    told.append(
        f"{dataset.name}: {counted(len(dataset.interactions.users), 'user')}, {counted(len(dataset.catalog), 'item')} "
        f"({modalities}), {counted(len(dataset.interactions), 'interaction')} -> {dataset.folder}"
    )
    return told
