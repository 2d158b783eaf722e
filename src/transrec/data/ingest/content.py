"""Content: rows of item tables become items with text, picture and vectors; whatever is wrong is recorded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import final

import numpy as np
import polars as pl

from transrec.data.frames import render_text
from transrec.data.ingest.choices import ItemColumns, ItemSettings
from transrec.data.ingest.fetch import Fetcher, is_address
from transrec.data.ingest.vectors import parse_vector
from transrec.data.item import Item
from transrec.data.pictures import PictureFolder, PictureSettings, encode, own_limits
from transrec.data.reading import tables
from transrec.data.reading.findings import Findings, Place, Reason, Trouble
from transrec.data.reading.tables import LINE, ROW, Table
from transrec.errors import DataError

_WITH_PICTURES, _WITHOUT = 256, 8192  # rows held at once


@dataclass(frozen=True, slots=True)
class Part:
    """Some items with the further columns of their rows."""

    items: list[Item]
    columns: pl.DataFrame


@dataclass(slots=True)
class Roll:
    """What has been seen: by id the content key; how many rows were read, and how many only repeated an item."""

    content: dict[str, bytes] = field(default_factory=dict)
    read: int = 0
    repeated: int = 0


@final
class ItemReader:
    """Reads item tables part by part, so that only some pictures are in memory at a time."""

    def __init__(
        self,
        columns: ItemColumns,
        settings: ItemSettings,
        pictures: PictureSettings,
        fetcher: Fetcher,
        *,
        lists: Mapping[str, str] | None = None,
    ) -> None:
        self._columns = columns
        self._settings = settings
        self._pictures = pictures
        self._fetcher = fetcher
        self._lists = lists or {}
        self._widths: dict[str, int] = {}

    def read(
        self,
        found: Sequence[Table],
        roll: Roll,
        findings: Findings,
        *,
        widths: Mapping[str, int],
        advance: Callable[[int], None],
    ) -> Iterator[Part]:
        """The items that are new to ``roll``, in the order of the tables.

        Args:
            found: the tables.
            roll: what has been seen; extended.
            findings: what is wrong; extended.
            widths: of each given vector.
            advance: told how many rows were read.
        """
        self._widths = dict(widths)
        with own_limits(), ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 2)) as pool:
            for table in found:
                folder = self._folder(table)
                has_pictures = bool(self._columns.image.column or self._settings.images)
                for frame in tables.frames(
                    table, what="items", findings=findings, size=_WITH_PICTURES if has_pictures else _WITHOUT
                ):
                    yield self._part(table, self._prepared(frame), folder, pool, roll, findings)
                    advance(len(frame))

    def _folder(self, table: Table) -> PictureFolder | None:
        if not (self._settings.images or self._columns.image.column):
            return None
        folder = self._settings.images or table.path.parent
        if not folder.is_dir():
            raise DataError(f"there is no folder of pictures at {folder}", remedy="check --images")
        by_id = self._columns.image.column is None
        pictures = PictureFolder(folder, by_id=by_id)
        if by_id and not len(pictures):
            raise DataError(
                f"the folder {folder} holds no pictures",
                remedy="--images takes a folder of files named by item id, such as 42.jpg; or name the column of paths "
                "with --image-column",
            )
        return pictures

    def _prepared(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Lists as text: those that a source declares, and Parquet's lists of strings."""
        joined = [
            pl.col(name).list.drop_nulls().list.join(" ").alias(name)
            for name, kind in frame.schema.items()
            if kind == pl.List(pl.String) and name not in self._settings.vector_columns.values()
        ]
        marked = [
            pl.col(name).str.replace_all(mark, ", ", literal=True) for name, mark in self._lists.items() if name in frame
        ]
        return frame.with_columns(*joined, *marked)

    def _part(
        self,
        table: Table,
        frame: pl.DataFrame,
        folder: PictureFolder | None,
        pool: Executor,
        roll: Roll,
        findings: Findings,
    ) -> Part:
        assert self._columns.id.column
        ids = id_strings(frame[self._columns.id.column]).to_list()
        texts = render_text(frame, self._columns.text.column).to_list() if self._columns.text.column else [None] * len(ids)
        values = frame[self._columns.image.column].to_list() if self._columns.image.column else [None] * len(ids)
        pictures: list[bytes | Trouble | None] = [None] * len(ids)
        if folder is not None:
            inside = folder
            pictures = list(pool.map(lambda own: self._picture(own[0], own[1], inside), zip(ids, values, strict=True)))
        vectors = {name: frame[column].to_list() for name, column in self._columns.vectors.items()}
        places = [table.place("items", row, line) for row, line in frame.select(ROW, LINE).iter_rows()]
        items: list[Item] = []
        taken: list[int] = []
        for at, place in enumerate(places):
            given = {name: self._vector(name, column[at]) for name, column in vectors.items()}
            item = self._item(place, ids[at], texts[at], pictures[at], given, findings)
            if item is not None and _is_new(item, place, roll, findings):
                items.append(item)
                taken.append(at)
        roll.read += len(frame)
        kept = [name for name in self._columns.kept if name in frame.columns]
        return Part(items, frame.select(kept)[taken])

    def _item(
        self,
        place: Place,
        item_id: str | None,
        text: str | None,
        picture: bytes | Trouble | None,
        vectors: Mapping[str, np.ndarray | Trouble | None],
        findings: Findings,
    ) -> Item | None:
        """The item of one row, or None; what is wrong is recorded."""
        troubles = [value for value in (picture, *vectors.values()) if isinstance(value, Trouble)]
        if text is not None and "\0" in text:
            troubles.append(Trouble(Reason.NUL_BYTE, f"in the text of item {item_id!r}"))
            text = None
        image = picture if isinstance(picture, bytes) else None
        given = {name: value for name, value in vectors.items() if isinstance(value, np.ndarray)}
        if not item_id or "\0" in item_id:
            findings.add(place, Trouble(Reason.NUL_BYTE if item_id else Reason.NO_ID, repr(item_id)))
            return None
        has_content = text is not None or image is not None or bool(given)
        for trouble in troubles:
            findings.add(place, Trouble(trouble.reason, f"item {item_id!r}: {trouble.detail}"), kept=has_content)
        if not has_content:
            if not troubles:  # else the row has its reasons already
                findings.add(place, Trouble(Reason.NO_CONTENT, f"item {item_id!r}"))
            return None
        if text is None and self._columns.text.column and not any(t.reason == Reason.NUL_BYTE for t in troubles):
            findings.add(place, Trouble(Reason.EMPTY_TEXT, f"item {item_id!r}"), kept=True)
        return Item(id=item_id, text=text, image=image, vectors=given)

    def _picture(self, item_id: str | None, value: object, folder: PictureFolder) -> bytes | Trouble | None:
        """The stored form of an item's picture, what is wrong with it, or None where it has none."""
        if item_id is None:
            return None
        raw: bytes | Trouble
        if self._columns.image.column is None:
            path = folder.of_item(item_id)
            if path is None:
                return None
            raw = folder.read(path.name, self._pictures.max_picture_bytes)
        else:
            value = value.get("bytes") or value.get("path") if isinstance(value, dict) else value
            if value is None or value in ("", b""):
                return None
            if isinstance(value, bytes):
                raw = value
            elif is_address(str(value)):
                raw = self._fetcher.fetch(str(value))
            else:
                raw = folder.read(str(value), self._pictures.max_picture_bytes)
        return raw if isinstance(raw, Trouble) else encode(raw, self._pictures)

    def _vector(self, name: str, value: object) -> np.ndarray | Trouble | None:
        vector = parse_vector(value)
        if not isinstance(vector, np.ndarray):
            return Trouble(Reason.BAD_VECTOR, f"{name}: {vector.detail}") if vector else None
        if len(vector) != self._widths[name]:
            return Trouble(Reason.BAD_VECTOR, f"{name}: {len(vector)} numbers, not {self._widths[name]}")
        return vector


def _is_new(item: Item, place: Place, roll: Roll, findings: Findings) -> bool:
    key = item.content_key()
    before = roll.content.setdefault(item.id, key)
    if before is key:
        return True
    if before == key:
        roll.repeated += 1
    else:
        findings.add(place, Trouble(Reason.DUPLICATE_ID, f"item {item.id!r}"))
    return False


def id_strings(ids: pl.Series) -> pl.Series:
    """Ids as strings; whole numbers that pandas turned into floats lose their ``.0``; empty ones are null."""
    if ids.dtype.is_float() and bool((ids.drop_nulls() == ids.drop_nulls().floor()).all()):
        ids = ids.cast(pl.Int64, strict=False)
    strings = ids.cast(pl.String)
    return strings.replace({"": None})
