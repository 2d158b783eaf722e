"""Negatives: never the user's own, never twice, uniform over the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transrec.data.sampling import UniformNegatives
from transrec.errors import DataError


def sampler(histories: list[list[int]], num_items: int) -> UniformNegatives:
    lengths = [len(h) for h in histories]
    ends = np.cumsum(lengths)
    rows = np.array([row for history in histories for row in history], dtype=np.int64)
    return UniformNegatives(rows, ends - lengths, ends, num_items)


@given(
    histories=st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=9), min_size=1, max_size=5),
    k=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60)
def test_never_own_never_twice(histories: list[list[int]], k: int, seed: int) -> None:
    users = np.arange(len(histories)).repeat(3)
    drawn = sampler(histories, 12).draw(users, k, np.random.default_rng(seed))
    assert drawn.shape == (len(users), k)
    for user, row in zip(users, drawn, strict=True):
        assert not set(row) & set(histories[user])
        assert len(set(row)) == k


def test_uniform_over_what_is_left() -> None:
    drawn = sampler([[0, 1, 2]], 8).draw(np.zeros(20_000, dtype=np.int64), 1, np.random.default_rng(0))
    counts = np.bincount(drawn.ravel(), minlength=8)
    assert counts[:3].sum() == 0
    assert np.all(np.abs(counts[3:] - 4000) < 5 * np.sqrt(4000))


def test_finds_the_few_items_that_are_left() -> None:
    drawn = sampler([list(range(997))], 1000).draw(np.zeros(4, dtype=np.int64), 3, np.random.default_rng(0))
    assert all(set(row) == {997, 998, 999} for row in drawn)


def test_says_when_there_are_too_few() -> None:
    with pytest.raises(DataError, match="all but 2 of the 5 items; 3 negatives"):
        sampler([[0, 1, 2]], 5).draw(np.array([0]), 3, np.random.default_rng(0))


def test_depends_on_the_generator_alone() -> None:
    made = sampler([[0], [1]], 50)
    draws = [made.draw(np.array([0, 1]), 5, np.random.default_rng(7)) for _ in range(2)]
    assert np.array_equal(draws[0], draws[1])
