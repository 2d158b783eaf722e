"""Ingest: tables and pictures become a dataset folder; nothing is dropped without being recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.progress import Progress

from transrec._version import __version__
from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.ingest import events
from transrec.data.ingest.content import ItemReader, Roll
from transrec.data.ingest.events import Events
from transrec.data.ingest.fetch import Fetcher
from transrec.data.ingest.inputs import IngestSettings, Input, open_input
from transrec.data.ingest.progress import Steps
from transrec.data.ingest.vectors import vector_widths
from transrec.data.ingest.writing import CatalogWriter, catalog_schema, put_back, whole_folder
from transrec.data.reading import tables
from transrec.data.reading.damage import told_of
from transrec.data.reading.findings import Findings
from transrec.errors import DataError


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingest made.

    Attributes:
        dataset: the dataset, opened from its folder.
        findings: what was wrong.
        roll: the items that were read.
        events: the events that were read; None where no table of interactions was given.
    """

    dataset: Dataset
    findings: Findings
    roll: Roll
    events: Events | None


def ingest(
    settings: IngestSettings,
    out: str | Path,
    *,
    progress: Progress | None = None,
    announce: Callable[[Input], None] = lambda _: None,
) -> Ingested:
    """Read tables and pictures, and write or extend a dataset folder.

    Items that the folder holds keep their rows; new ones are added at the end, and so are events. Nothing is at ``out``
    until all is written.

    Args:
        settings: what is read, and how.
        out: the dataset folder; extended where it is one already.
        progress: where to show how far the work has come.
        announce: told what will be read, before the work begins.

    Raises:
        DataError: the tables cannot be used, or, with ``strict``, there are findings.
    """
    out = Path(out)
    put_back(out)
    before = Dataset.open(out) if (out / "dataset.json").exists() else None
    given = open_input(settings, before)
    announce(given)
    findings, steps = Findings(), Steps(progress)
    with whole_folder(out) as folder:
        roll = _write_items(given, out, folder, before, findings, steps)
        catalog = Catalog.open(folder / "catalog.lance") if (folder / "catalog.lance").exists() else None
        if catalog is None:
            raise DataError(
                "none of the items can be used: " + _told(findings), remedy="`transrec check` shows each with its remedy"
            )
        read = read_all_events(given, catalog.ids, findings, steps, before=before)
        interactions = read.interactions if read else before.interactions if before else None
        if not interactions:
            raise DataError(
                "no event is left: " + _told(findings, read), remedy="`transrec check` shows each with its remedy"
            )
        if settings.strict:
            findings.raise_if_any()
        interactions.save(folder / "interactions.parquet")
        manifest = _manifest(given, before, findings, roll, read)
        _save_rejects(findings, out if before else None, folder, len(manifest["ingests"]))
        name = settings.name or (before.name if before else out.resolve().name)
        Dataset(catalog, interactions, name, folder, manifest).write_manifest(folder)
    return Ingested(Dataset.open(out), findings, roll, read)


def reader_of_items(given: Input, out: Path) -> ItemReader:
    """The reader for the item tables of an input, with fetched pictures kept beside ``out``."""
    assert given.item_columns is not None
    settings = given.settings
    kept = settings.fetch.fetch_folder or out.resolve().with_name(out.resolve().name + ".fetched")
    return ItemReader(
        given.item_columns, settings.content, settings.pictures, Fetcher(settings.fetch, kept), lists=given.lists
    )


def read_all_events(
    given: Input,
    item_ids: Sequence[str],
    findings: Findings,
    steps: Steps,
    *,
    before: Dataset | None = None,
    count_disorder: bool = False,
) -> Events | None:
    """The events of an input, merged with those of an earlier ingest; None where it has no table of them."""
    if not given.event_columns:
        return None
    advance = steps.step("Interactions", total=1)
    read = events.read_events(
        given.interactions,
        given.event_columns,
        given.settings.events,
        item_ids,
        findings,
        before=before.interactions if before else None,
        count_disorder=count_disorder,
    )
    advance(1)
    return read


def _write_items(given: Input, out: Path, folder: Path, before: Dataset | None, findings: Findings, steps: Steps) -> Roll:
    roll = Roll(dict(zip(before.catalog.ids, before.catalog.content_keys, strict=True)) if before else {})
    if not given.item_columns:
        return roll
    widths = vector_widths(given.items, given.item_columns.vectors)
    writer = CatalogWriter(folder / "catalog.lance", catalog_schema(given.items, given.item_columns.kept, widths))
    advance = steps.step("Items", total=sum(map(tables.about_rows, given.items)))
    for part in reader_of_items(given, out).read(given.items, roll, findings, widths=widths, advance=advance):
        writer.write(part)
    writer.flush()
    return roll


def _save_rejects(findings: Findings, before: Path | None, folder: Path, number: int) -> None:
    frame = findings.frame().with_columns(ingest=pl.lit(number, pl.Int64))
    if before and (before / "rejects.parquet").exists():
        with told_of(before / "rejects.parquet"):
            frame = pl.concat([pl.read_parquet(before / "rejects.parquet"), frame], how="diagonal")
    frame.write_parquet(folder / "rejects.parquet")


def _manifest(given: Input, before: Dataset | None, findings: Findings, roll: Roll, read: Events | None) -> dict[str, Any]:
    old = before.manifest if before else {}
    columns = {what: {c.role: c.column for c in choices if c.column} for what, choices in given.choices.items()}
    entry: dict[str, Any] = {
        "transrec": __version__,
        "files": {"interactions": [str(t.path) for t in given.interactions], "items": [str(t.path) for t in given.items]},
        "columns": columns,
        "item_rows_read": roll.read,
        "item_rows_repeated": roll.repeated,
        "event_rows_read": read.read if read else 0,
        "event_rows_present": read.present if read else 0,
        "filters": [asdict(own) for own in read.filters] if read else [],
        "findings": [{**asdict(tally), "reason": tally.reason.value} for tally in findings.tallies()],
        "settings": given.settings.model_dump(mode="json"),
    }
    stored = given.settings.pictures.model_dump(include={"picture_side", "picture_quality"})
    return {
        **old,
        "columns": {**old.get("columns", {}), **columns},
        "pictures": old.get("pictures", stored),
        "filters": [*old.get("filters", []), *entry["filters"]],
        "ingests": [*old.get("ingests", []), entry],
    }


def _told(findings: Findings, read: Events | None = None) -> str:
    told = [
        f"{t.dropped:,} rows of the {t.table} were set aside ({t.reason.value})" for t in findings.tallies() if t.dropped
    ]
    told += [f"{own.removed:,} events were removed by the filter {own.name!r}" for own in (read.filters if read else [])]
    return "; ".join(told) or "the tables hold no rows"
