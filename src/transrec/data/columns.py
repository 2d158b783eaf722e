"""Columns: one named array over many items, in memory or mapped from disk, of a fixed shape or ragged; read by slot."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from transrec.data.ragged import Ragged

FORMAT = 2
DESCRIPTION = "store.json"

# numpy has no bfloat16, so its bits are kept as integers
_BITS = {torch.bfloat16: torch.int16}
# torch can hold these, and do almost nothing with them
_WIDER = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}


class Column(ABC):
    """An entry for every slot."""

    @abstractmethod
    def take(self, slots: np.ndarray) -> Tensor | Ragged:
        """The entries of these slots, int64 of shape (n,), as new memory; increasing slots are read fastest.

        Unsigned types of which torch knows little come as the next wider signed one.
        """

    @abstractmethod
    def sizes(self, slots: np.ndarray) -> np.ndarray:
        """How many values each of these entries holds, int64 of shape (n,): 1, unless the column is ragged."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class FixedColumn(Column):
    """Entries of one shape.

    Attributes:
        array: (m, ...).
        dtype: of the entries as tensors, where that is not the array's.
    """

    array: np.ndarray
    dtype: torch.dtype

    def take(self, slots: np.ndarray) -> Tensor:
        return _as_tensor(self.array[slots], self.dtype)

    def sizes(self, slots: np.ndarray) -> np.ndarray:
        return np.ones(len(slots), dtype=np.int64)


@final
@dataclass(frozen=True, slots=True, eq=False)
class RaggedColumn(Column):
    """Entries of different lengths, one after the other.

    Attributes:
        values: (total, ...).
        offsets: where each entry begins and, at the end, the total, int64 of shape (m + 1,).
        dtype: of the values as tensors.
    """

    values: np.ndarray
    offsets: np.ndarray
    dtype: torch.dtype

    def take(self, slots: np.ndarray) -> Ragged:
        lengths = self.sizes(slots)
        starts = self.offsets[slots]
        before = np.cumsum(lengths) - lengths
        places = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
        longest = int(lengths.max(initial=0))
        return Ragged(_as_tensor(self.values[places], self.dtype), torch.from_numpy(lengths), longest)

    def each(self, slots: np.ndarray) -> list[np.ndarray]:
        """The values of each of these slots, where they are."""
        return [self.values[start:stop] for start, stop in zip(self.offsets[slots], self.offsets[slots + 1], strict=True)]

    def sizes(self, slots: np.ndarray) -> np.ndarray:
        return np.asarray(self.offsets[slots + 1] - self.offsets[slots])


def as_array(tensor: Tensor) -> np.ndarray:
    """A tensor of the CPU as numpy holds it."""
    found: np.ndarray = tensor.detach().contiguous().view(_BITS.get(tensor.dtype, tensor.dtype)).numpy()
    return found


def _as_tensor(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    tensor = torch.from_numpy(np.asarray(array)).view(dtype)
    return tensor.to(_WIDER[dtype]) if dtype in _WIDER else tensor


# ---- disk -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Form:
    """What is known of a column besides its values.

    Attributes:
        dtype: name of the tensor's type.
        ragged: whether entries have lengths.
    """

    dtype: str
    ragged: bool

    @classmethod
    def of(cls, values: Tensor | Ragged) -> Form:
        """The form of a column of such values."""
        tensor = values.values if isinstance(values, Ragged) else values
        return cls(str(tensor.dtype).removeprefix("torch."), isinstance(values, Ragged))

    def column(self, values: np.ndarray, lengths: np.ndarray | None) -> Column:
        """The column of this form."""
        dtype = getattr(torch, self.dtype)
        if lengths is None:
            return FixedColumn(values, dtype)
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return RaggedColumn(values, offsets, dtype)


def values_file(name: str) -> str:
    """The file of a column's values."""
    return f"{name}.npy"


def lengths_file(name: str) -> str:
    """The file of a ragged column's lengths; no column's name has a dot."""
    return f"{name}.lengths.npy"


def write_description(folder: Path, forms: Mapping[str, Form], notes: Mapping[str, Any]) -> None:
    """Say what the files of a folder are."""
    columns = {name: {"dtype": form.dtype, "ragged": form.ragged} for name, form in forms.items()}
    (folder / DESCRIPTION).write_text(json.dumps({"format": FORMAT, "columns": columns, "notes": dict(notes)}))


def open_columns(folder: Path) -> tuple[dict[str, Column], dict[str, Any]]:
    """The columns of a folder, mapped from disk, and the notes that were taken when they were made."""
    described = json.loads((folder / DESCRIPTION).read_text())
    columns = {}
    for name, said in described["columns"].items():
        lengths = np.load(folder / lengths_file(name)) if said["ragged"] else None
        columns[name] = Form(**said).column(np.load(folder / values_file(name), mmap_mode="r"), lengths)
    return columns, described["notes"]
