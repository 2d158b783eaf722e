"""ContentStore: every item's content made ready once, memory-mapped, gathered by row."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from transrec.data.batches import ItemBatch
from transrec.data.catalog import Catalog
from transrec.data.columns import Column, FixedColumn, open_columns
from transrec.data.filling import Filling
from transrec.data.folders import grown_once
from transrec.data.packing import unpacking
from transrec.data.parts import Derivation, StoredPart
from transrec.data.preparation import Preparer, Progress, Say, derive_all, prepare_all, require_room
from transrec.errors import DataError

__all__ = ["ContentStore", "Derivation", "Preparer", "Progress", "Say", "StoredPart"]

FORMAT = 2
"""Of what is kept; another number is another name on disk."""


class ContentStore:
    """The prepared content of one catalog.

    Build one with :meth:`prepare`; gather any rows with :meth:`gather`.

    Args:
        size: of the catalog.
        parts: by modality.
        platform: of the platforms that a model knows, which one this is.
    """

    def __init__(self, size: int, parts: Mapping[str, StoredPart], platform: int = 0) -> None:
        self._size = size
        self.parts = parts
        self.platform = platform
        readable = np.zeros(size, dtype=bool)
        for part in parts.values():
            readable |= part.slots_V >= 0
        self.unreadable = np.flatnonzero(~readable)
        """Rows of items of which no encoder can make anything; their vector is zero."""

    @classmethod
    def prepare(
        cls,
        catalog: Catalog,
        encoders: Mapping[str, Preparer],
        folder: Path | None = None,
        *,
        progress: Progress | None = None,
        say: Say | None = None,
    ) -> ContentStore:
        """Prepare every item once; what is in the folder already, under the same key, is used as it is.

        Args:
            catalog: the items.
            encoders: by modality.
            folder: where to keep the content; in memory when None.
            progress: told how far it is.
            say: told in a line how much room is needed, where that is much.

        Raises:
            DataError: the content of an item cannot be read, or the disk has no room for what is prepared.
        """
        parts = {}
        for name, encoder in encoders.items():
            packings = encoder.packings()
            kept_as = [f"{own} {packing.key}" for own, packing in sorted(packings.items())]
            key = _digest(name, encoder.preparation_key(), catalog.fingerprint, *kept_as)
            room = None if folder is None else functools.partial(require_room, encoder, folder, say)
            fill = functools.partial(prepare_all, catalog, encoder, progress, room)
            columns, _ = _kept(folder, f"{name}-{key}", f"the {name} encoder", fill)
            slots_V = np.full(len(catalog), -1, dtype=np.int64)
            if columns:
                rows, slots = (_values(columns.pop(own)) for own in ("_rows", "_slots"))
                slots_V[rows] = slots
                del columns["_digests"]
                columns = unpacking(columns, packings)
            parts[name] = StoredPart(slots_V, columns, key)
        return cls(len(catalog), parts)

    def __len__(self) -> int:
        return self._size

    def require_readable(self, encoders: Iterable[str], name: str) -> None:
        """Raise a DataError when no encoder can make anything of any item.

        Args:
            encoders: the modalities that are read.
            name: of the dataset.

        Raises:
            DataError: see above.
        """
        if len(self.unreadable) == self._size:
            raise DataError(
                f"the model reads {', '.join(encoders)}, and no item of {name} has any of it",
                remedy="choose a model that was trained on what this platform has",
            )

    def gather(self, rows: np.ndarray) -> ItemBatch:
        """The items of these distinct rows, in this order."""
        found = {name: part.gather(rows) for name, part in self.parts.items()}
        parts = {name: part for name, part in found.items() if part is not None}
        return ItemBatch(len(rows), parts, self.platform)

    def loads(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each of these rows a number that items of equal content share, and how much there is to encode, both int64.

        Items count as equal by the first modality that they have, so that none of its content is encoded twice.
        """
        same, sizes = np.full(len(rows), -1, dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
        begin = 0
        for part in self.parts.values():
            slots = part.slots_V[rows]
            held = slots >= 0
            sizes[held] += part.sizes(slots[held])
            first = held & (same < 0)
            same[first] = begin + slots[first]
            begin += len(part)
        alone = same < 0  # nothing is encoded of these, whoever has them
        same[alone] = begin + rows[alone]
        return same, sizes

    def of_platform(self, platform: int) -> ContentStore:
        """The same content as that of another of the platforms that a model knows."""
        return ContentStore(self._size, self.parts, platform)

    def of_rows(self, rows: np.ndarray) -> ContentStore:
        """The content of these rows alone, which are then numbered from 0; nothing is copied."""
        parts = {name: replace(part, slots_V=part.slots_V[rows]) for name, part in self.parts.items()}
        return ContentStore(len(rows), parts, self.platform)

    def sample(self, count: int, *, seed: int, batch_size: int = 256) -> Iterator[ItemBatch]:
        """Some content of every modality, one modality a batch: always the same for the same seed.

        Args:
            count: how many items of each modality; all that have it, where there are no more.
            seed: of the draw.
            batch_size: items in a batch.
        """
        generator = np.random.default_rng(seed)
        for name, part in self.parts.items():
            rows = generator.permutation(np.flatnonzero(part.slots_V >= 0))[:count]
            for start in range(0, len(rows), batch_size):
                batch = self.gather(np.sort(rows[start : start + batch_size]))
                yield replace(batch, parts={name: batch.parts[name]})

    def in_order(self, window: int) -> np.ndarray:
        """All rows, and within each window of so many rows, in which they stay, those with little ragged content first.

        Items of about one length are encoded together with little padding; a window keeps reading from disk local.
        """
        sizes = np.zeros(self._size, dtype=np.int64)
        for part in self.parts.values():
            held = np.flatnonzero(part.slots_V >= 0)
            sizes[held] += part.sizes(part.slots_V[held])
        return np.lexsort((sizes, np.arange(self._size) // window))

    def with_derived(
        self, name: str, derivation: Derivation, folder: Path | None, *, progress: Progress | None = None
    ) -> ContentStore:
        """This store with one modality replaced by what its encoder makes of it once and for all.

        Args:
            name: the modality.
            derivation: what is made.
            folder: where to keep it; in memory when None.
            progress: told how far it is.
        """
        part = self.parts[name]
        key = self._key(name, derivation)
        fill = functools.partial(derive_all, part, derivation, progress)
        columns, notes = _kept(folder, f"{name}-{_kind(derivation)}-{key}", f"the {name} encoder", fill)
        columns |= {passed: part.columns[passed] for passed in notes.get("passed", ())}
        final = derivation.below == 0
        derived = StoredPart(part.slots_V, columns, key, derivation.below, final)
        return ContentStore(self._size, {**self.parts, name: derived}, self.platform)

    def holds(self, name: str, derivation: Derivation, folder: Path | None) -> bool:
        """Whether :meth:`with_derived` would find everything made already."""
        return folder is not None and (folder / f"{name}-{_kind(derivation)}-{self._key(name, derivation)}").exists()

    def _key(self, name: str, derivation: Derivation) -> str:
        return _digest(self.parts[name].key, derivation.key)


def _kept(
    folder: Path | None, name: str, maker: str, fill: Callable[[Filling], None]
) -> tuple[dict[str, Column], dict[str, Any]]:
    """The columns that stand under this name and the notes to them, made now if they are not there."""
    if folder is None:
        filling = Filling(None, maker)
        fill(filling)
        return filling.finish(), filling.notes

    def make(building: Path) -> None:
        filling = Filling(building, maker)
        try:
            fill(filling)
        except BaseException:
            filling.close()
            raise
        filling.finish()

    return open_columns(grown_once(folder / name, make))


def _kind(derivation: Derivation) -> str:
    return f"below-{derivation.below}" if derivation.below else "vectors"


def _values(column: Column) -> np.ndarray:
    """All entries of a column of a fixed shape."""
    assert isinstance(column, FixedColumn)
    return column.array


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\0".join((str(FORMAT), *texts)).encode(), digest_size=12).hexdigest()
