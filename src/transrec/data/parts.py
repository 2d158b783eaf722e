"""StoredPart: one modality of a whole catalog as it is kept, and what an encoder may put in its place.

V is the number of items in the catalog, n a selection of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from transrec.data.batches import ItemPart
from transrec.data.columns import Column

Content = Mapping[str, Any]
"""By name, tensors of shape (n, ...) or ragged values of n items."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """What an encoder makes of prepared content once and for all, to be kept in its place.

    Attributes:
        label: what is being done, for the progress line.
        key: changes whenever something else would be made of the same content.
        make: of some items' content; what it passes on untouched is not stored again.
        below: how many of the encoder's blocks the result has been through; 0 when through all of it, to ``"vectors"``.
    """

    label: str
    key: str
    make: Callable[[Content], Content]
    below: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class StoredPart:
    """One modality of a whole catalog. Items with equal content share a slot.

    Attributes:
        slots_V: where each row's content stands in the columns, int64; -1 where the item lacks the modality.
        columns: the content by name; under ``"vectors"`` alone what an encoder that learns nothing made of it.
        key: changes whenever the content would.
        below: see :class:`~transrec.data.batches.ItemPart`.
        final: whether these are vectors.
    """

    slots_V: np.ndarray
    columns: Mapping[str, Column]
    key: str
    below: int = 0
    final: bool = False

    def __len__(self) -> int:
        """How many slots there are."""
        return int(self.slots_V.max(initial=-1)) + 1

    def sizes(self, slots: np.ndarray) -> np.ndarray:
        """How many values each of these slots holds where it is ragged, int64; all 1 where nothing is."""
        sizes = [column.sizes(slots) for column in self.columns.values()]
        longest: np.ndarray = np.stack([np.ones(len(slots), dtype=np.int64), *sizes]).max(axis=0)
        return longest

    def take(self, slots: np.ndarray) -> Content:
        """The content of these slots."""
        return {name: column.take(slots) for name, column in self.columns.items()}

    def gather(self, rows: np.ndarray) -> ItemPart | None:
        """The content of those of these rows that have it, equal content once; None when none has."""
        slots = self.slots_V[rows]
        index_n = np.flatnonzero(slots >= 0)
        if not len(index_n):
            return None
        slots, inverse_n = slots[index_n], None
        if (np.diff(slots) <= 0).any():  # some share a slot; and what is increasing is read fastest
            slots, inverse = np.unique(slots, return_inverse=True)
            inverse_n = torch.from_numpy(inverse)
        content = self.take(slots)
        return ItemPart(torch.from_numpy(index_n), content["vectors"] if self.final else content, self.below, inverse_n)
