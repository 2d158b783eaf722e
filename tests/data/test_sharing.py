"""Items are dealt so that equal content goes to one process and all have about as much to encode."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transrec.data.sharing import dealt


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 50)), max_size=60), st.integers(1, 5))
def test_every_item_goes_to_one_process_and_equal_content_to_the_same(drawn: list[tuple[int, int]], ranks: int) -> None:
    same = np.array([one for one, _ in drawn], dtype=np.int64)
    sizes = np.array([1 + own % 7 for own, _ in drawn], dtype=np.int64)  # equal content is equally large
    deal = dealt(same, sizes, ranks)
    assert len(deal) == ranks
    assert sorted(np.concatenate(deal).tolist()) == list(range(len(drawn)))
    groups = [set(same[own].tolist()) for own in deal]
    assert sum(len(group) for group in groups) == len(set(same.tolist()))


@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_loads_are_even(ranks: int) -> None:
    sizes = np.random.default_rng(0).integers(2, 64, size=2000)
    deal = dealt(np.arange(2000), sizes, ranks)
    loads = [int(sizes[own].sum()) for own in deal]
    assert max(loads) <= 1.01 * min(loads)
    assert max(map(len, deal)) - min(map(len, deal)) <= 1
