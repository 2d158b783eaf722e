"""Ragged: values of several items one after the other, as many of each as it has; no padding is kept or moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from transrec.errors import DataError


@final
class Ragged:
    """Values of n items that have different numbers of them: the tokens of texts, the frames of clips.

    An encoder's ``prepare`` may return it under any name beside tensors of a fixed shape. It is stored as it is, and
    ``forward`` gets it back for the items of a batch; :meth:`padded` and :meth:`mask` give the usual form.

    Args:
        values: of all items, in their order, shape (total, ...).
        lengths_n: how many of them each item has, int64 of shape (n,).
        longest: the greatest length; read off the lengths when None, which makes an accelerator wait.

    Raises:
        DataError: the lengths do not add up to the values.
    """

    __slots__ = ("lengths_n", "longest", "values")

    def __init__(self, values: Tensor, lengths_n: Tensor, longest: int | None = None) -> None:
        if longest is None:
            longest = int(lengths_n.max()) if len(lengths_n) else 0
            if int(lengths_n.sum()) != len(values):
                raise DataError(f"there are {len(values)} values for lengths that add up to {int(lengths_n.sum())}")
        self.values = values
        self.lengths_n = lengths_n
        self.longest = longest

    @classmethod
    def of(cls, each: Sequence[Tensor]) -> Ragged:
        """From one tensor an item, each of shape (its length, ...); at least one."""
        return cls(torch.cat(list(each)), torch.tensor([len(values) for values in each], dtype=torch.int64))

    @classmethod
    def from_padded(cls, padded_nT: Tensor, lengths_n: Tensor, longest: int | None = None) -> Ragged:
        """From values padded on the right, shape (n, T, ...); what is beyond an item's length is left out."""
        places_T = torch.arange(padded_nT.shape[1], device=padded_nT.device)
        return cls(padded_nT[places_T < lengths_n.to(padded_nT.device)[:, None]], lengths_n, longest)

    def __len__(self) -> int:
        return len(self.lengths_n)

    def each(self) -> list[Tensor]:
        """The values of each item, (its length, ...)."""
        return list(self.values.split(self.lengths_n.tolist()))

    def mask(self) -> Tensor:
        """Which slots of :meth:`padded` are real, bool of shape (n, T)."""
        return torch.arange(self.longest, device=self.lengths_n.device) < self.lengths_n[:, None]

    def padded(self, fill: int = 0) -> Tensor:
        """The values, filled up on the right to the longest of these items, shape (n, T, ...)."""
        total, count = len(self.values), len(self)
        rows = repeated(torch.arange(count, device=self.lengths_n.device), self.lengths_n, total)
        starts = self.lengths_n.cumsum(0) - self.lengths_n
        places = torch.arange(total, device=rows.device) - repeated(starts, self.lengths_n, total)
        empty = self.values.new_full((count, self.longest, *self.values.shape[1:]), fill)
        return empty.index_put((rows, places), self.values)

    def take(self, index: Tensor) -> Ragged:
        """The items at these places, in this order."""
        lengths = self.lengths_n[index]
        # read off together, for an accelerator is waited for each time
        total, longest = torch.stack([lengths.sum(), lengths.max()]).tolist() if len(lengths) else (0, 0)
        starts = (self.lengths_n.cumsum(0) - self.lengths_n)[index]
        return Ragged(self.values[places_of_runs(starts, lengths, total)], lengths, longest)

    def to(self, device: torch.device) -> Ragged:
        """The same on another device."""
        return Ragged(moved(self.values, device), moved(self.lengths_n, device), self.longest)


def repeated(values: Tensor, times: Tensor, total: int) -> Tensor:
    """Each value so many times; knowing the total spares an accelerator the wait for it."""
    return values.repeat_interleave(times, output_size=total)


def places_of_runs(starts_n: Tensor, lengths_n: Tensor, total: int) -> Tensor:
    """The places of runs of values, one run after the other, int64 of shape (total,).

    Args:
        starts_n: where each run begins.
        lengths_n: how long it is.
        total: of all lengths.
    """
    shifts_n = starts_n - (lengths_n.cumsum(0) - lengths_n)
    return torch.arange(total, device=starts_n.device) + repeated(shifts_n, lengths_n, total)


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device, without waiting where that can be done."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
