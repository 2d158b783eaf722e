"""ContentStore: every item's content made ready once, memory-mapped, gathered by row."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from transrec.data.batches import ItemBatch, ItemPart
from transrec.data.catalog import Catalog, Item
from transrec.data.folders import made_once
from transrec.errors import DataError

CHUNK = 256
"""Items that are prepared at a time."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much is done, and of how much."""


class Preparer(Protocol):
    """What the store needs of a modality's encoder."""

    modality: str

    def reads(self, item: Item) -> bool:
        """Whether it can make something of the item."""
        ...

    def prepare(self, items: Sequence[Item]) -> Mapping[str, Tensor]:
        """Tensors of shape (n, ...) whose further axes do not depend on the items."""
        ...

    def preparation_key(self) -> str:
        """A text that changes whenever ``prepare`` would return something else for the same item."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class StoredPart:
    """One modality of a whole catalog.

    Attributes:
        slots_V: where each row's content stands in the arrays, int64; -1 where the item lacks the modality.
        arrays: what the encoder prepared, each (n, ...); or the vectors of an encoder that learns nothing, (n, width).
        key: changes whenever the arrays would.
    """

    slots_V: np.ndarray
    arrays: Mapping[str, np.ndarray] | np.ndarray
    key: str

    def gather(self, rows: np.ndarray) -> ItemPart | None:
        """The content of those of these rows that have it; None when none has."""
        slots = self.slots_V[rows]
        index_n = np.flatnonzero(slots >= 0)
        if not len(index_n):
            return None
        slots = slots[index_n]
        content: Mapping[str, Tensor] | Tensor
        if isinstance(self.arrays, np.ndarray):
            content = torch.from_numpy(np.asarray(self.arrays[slots]))
        else:
            content = {name: torch.from_numpy(np.asarray(array[slots])) for name, array in self.arrays.items()}
        return ItemPart(torch.from_numpy(index_n), content)


class ContentStore:
    """The prepared content of one catalog.

    Build one with :meth:`prepare`; gather any rows with :meth:`gather`.
    """

    def __init__(self, size: int, parts: Mapping[str, StoredPart]) -> None:
        self._size = size
        self.parts = parts
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
    ) -> ContentStore:
        """Prepare every item once; what is in the folder already, under the same key, is used as it is.

        Args:
            catalog: the items.
            encoders: by modality.
            folder: where to keep the arrays; in memory when None.
            progress: told how far it is.

        Raises:
            DataError: the content of an item cannot be read.
        """
        parts = {}
        for name, encoder in encoders.items():
            key = _digest(name, encoder.preparation_key(), catalog.fingerprint)
            fill = functools.partial(_fill, catalog, encoder, progress)
            parts[name] = _stored(folder, f"{name}-{key}", key, fill)
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
        return ItemBatch(len(rows), {name: part for name, part in found.items() if part is not None})

    def with_vectors(
        self, name: str, key: str, folder: Path | None, encode: Callable[[Iterator[ItemPart], np.ndarray], None], width: int
    ) -> ContentStore:
        """This store with one modality replaced by the vectors that its encoder, which learns nothing, makes of it.

        Args:
            name: the modality.
            key: changes whenever the encoder's weights do.
            folder: where to keep the vectors; in memory when None.
            encode: fills the given array of shape (n, width) from parts that come in order.
            width: of the vectors.
        """
        part = self.parts[name]
        full_key = _digest(part.key, key)

        def fill(to: Path | None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            holders = np.flatnonzero(part.slots_V >= 0)
            holders = holders[np.argsort(part.slots_V[holders])]
            vectors = _array(to, "vectors", (len(holders), width), np.dtype(np.float32))
            chunks = (holders[at : at + CHUNK] for at in range(0, len(holders), CHUNK))
            encode((p for p in (part.gather(rows) for rows in chunks) if p is not None), vectors)
            return part.slots_V, {"vectors": vectors}

        stored = _stored(folder, f"{name}-vectors-{full_key}", full_key, fill)
        assert not isinstance(stored.arrays, np.ndarray)
        vectors = StoredPart(stored.slots_V, stored.arrays["vectors"], full_key)
        return ContentStore(self._size, {**self.parts, name: vectors})


# ---- filling and finding --------------------------------------------------------------------------------------------

_Fill = Callable[[Path | None], tuple[np.ndarray, Mapping[str, np.ndarray]]]


def _stored(folder: Path | None, name: str, key: str, fill: _Fill) -> StoredPart:
    """What stands under this name, made now if it is not there."""
    if folder is None:
        slots, arrays = fill(None)
        return StoredPart(slots, arrays, key)

    def make(building: Path) -> None:
        slots, arrays = fill(building)
        np.save(building / "slots.npy", slots)
        (building / "store.json").write_text(json.dumps({"format": 1, "key": key, "arrays": sorted(arrays)}))
        for array in arrays.values():
            if isinstance(array, np.memmap):
                array.flush()

    final = made_once(folder / name, make)
    names = json.loads((final / "store.json").read_text())["arrays"]
    mapped = {array: np.load(final / f"{array}.npy", mmap_mode="r") for array in names}
    return StoredPart(np.load(final / "slots.npy"), mapped, key)


def _fill(
    catalog: Catalog, encoder: Preparer, progress: Progress | None, to: Path | None
) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
    """Prepare all items that an encoder reads, a chunk at a time."""
    present = catalog.presence.get(encoder.modality)
    rows = np.flatnonzero(present) if present is not None else np.arange(len(catalog))
    slots_V = np.full(len(catalog), -1, dtype=np.int64)
    arrays: dict[str, np.ndarray] = {}
    filled = 0
    for at in range(0, len(rows), CHUNK):
        chunk = rows[at : at + CHUNK]
        items = catalog.items(chunk)
        readable = [place for place, item in enumerate(items) if encoder.reads(item)]
        if readable:
            prepared = {n: t.numpy() for n, t in encoder.prepare([items[place] for place in readable]).items()}
            if not arrays:
                arrays = {n: _array(to, n, (len(rows), *a.shape[1:]), a.dtype) for n, a in prepared.items()}
            for name, array in prepared.items():
                if len(array) != len(readable) or array.shape[1:] != arrays[name].shape[1:]:
                    raise DataError(
                        f"the {encoder.modality} encoder prepared {name!r} of shape {array.shape} for {len(readable)} "
                        f"items; earlier items had {arrays[name].shape[1:]}",
                        remedy="prepare() must return tensors whose further axes do not depend on the items",
                    )
                arrays[name][filled : filled + len(array)] = array
            slots_V[chunk[readable]] = np.arange(filled, filled + len(readable))
            filled += len(readable)
        if progress:
            progress(f"preparing {encoder.modality}", min(at + CHUNK, len(rows)), len(rows))
    return slots_V, arrays


def _array(folder: Path | None, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if folder is None:
        return np.zeros(shape, dtype)
    return np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=12).hexdigest()
