from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from cases import platform
from hypothesis import given
from hypothesis import strategies as st

from transrec.data.cooccurrence import occurrences, training_histories
from transrec.data.histories import Histories
from transrec.data.splits import leave_one_out
from transrec.evaluation.baselines.matrices import as_scores, sparse_mean_ranks
from transrec.retrieval.index import hidden_pairs
from transrec.retrieval.ranking import mean_ranks


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Histories, np.ndarray]:
    users, items = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    dense = draw(st.lists(st.sampled_from([0, 0, 0, 1, 2]), min_size=users * items, max_size=users * items))
    targets = draw(st.lists(st.integers(0, items - 1), min_size=users, max_size=users))
    history = st.lists(st.integers(0, items - 1), max_size=items)
    hidden = draw(st.lists(history, min_size=users, max_size=users))
    tiebreak = draw(st.lists(st.integers(0, 3), min_size=items, max_size=items))
    scores = np.array(dense, dtype=np.float32).reshape(users, items) / 3
    return scores, np.array(targets), Histories.from_lists(hidden), np.array(tiebreak)


@given(cases())
def test_sparse_ranks_are_those_of_the_dense_scores(case: tuple[np.ndarray, np.ndarray, Histories, np.ndarray]) -> None:
    dense, targets, hidden, tiebreak = case
    sparse = sp.csr_array(dense)
    scores_BV = as_scores(sparse, tiebreak)
    expected = mean_ranks(scores_BV, torch.from_numpy(targets), hidden_pairs(hidden))
    assert sparse_mean_ranks(sparse, targets, hidden, tiebreak).tolist() == expected.tolist()


def test_the_tie_break_decides_between_equal_scores_only() -> None:
    scores_BV = as_scores(sp.csr_array(np.array([[5.0, 0.0, 5.0, 0.0, 4.0]])), np.array([1, 7, 3, 0, 10**6]))
    assert scores_BV.argsort(descending=True).tolist() == [[2, 0, 4, 1, 3]]


def test_occurrences_count_once_or_add_weights() -> None:
    histories = Histories.from_lists([[2, 0, 2], []])
    assert occurrences(histories, 4).toarray().tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]
    weighted = occurrences(histories, 4, weights=np.array([1.0, 2.0, 0.5]))
    assert weighted.toarray().tolist() == [[2, 0, 1.5, 0], [0, 0, 0, 0]]


def test_training_histories_end_before_what_is_held_out() -> None:
    split = leave_one_out(platform().interactions)
    histories = training_histories(split)
    assert np.array_equal(histories.lengths, split.interactions.lengths - 2)
    assert histories.block(3, 4).rows.tolist() == split.interactions.history(3)[:-2].tolist()
