"""Masking: what may be hidden, how often, and that something always is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transrec.data.masking import hidden_slots


def real(lengths: list[int], width: int) -> np.ndarray:
    return np.arange(width) < np.array(lengths)[:, None]


@given(lengths=st.lists(st.integers(0, 8), min_size=1, max_size=9), share=st.floats(0.01, 0.99), seed=st.integers(0, 99))
@settings(max_examples=100)
def test_every_history_hides_something_and_shows_something(lengths: list[int], share: float, seed: int) -> None:
    mask_BL = real(lengths, width=8)
    hidden_BL = hidden_slots(mask_BL, share, np.random.default_rng(seed))
    assert not (hidden_BL & ~mask_BL).any(), "padding is not hidden"
    for length, hidden in zip(lengths, hidden_BL.sum(axis=1), strict=True):
        assert hidden >= min(length, 1)
        assert hidden < length or length <= 1


@pytest.mark.parametrize("share", [0.15, 0.5, 0.9])
def test_each_item_is_hidden_with_the_same_probability(share: float) -> None:
    hidden_BL = hidden_slots(np.ones((20_000, 25), dtype=bool), share, np.random.default_rng(0))
    deviation = np.sqrt(share * (1 - share) / 20_000)
    # the one that is hidden or shown where otherwise none would be adds less than 0.9 ** 25 / 25 to a slot
    assert np.abs(hidden_BL.mean(axis=0) - share).max() < 5 * deviation + 0.9**25 / 25


def test_the_slot_that_must_be_hidden_is_any_of_them() -> None:
    hidden_BL = hidden_slots(np.ones((30_000, 3), dtype=bool), 1e-9, np.random.default_rng(0))
    assert (hidden_BL.sum(axis=1) == 1).all()
    assert np.abs(hidden_BL.mean(axis=0) - 1 / 3).max() < 0.015
    shown_BL = ~hidden_slots(np.ones((30_000, 3), dtype=bool), 1 - 1e-9, np.random.default_rng(0))
    assert (shown_BL.sum(axis=1) == 1).all()
    assert np.abs(shown_BL.mean(axis=0) - 1 / 3).max() < 0.015


def test_the_generator_decides() -> None:
    mask_BL = real([5, 8, 2], width=8)
    first, again, other = (hidden_slots(mask_BL, 0.5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
