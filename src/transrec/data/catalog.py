"""Catalog: what a platform offers, as items with raw content, in rows that are never renumbered."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import polars as pl
import pyarrow as pa

from transrec.data.frames import as_polars, render_text, require_columns
from transrec.data.item import RESERVED, VECTOR_PREFIX, fitted
from transrec.data.item import Item as Item
from transrec.data.item import table_of_items as table_of_items
from transrec.data.rows import InMemory, OnDisk, Rows, with_versions
from transrec.errors import DataError, UnknownItemError

if TYPE_CHECKING:
    import pandas as pd

WITHHELD = "withheld"
"""A given vector that says nothing, of items whose content was taken away: an item has to have something. It is no modality,
and equal ones are no equal content."""
TITLE_COLUMNS = ("title", "name", "headline", "item_name", "product_name")


class Catalog:
    """The ordered items of one platform: item id <-> row, and raw content by row.

    Rows are stable: appending adds rows at the end and never renumbers. Content is read on demand, so a catalog on disk
    takes memory for its ids and a few bytes an item only.

    Build one with :meth:`from_frame`, :meth:`from_items` or :meth:`open`.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        light = rows.read(["id", "content", *_presence_columns(rows.schema)])
        self.ids: list[str] = light.column("id").to_pylist()
        self._content: np.ndarray = light.column("content").to_numpy()
        self.presence: dict[str, np.ndarray] = {
            _modality(name): light.column(name).to_numpy().astype(bool) for name in _presence_columns(rows.schema)
        }
        self._read: dict[str, pl.Series] = {}
        duplicates = len(self.ids) - len(set(self.ids))
        if duplicates:
            raise DataError(
                f"{duplicates} item ids occur more than once, for example {_first_duplicate(self.ids)!r}",
                remedy="make the ids unique, or use `transrec ingest`, which keeps the first and reports the rest",
            )

    # ---- building -------------------------------------------------------------------------------------------------

    @classmethod
    def from_items(cls, items: Iterable[Item], columns: Mapping[str, Sequence[Any]] | None = None) -> Catalog:
        """A catalog in memory.

        Args:
            items: in the order of their rows.
            columns: further columns for display and filters, each as long as the items.
        """
        return cls(InMemory(table_of_items(list(items), columns)))

    @classmethod
    def from_frame(
        cls,
        frame: pl.DataFrame | pd.DataFrame,
        *,
        id: str = "item_id",
        text: str | None = None,
        image: str | None = None,
        vectors: Mapping[str, str] | None = None,
        image_folder: str | Path | None = None,
    ) -> Catalog:
        """A catalog in memory from a Polars or pandas table with one row an item.

        Args:
            frame: the table; columns not named below are kept for display and filters.
            id: the column of item ids.
            text: a column, or a template of several such as ``"{title}. {description}"`` (see :func:`render_text`).
            image: a column of encoded pictures (bytes) or of paths.
            vectors: name -> column of given vectors (lists of equal length).
            image_folder: what relative picture paths start from; the working directory when not given.

        Raises:
            DataError: a column is missing, an item has no content or a picture file is not there.
        """
        table = as_polars(frame)
        wanted = [id, *([image] if image else []), *(vectors or {}).values()]
        require_columns(table, wanted, what="the table of items")
        texts = render_text(table, text).to_list() if text else [None] * len(table)
        images = [_read_image(value, image_folder) for value in table[image]] if image else [None] * len(table)
        given = {name: table[column].to_list() for name, column in (vectors or {}).items()}
        items = []
        for row, item_id in enumerate(table[id].cast(pl.String)):
            if item_id is None:
                raise DataError("an item has no id", where=f"row {row} of the table of items")
            own = {name: np.asarray(v[row], dtype=np.float32) for name, v in given.items() if v[row] is not None}
            items.append(Item(id=item_id, text=texts[row], image=images[row], vectors=own))
        kept = [c for c in table.columns if c not in {id, image, *(vectors or {}).values()}]
        return cls.from_items(items, {name: table[name].to_list() for name in kept})

    @classmethod
    def open(cls, folder: str | Path) -> Catalog:
        """The catalog stored in a Lance dataset, read on demand.

        Raises:
            DataError: there is none, or it is damaged.
        """
        folder = Path(folder)
        if not folder.exists():
            raise DataError(f"there is no catalog at {folder}", remedy="`transrec ingest` writes one")
        return cls(OnDisk(folder))

    def save(self, folder: str | Path) -> None:
        """Write the catalog as a Lance dataset, replacing what is there."""
        table = self._rows.read(self._rows.schema.names)
        lance.write_dataset(table, str(folder), mode="overwrite" if Path(folder).exists() else "create")

    def append(self, items: Sequence[Item], columns: Mapping[str, Sequence[Any]] | None = None) -> Catalog:
        """A catalog with more items at the end, which are in memory; the rows of the present ones stay where they are.

        Args:
            items: the new ones.
            columns: further columns, each as long as the items; null in what the items or the catalog have no values for.

        Raises:
            DataError: an id is there already, or a value does not fit its column.
        """
        twice = [item.id for item in items if item.id in self]
        if twice:
            raise DataError(f"{len(twice)} items are in the catalog already, for example {twice[0]!r}")
        return self.with_versions(items, columns)

    def with_versions(self, items: Sequence[Item], columns: Mapping[str, Sequence[Any]] | None = None) -> Catalog:
        """A catalog in which these items are what they are now: newer versions in their rows, new ones at the end.

        A newer version replaces the content and the columns of the item.

        Raises:
            DataError: an id occurs twice among them, or a value does not fit its column.
        """
        if len({item.id for item in items}) < len(items):
            raise DataError(f"{_first_duplicate([i.id for i in items])!r} occurs twice", remedy="give each item once")
        new = [item.id for item in items if item.id not in self]
        replaced = self.rows([item.id for item in items])
        replaced[replaced < 0] = len(self) + np.arange(len(new))
        table = fitted(table_of_items(items, columns), self._rows.schema)
        grown = object.__new__(Catalog)
        grown._rows = with_versions(self._rows, len(self), table, replaced)
        grown.ids = [*self.ids, *new]
        grown._row_of_id = {**self._row_of_id, **{own: len(self) + place for place, own in enumerate(new)}}
        nothing = np.full(len(new), None, dtype=object)
        grown._content = np.concatenate([self._content, nothing])
        grown._content[replaced] = table.column("content").to_numpy()
        grown.presence = {}
        for name in _presence_columns(grown._rows.schema):
            known = self.presence.get(_modality(name), np.zeros(len(self), dtype=bool))
            grown.presence[_modality(name)] = own = np.concatenate([known, np.zeros(len(new), dtype=bool)])
            own[replaced] = table.column(name).to_numpy() if name in table.column_names else False
        grown._read = {name: _revised(s, table, replaced, len(grown.ids)) for name, s in self._read.copy().items()}
        return grown

    # ---- reading --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._row_of_id

    @functools.cached_property
    def _row_of_id(self) -> dict[str, int]:
        return {item_id: row for row, item_id in enumerate(self.ids)}

    def row(self, item_id: str) -> int:
        """The row of an item.

        Raises:
            UnknownItemError: the catalog does not hold it.
        """
        try:
            return self._row_of_id[item_id]
        except KeyError:
            raise UnknownItemError(
                f"the catalog has no item {item_id!r} among its {len(self):,}",
                remedy=f"ids look like {', '.join(map(repr, self.ids[:3]))}",
            ) from None

    def rows(self, item_ids: Sequence[str]) -> np.ndarray:
        """Rows of several items, int64, -1 where the catalog does not hold the id."""
        return np.array([self._row_of_id.get(item_id, -1) for item_id in item_ids], dtype=np.int64)

    def items(self, rows: Sequence[int] | np.ndarray) -> list[Item]:
        """The items of these rows, with their content, in the order asked for."""
        vector_columns = [name for name in self._rows.schema.names if name.startswith(VECTOR_PREFIX)]
        table = self._rows.take([int(r) for r in rows], ["id", "text", "image", *vector_columns])
        found = []
        for record in table.to_pylist():
            given = {
                name.removeprefix(VECTOR_PREFIX): np.asarray(record[name], dtype=np.float32)
                for name in vector_columns
                if record[name] is not None
            }
            found.append(Item(id=record["id"], text=record["text"], image=record["image"], vectors=given))
        return found

    def pictures(self, rows: Sequence[int] | np.ndarray) -> list[bytes | None]:
        """The picture files of these rows; None for an item without one."""
        found: list[bytes | None] = self._rows.take([int(r) for r in rows], ["image"]).column(0).to_pylist()
        return found

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that at least one item has, for example ``("text", "image")``."""
        return tuple(name for name, present in self.presence.items() if present.any() and name != WITHHELD)

    @property
    def bare(self) -> np.ndarray:
        """Which items have had all their content taken away, bool (V,)."""
        nothing_V: np.ndarray = self.presence.get(WITHHELD, np.zeros(len(self), dtype=bool))
        return nothing_V

    @property
    def columns(self) -> tuple[str, ...]:
        """The further columns, kept for display and filters."""
        return tuple(n for n in self._rows.schema.names if n not in RESERVED and not n.startswith((VECTOR_PREFIX, "has_")))

    def column(self, name: str) -> pl.Series:
        """One of the further columns, or ``"text"``, over all rows.

        Raises:
            DataError: there is no such column.
        """
        if name not in (*self.columns, "text"):
            raise DataError(f"the catalog has no column {name!r}", remedy=f"it has {', '.join(self.columns) or 'none'}")
        if name in self._read:
            return self._read[name]
        frame = pl.from_arrow(self._rows.read([name]))
        assert isinstance(frame, pl.DataFrame)
        if name != "text":  # filters ask again and again for columns, which are small
            self._read[name] = frame[name]
        return frame[name]

    def column_types(self) -> dict[str, str]:
        """The further columns and what each holds, as filters see it."""
        schema = self._rows.schema
        return {name: str(pl.Series(pa.array([], schema.field(name).type)).dtype) for name in self.columns}

    def record(self, row: int) -> dict[str, Any]:
        """The further columns of one item."""
        found: dict[str, Any] = self._rows.take([int(row)], ["id", *self.columns]).to_pylist()[0]
        return {name: found[name] for name in self.columns}

    def titles(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """What to show a person for these rows: the title column, else the beginning of the text, else the id."""
        named = next((c for c in TITLE_COLUMNS if c in self.columns), None)
        table = self._rows.take([int(r) for r in rows], ["id", "text", *([named] if named else [])])
        return [
            str((named and record[named]) or (record["text"] and record["text"][:80]) or f"[picture of {record['id']}]")
            for record in table.to_pylist()
        ]

    @property
    def content_keys(self) -> np.ndarray:
        """16 bytes for each row, equal where the content is; shape (V,), dtype object."""
        return self._content

    @functools.cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change when an id or any content changes."""
        digest = hashlib.blake2b(digest_size=16)
        for item_id, content in zip(self.ids, self._content, strict=True):
            digest.update(f"{len(item_id)}:{item_id}".encode())
            digest.update(content)
        return digest.hexdigest()


def _revised(known: pl.Series, table: pa.Table, replaced: np.ndarray, size: int) -> pl.Series:
    """A column that was read, with newer versions of some values and further ones."""
    if known.name in table.column_names:
        values = pl.Series(known.name, table.column(known.name).to_pylist(), dtype=known.dtype)
    else:
        values = pl.Series(known.name, [None] * len(replaced), dtype=known.dtype)
    place_V = np.arange(size)
    place_V[replaced] = len(known) + np.arange(len(replaced))
    return pl.concat([known, values]).gather(place_V)


def _presence_columns(schema: pa.Schema) -> list[str]:
    return [n for n in schema.names if n in ("has_text", "has_image") or n.startswith("has_" + VECTOR_PREFIX)]


def _modality(presence_column: str) -> str:
    return presence_column.removeprefix("has_").removeprefix(VECTOR_PREFIX)


def _first_duplicate(ids: Sequence[str]) -> str:
    seen: set[str] = set()
    for item_id in ids:
        if item_id in seen:
            return item_id
        seen.add(item_id)
    raise AssertionError("called without a duplicate")


def _read_image(value: object, folder: str | Path | None) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    path = Path(folder or ".") / str(value)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"the picture cannot be read: {error.strerror}", where=str(path)) from error
