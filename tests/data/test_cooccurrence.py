"""Sparse tables of what occurs with what."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from transrec.data.cooccurrence import count_companions, last_items, strongest
from transrec.data.histories import Histories


def test_companions_are_counted_once_a_history() -> None:
    found = count_companions(Histories.from_lists([[0, 1, 0], [1, 0], [2], []]), 3).toarray()
    assert found.tolist() == [[0, 2, 0], [2, 0, 0], [0, 0, 0]]


def test_last_items_fade_and_repeats_add_up() -> None:
    found = last_items(Histories.from_lists([[2, 0, 1, 0], []]), 3, last=3, fade=1.0).toarray()
    assert np.allclose(found, [[1 + 1 / 3, 1 / 2, 0], [0, 0, 0]])


def test_the_strongest_entries_are_chosen_by_weight_and_keep_their_value() -> None:
    table = sp.csr_array(np.array([[5.0, 4, 3, 0], [0, 0, 0, 0], [1, 2, 0, 3], [0, 0, 7, 0]]))
    found = strongest(table, np.array([1.0, 2.0, 3.0, 0.1]), 2).toarray()
    assert found.tolist() == [[0, 4, 3, 0], [0, 0, 0, 0], [1, 2, 0, 0], [0, 0, 7, 0]]
    assert strongest(table, np.ones(4), 3) is table
