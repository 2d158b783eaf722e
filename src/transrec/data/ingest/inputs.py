"""Inputs: the tables that settings name, found and opened, their columns chosen."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from transrec.data.dataset import Dataset
from transrec.data.ingest.choices import (
    EventColumns,
    EventSettings,
    ItemColumns,
    ItemSettings,
    choose_event_columns,
    choose_item_columns,
)
from transrec.data.ingest.fetch import FetchSettings
from transrec.data.pictures import PictureSettings
from transrec.data.reading import tables
from transrec.data.reading.columns import NONE, Choice
from transrec.data.reading.delimited import Format
from transrec.data.reading.tables import Table
from transrec.data.sources import SourceName, read_layout
from transrec.data.sources.layout import Layout
from transrec.errors import DataError
from transrec.settings import Settings


class FileSettings(Settings):
    """Which files hold a platform's interactions and items."""

    interactions: tuple[str, ...] = ()
    """tables of interactions: CSV, TSV, Parquet or JSON lines; files or globs"""
    items: tuple[str, ...] = ()
    """tables of items: CSV, TSV, Parquet or JSON lines; files or globs"""
    source: tuple[SourceName, Path] | None = None
    """a public format (recbole, movielens, mind, amazon2023 or hm) and the folder of its files, instead of the two above"""
    encoding: str = "utf-8"
    """the encoding of the text files"""

    @field_validator("encoding")
    @classmethod
    def _is_an_encoding(cls, name: str) -> str:
        try:
            codecs.lookup(name)
        except LookupError:
            raise ValueError(f"{name!r} is no encoding; write utf-8, latin-1, cp1252, utf-16, ...") from None
        return name


class IngestSettings(Settings):
    """What is read, and how."""

    files: FileSettings = Field(default_factory=FileSettings)
    """which files hold the interactions and the items"""
    strict: bool = False
    """stop at findings, before anything is written, instead of setting rows aside"""
    name: str | None = None
    """what to call the dataset in tables; the name of its folder by default"""
    events: EventSettings = Field(default_factory=EventSettings)
    """columns of the interactions, and which events are wanted"""
    content: ItemSettings = Field(default_factory=ItemSettings)
    """columns of the items"""
    pictures: PictureSettings = Field(default_factory=PictureSettings)
    """how pictures are decoded and stored"""
    fetch: FetchSettings = Field(default_factory=FetchSettings)
    """whether and how pictures behind addresses are fetched"""


@dataclass(frozen=True, slots=True)
class Input:
    """The tables that the settings name, with their columns chosen.

    Attributes:
        settings: the settings, filled in from a public format or an earlier ingest.
        interactions: the tables of events; may be empty when a dataset is extended.
        items: the tables of items; may be empty when a dataset is extended.
        event_columns: which column of the interactions is what.
        item_columns: which column of the items is what.
        lists: by column of the items, the mark between the members of a list.
    """

    settings: IngestSettings
    interactions: list[Table]
    items: list[Table]
    event_columns: EventColumns | None
    item_columns: ItemColumns | None
    lists: Mapping[str, str] = field(default_factory=dict)

    @property
    def choices(self) -> dict[str, list[Choice]]:
        """What was chosen, by table, to be shown."""
        chosen = {"interactions": self.event_columns, "items": self.item_columns}
        return {name: columns.choices for name, columns in chosen.items() if columns}


def open_input(settings: IngestSettings, before: Dataset | None = None) -> Input:
    """Find the tables and choose their columns.

    Args:
        settings: what is read.
        before: the dataset to be extended: what is not given is chosen as it was for it.

    Raises:
        DataError: a table or column is missing, or nothing says what it is.
    """
    layout, files = Layout((), ()), settings.files
    if files.source:
        if files.interactions or files.items:
            raise DataError("both a source and tables were given", remedy="give --source, or --interactions and --items")
        layout = read_layout(*files.source)
    plain = None if files.encoding == "utf-8" else Format(encoding=files.encoding)
    named = {"interactions": files.interactions or layout.interactions, "items": files.items or layout.items}
    if not any(named.values()) or (before is None and not all(named.values())):
        missing = " and ".join(f"--{what} FILE" for what, paths in named.items() if not paths)
        raise DataError(
            f"{missing} {'is' if any(named.values()) else 'are'} missing",
            remedy="a new dataset needs both tables, or --source",
        )
    formats = {"interactions": layout.interaction_format or plain, "items": layout.item_format or plain}
    found = {
        what: tables.find_tables(paths, what=what, format=formats[what], recasts=layout.recasts) if paths else []  # type: ignore[arg-type]
        for what, paths in named.items()
    }
    settings = _filled(settings, layout, before, found)
    event_columns = choose_event_columns(found["interactions"], settings.events) if found["interactions"] else None
    item_columns = None
    if found["items"]:
        prefer = event_columns.item.column if event_columns else None
        item_columns = choose_item_columns(found["items"], settings.content, prefer=prefer)
    return Input(settings, found["interactions"], found["items"], event_columns, item_columns, layout.lists)


def _pictures(settings: IngestSettings, layout: Layout) -> dict[str, str]:
    """Where a public format has its pictures, as far as the person did not say."""
    own = settings.content
    if layout.images and own.images is None and own.image_column != NONE:
        return {"images": str(layout.images)}
    if layout.addresses and settings.fetch.fetch_images and own.images is None and own.image_column is None:
        return {"image_column": layout.addresses}
    return {}


def _filled(
    settings: IngestSettings, layout: Layout, before: Dataset | None, found: Mapping[str, Sequence[Table]]
) -> IngestSettings:
    """Settings in which a public format, or else the earlier ingest, says what the person did not."""
    earlier: dict[str, Any] = before.manifest.get("columns", {}) if before else {}
    changes: dict[str, Any] = {}
    for group, what, roles in (
        ("events", "interactions", ("user", "item", "time", "weight")),
        ("content", "items", ("id", "text", "image_column")),
    ):
        if not found[what]:
            continue
        present = found[what][0].columns
        own = getattr(settings, group)
        known = {**{r: c for r, c in earlier.get(what, {}).items() if c in present or "{" in str(c)}, **layout.roles}
        changes[group] = {r: known[r] for r in roles if r in known and getattr(own, r) is None}
    if layout.vectors and not settings.content.vectors:
        changes.setdefault("content", {})["vectors"] = [f"{name}={column}" for name, column in layout.vectors.items()]
    changes.get("content", {}).update(_pictures(settings, layout))
    if before and (stored := before.manifest.get("pictures")):
        given = {name: getattr(settings.pictures, name) for name in settings.pictures.model_fields_set & set(stored)}
        wrong = {name: value for name, value in given.items() if value != stored[name]}
        if wrong:
            name, value = next(iter(wrong.items()))
            flag = "--" + name.replace("_", "-")
            raise DataError(
                f"the dataset's pictures were stored with {flag} {stored[name]}, now {value} is asked for",
                where=str(before.folder),
                remedy=f"leave {flag} out, or ingest everything into a new folder",
            )
        changes["pictures"] = stored
    return settings.updated(changes) if changes else settings
