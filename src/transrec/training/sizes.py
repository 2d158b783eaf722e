"""Sizes that fit: how many windows a batch may have, or how many items an encoder may read at a time, found by trying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

FITS = 0.8
"""Share of the free memory that a step may take: other batches may be larger than those that were tried."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """A size whose step fits.

    Attributes:
        size: the number.
        bytes: what the step takes.
    """

    size: int
    bytes: int


def largest_that_fits(bytes_of: Callable[[int], int], free: int, *, first: int, last: int) -> Fitting | None:
    """The largest of the sizes ``first``, twice that, four times that, ... whose step fits; None if not even the first does.

    A step of twice the size takes at most twice the bytes. So a size is only tried where that is sure to be there: on a
    CPU, a system that has too little ends the process, and there is nothing to catch. What is found may therefore be half
    of what would fit.

    Args:
        bytes_of: what a step of this size takes at its peak.
        free: bytes that can be had.
        first: the smallest size.
        last: where to stop: the first size that reaches it is the last one tried.
    """
    fitting, size = None, first
    while True:
        try:
            taken = bytes_of(size)
        except torch.OutOfMemoryError:
            return fitting
        if taken > FITS * free:
            return fitting
        fitting = Fitting(size, taken)
        if size >= last or 2 * taken > free:
            return fitting
        size *= 2
