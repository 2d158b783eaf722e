"""The vectors of a catalog, kept on disk beside the run that made them: encoded once, and mapped into memory after that.

Axes: V items in the catalog, n of them at a time, D width, W numbers that are kept of an item.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import polars as pl
import torch
from torch import Tensor

from transrec.data.catalog import Catalog
from transrec.data.columns import open_columns
from transrec.data.dataset import Dataset
from transrec.data.filling import Filling
from transrec.data.folders import grown_once
from transrec.data.store import Progress
from transrec.errors import RunError
from transrec.model import TransRec
from transrec.retrieval.encoding import BATCH, SORTED_TOGETHER, encode_items, encode_rows, prepared_for
from transrec.retrieval.growing import ItemVectors
from transrec.retrieval.vectors import assets_digest, weights_digest

FORMAT = 1
WINDOW = SORTED_TOGETHER * BATCH
"""Items that are encoded between two times that the disk is made to hold them."""
Precision = Literal["float32", "float16"]
Encoding = Callable[[TransRec, int, Sequence[np.ndarray]], Iterator[tuple[Tensor, np.ndarray]]]
"""From a model, which of its platforms it is, and the rows of windows: what :func:`~transrec.retrieval.encoding.encode_rows`
gives for each window, in this order."""

_ITEMS = "items.parquet"
_ROOM = 0.25
_SMALLEST_ROOM = 1024


@final
@dataclass(frozen=True, slots=True, eq=False)
class KeptVectors:
    """Vectors on disk.

    Attributes:
        folder: where they are.
        vectors: of every row, mapped from disk, with room for more that costs nothing until it is used.
        unreadable: rows of items that the model can make nothing of, int64.
        encoded: how many items were encoded now; the others had been before.
        model: the fingerprint of the model that they are of.
    """

    folder: Path
    vectors: ItemVectors
    unreadable: np.ndarray
    encoded: int
    model: str


def fingerprint_of(model: TransRec, place: int | None = 0) -> str:
    """32 hexadecimal digits that change whenever a model would make other vectors of the same items.

    That is: with any weight, setting or tokenizer of its item tower, and with the platform that the items are of.
    """
    # what concerns a table of ids, and how pictures are resized, is in assets and weights: without them a model is the same
    settings = model.settings.items.model_dump_json(exclude={"identity": True, "image": {"resample"}})
    told = [weights_digest(model.items), settings, str(place or 0)]
    told += [f"{name} {assets_digest(encoder)}" for name, encoder in model.items.preparers().items()]
    told += ["views"] if model.scorer.reads_views or model.users.reads_views else []
    return hashlib.blake2b("\0".join(told).encode(), digest_size=16).hexdigest()


def brought_up_to_date(  # noqa: PLR0913  (whose vectors, how they are kept, and who makes them)
    model: TransRec,
    dataset: Dataset,
    folder: Path,
    *,
    place: int | None = 0,
    precision: Precision = "float32",
    progress: Progress | None = None,
    encoding: Encoding | None = None,
) -> KeptVectors:
    """The vectors of a dataset's items under a model: those that are kept, and new ones where items are new or have changed.

    They are made aside and renamed when they are whole. What an interruption leaves is gone on with. Vectors of
    another model are no help and are removed once the new ones are there.

    Args:
        model: in evaluation mode; centred on the items where ``place`` is None.
        dataset: whose catalog.
        folder: where they are kept.
        place: which of the platforms that the model has learned from it is, None: none of them.
        precision: ``"float16"`` takes half the room, and scores are computed in float32 of what is left of the vectors.
        progress: told how far it is.
        encoding: who encodes windows of items when none of their vectors are kept; this process when None.

    Raises:
        DataError: the model can read nothing of what the items have.
    """
    if place is None:
        prepared_for(model, dataset, place=None, progress=progress)
    key = fingerprint_of(model, place)
    wanted = _Wanted(model, dataset, key, place or 0, precision, encoding)
    own = folder / f"vectors-{_digest(key, dataset.catalog.fingerprint, precision, str(FORMAT))}"
    encoded: list[int] = []
    grown_once(own, functools.partial(_make, wanted, _former(folder, wanted), progress, encoded))
    for other in folder.glob("vectors-*"):
        if other != own:
            shutil.rmtree(other, ignore_errors=True)
    return _opened(own, model, key, sum(encoded))


def kept_as_they_are(model: TransRec, dataset: Dataset, folder: Path, *, place: int = 0) -> KeptVectors:
    """The vectors that are kept, refused unless they are of this model and these items; nothing is encoded.

    Raises:
        RunError: there are none, or they are of another model or other items.
    """
    found = sorted(folder.glob("vectors-*"))
    if not found:
        raise RunError("there is no index", where=str(folder), remedy="make it: transrec index RUN")
    notes, key = _notes(found[-1]), fingerprint_of(model, place)
    if notes.get("model") != key:
        what = "the index was made with another model than the one in this run (its weights or settings differ)"
    elif notes.get("catalog") != dataset.catalog.fingerprint:
        what = "items have come or changed since the index was made"
    else:
        return _opened(found[-1], model, key, 0)
    raise RunError(what, where=str(found[-1]), remedy="bring it up to date: transrec index RUN")


# ---- making -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """What is to be kept."""

    model: TransRec
    dataset: Dataset
    key: str
    platform: int
    precision: Precision
    encoding: Encoding | None

    @property
    def catalog(self) -> Catalog:
        return self.dataset.catalog


@dataclass(frozen=True, slots=True, eq=False)
class _Former:
    """Vectors of the same model that were kept for other items, or for these before some changed."""

    rows: Mapping[bytes, int]
    kept_VW: np.ndarray
    readable_V: np.ndarray

    def found(self, keys: np.ndarray) -> np.ndarray:
        """The row of each content, int64; -1 where there is none."""
        return np.array([self.rows.get(key, -1) for key in keys], dtype=np.int64)


def _former(folder: Path, wanted: _Wanted) -> _Former | None:
    for own in sorted(folder.glob("vectors-*"), key=lambda path: path.stat().st_mtime, reverse=True):
        notes = _notes(own)
        if notes.get("model") != wanted.key or notes.get("precision") != wanted.precision or notes.get("by_id"):
            continue
        keys = pl.read_parquet(own / _ITEMS)["content"].to_list()
        columns, _ = open_columns(own)
        arrays = {name: column.array for name, column in columns.items()}  # type: ignore[attr-defined]
        return _Former({key: row for row, key in enumerate(keys)}, arrays["vectors"], arrays["readable"])
    return None


def _make(wanted: _Wanted, former: _Former | None, progress: Progress | None, encoded: list[int], building: Path) -> None:
    """Fill a folder with the vectors of every row, a window of rows after the other."""
    catalog = wanted.catalog
    filling = Filling(building, "the item tower")
    filling.notes.update(index=FORMAT, model=wanted.key, catalog=catalog.fingerprint, precision=wanted.precision)
    filling.notes.update(dataset=wanted.dataset.fingerprint, by_id="identity" in wanted.model.items.preparers())
    windows = [np.arange(at, min(at + WINDOW, len(catalog))) for at in range(filling.done, len(catalog), WINDOW)]
    try:
        for rows, (vectors_nD, readable_n, fresh) in zip(windows, _made(wanted, former, windows, progress), strict=True):
            encoded.append(fresh)
            held = vectors_nD.cpu().to(torch.float16 if wanted.precision == "float16" else torch.float32)
            filling.append({"vectors": held, "readable": torch.from_numpy(readable_n)}, int(rows[-1]) + 1)
            filling.commit()
            if progress:
                progress("encoding the catalog", filling.done, len(catalog))
    except BaseException:
        filling.close()
        raise
    filling.finish()
    pl.DataFrame({"id": catalog.ids, "content": list(catalog.content_keys)}).write_parquet(building / _ITEMS)
    # sparse: room for items to come, which takes no place on the disk
    path = building / "vectors.npy"
    each = np.load(path, mmap_mode="r").strides[0]
    os.truncate(path, path.stat().st_size + each * _room(len(catalog)))


def _made(
    wanted: _Wanted, former: _Former | None, windows: Sequence[np.ndarray], progress: Progress | None
) -> Iterator[tuple[Tensor, np.ndarray, int]]:
    """The vectors of each window, which of its items are readable, and how many were encoded for it."""
    if former is not None:
        yield from (_reused(wanted, former, rows) for rows in windows)
    elif wanted.encoding is not None:
        for vectors_nD, readable_n in wanted.encoding(wanted.model, wanted.platform, windows):
            yield vectors_nD, readable_n, len(readable_n)
    else:
        store = prepared_for(wanted.model, wanted.dataset, place=wanted.platform, progress=progress)
        for rows in windows:
            yield encode_items(wanted.model, store.of_rows(rows)), ~np.isin(rows, store.unreadable), len(rows)


def _reused(wanted: _Wanted, former: _Former, rows: np.ndarray) -> tuple[Tensor, np.ndarray, int]:
    """Vectors of some rows, those that are new or have changed encoded now; which are readable; how many were encoded."""
    places = former.found(wanted.catalog.content_keys[rows])
    new = np.flatnonzero(places < 0)
    kept_nD = torch.from_numpy(former.kept_VW[places.clip(min=0)].astype(np.float32))
    readable_n = former.readable_V[places.clip(min=0)].copy()
    if len(new):
        kept_nD[torch.from_numpy(new)], readable_n[new] = encode_rows(
            wanted.model, wanted.catalog, rows[new], wanted.platform
        )
    return kept_nD, readable_n, len(new)


# ---- reading ----------------------------------------------------------------------------------------------------------


def _opened(folder: Path, model: TransRec, key: str, encoded: int) -> KeptVectors:
    try:
        head = np.load(folder / "vectors.npy", mmap_mode="r")
        room = np.memmap(
            folder / "vectors.npy",
            dtype=head.dtype,
            mode="c",  # what is written stays in this process
            offset=head.offset,
            shape=(len(head) + _room(len(head)), head.shape[1]),
        )
        readable = np.load(folder / "readable.npy")
    except (OSError, ValueError) as error:
        raise RunError(f"the index is damaged: {error}", where=str(folder), remedy="remove the folder") from None
    memory = torch.from_numpy(room)
    if model.device.type == "cpu":
        vectors = ItemVectors(memory[: len(head)], memory, width=model.items.width)
    else:
        vectors = ItemVectors(memory[: len(head)].to(model.device), width=model.items.width)
    return KeptVectors(folder, vectors, np.flatnonzero(~readable), encoded, key)


def _room(items: int) -> int:
    return max(_SMALLEST_ROOM, int(items * _ROOM))


def _notes(folder: Path) -> dict[str, Any]:
    """What was written down of kept vectors; empty where that cannot be read."""
    try:
        found: dict[str, Any] = open_columns(folder)[1]
    except (OSError, ValueError, KeyError, json.JSONDecodeError):
        return {}
    return found


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=8).hexdigest()
