"""Packing: prepared content that is kept in less room, and made numbers again when it is read.

n is a number of items, H and W are pixels.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from transrec.data.columns import Column, RaggedColumn
from transrec.data.ragged import Ragged
from transrec.errors import DataError

Given = TypeVar("Given")
Made = TypeVar("Made")

SaveOptions = Mapping[str, Any]

# chroma in full: half of it is a fifth smaller, and three times as far from the pixels. Lossless WebP at its quickest is
# smaller than PNG and is read in two thirds of the time
_SAVED: Mapping[str, SaveOptions] = {
    "jpeg": {"format": "JPEG", "quality": 95, "subsampling": "4:4:4"},
    "lossless": {"format": "WEBP", "lossless": True, "quality": 0, "method": 0},
}


class Packing(Protocol):
    """How one name of what an encoder prepares is kept."""

    @property
    def key(self) -> str:
        """Changes whenever something else would be kept of the same values."""
        ...

    def pack(self, values: Tensor) -> Sequence[bytes]:
        """What is kept of each of n items, from values of shape (n, ...)."""
        ...

    def unpack(self, kept: Sequence[bytes]) -> Tensor:
        """The values of these items again, or nearly so: of the same shape and type."""
        ...


@final
@dataclass(frozen=True, slots=True)
class PicturePacking:
    """Pictures as compressed files.

    They are packed and unpacked in as many threads as torch uses.

    Attributes:
        kind: ``"jpeg"``: of quality 95, approximate; ``"lossless"``: WebP, the same pixels.
        side: of the pictures, which are square.
    """

    kind: Literal["jpeg", "lossless"]
    side: int

    @property
    def key(self) -> str:
        return f"{sorted(_SAVED[self.kind].items())}"

    def pack(self, values: Tensor) -> Sequence[bytes]:
        """Each picture as a file, from uint8 of shape (n, 3, H, W)."""

        def packed(pixels_HW3: np.ndarray) -> bytes:
            out = io.BytesIO()
            Image.fromarray(pixels_HW3).save(out, **_SAVED[self.kind])
            return out.getvalue()

        return _each(packed, list(values.permute(0, 2, 3, 1).contiguous().numpy()))

    def unpack(self, kept: Sequence[bytes]) -> Tensor:
        """The pictures of these files, uint8 of shape (n, 3, H, W)."""
        pixels_n3HW = np.empty((len(kept), 3, self.side, self.side), dtype=np.uint8)

        def unpack_one(place: int) -> None:
            with Image.open(io.BytesIO(kept[place]), formats=(_SAVED[self.kind]["format"],)) as picture:
                pixels_n3HW[place] = np.asarray(picture).transpose(2, 0, 1)

        try:
            _each(unpack_one, range(len(kept)))
        except (OSError, ValueError) as error:
            raise DataError(
                f"a kept picture is damaged: {error}", remedy="delete the store folder of the dataset; it is filled again"
            ) from None
        return torch.from_numpy(pixels_n3HW)


@final
@dataclass(frozen=True, slots=True, eq=False)
class PackedColumn(Column):
    """Packed entries, which are unpacked when they are taken.

    Attributes:
        files: the bytes of each entry.
        packing: that made them.
    """

    files: RaggedColumn
    packing: Packing

    def take(self, slots: np.ndarray) -> Tensor:
        return self.packing.unpack([entry.tobytes() for entry in self.files.each(slots)])

    def sizes(self, slots: np.ndarray) -> np.ndarray:
        return np.ones(len(slots), dtype=np.int64)


def packed(content: Mapping[str, Any], packings: Mapping[str, Packing]) -> dict[str, Any]:
    """Content as it is kept: what is to be packed as the bytes of each item."""
    kept = dict(content)
    for name, packing in packings.items():
        kept[name] = Ragged.of([_as_tensor(file) for file in packing.pack(content[name])])
    return kept


def unpacking(columns: Mapping[str, Column], packings: Mapping[str, Packing]) -> dict[str, Column]:
    """Columns that give the content that they are read for: what is packed is unpacked on the way."""
    opened = dict(columns)
    for name, packing in packings.items():
        files = columns[name]
        assert isinstance(files, RaggedColumn)
        opened[name] = PackedColumn(files, packing)
    return opened


def _as_tensor(file: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(file, dtype=np.uint8).copy())


def _each(work: Callable[[Given], Made], things: Sequence[Given]) -> list[Made]:
    """The work done on each thing, in order; codecs leave Python's lock alone, so threads help."""
    threads = min(torch.get_num_threads(), len(things))
    if threads < 2:
        return [work(thing) for thing in things]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, things))
