"""Sizes that fit: by doubling, and nothing is tried that might not fit."""

from __future__ import annotations

import pytest
import torch

from transrec.training.sizes import Fitting, largest_that_fits

FREE = 1000


class Step:
    """Takes so many bytes for each of its size, and some whatever the size."""

    def __init__(self, each: float, always: int = 0, ends_at: int | None = None) -> None:
        self.each, self.always, self.ends_at = each, always, ends_at
        self.tried: list[int] = []

    def __call__(self, size: int) -> int:
        self.tried.append(size)
        if self.ends_at is not None and size >= self.ends_at:
            raise torch.OutOfMemoryError
        return int(self.each * size + self.always)


@pytest.mark.parametrize(
    ("each", "always", "found", "tried"),
    [
        (1.0, 0, 512, [8, 16, 32, 64, 128, 256, 512]),  # twice that would be 1024 of 1000
        (1.9, 0, 256, [8, 16, 32, 64, 128, 256, 512]),  # 972 are there, but are too large a share
        (0.1, 300, 1024, [8, 16, 32, 64, 128, 256, 512, 1024]),
        (0.01, 0, 1024, [8, 16, 32, 64, 128, 256, 512, 1024]),
        (101, 0, None, [8]),
    ],
)
def test_the_largest_that_fits_is_found(each: float, always: int, found: int | None, tried: list[int]) -> None:
    step = Step(each, always)
    fitting = largest_that_fits(step, FREE, first=8, last=1024)
    assert (fitting.size if fitting else None) == found
    if fitting:
        assert fitting == Fitting(fitting.size, int(each * fitting.size + always))
    assert step.tried == tried
    assert all(each * size + always <= FREE for size in tried[1:]), "none that the system would end"


def test_the_last_is_the_first_that_reaches_it() -> None:
    step = Step(0.001)
    assert largest_that_fits(step, FREE, first=8, last=20) == Fitting(32, 0)
    assert step.tried == [8, 16, 32]
    assert largest_that_fits(Step(0.001), FREE, first=8, last=0) == Fitting(8, 0)


def test_a_device_that_has_less_than_it_says_is_believed() -> None:
    assert largest_that_fits(Step(0.1, ends_at=64), FREE, first=8, last=1024) == Fitting(32, 3)
    assert largest_that_fits(Step(0.1, ends_at=8), FREE, first=8, last=1024) is None
