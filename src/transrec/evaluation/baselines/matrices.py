"""Users' events as sparse matrices, and exact ranks from sparse scores.

Axes: B histories, V items in the catalog.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from transrec.data.histories import Histories
from transrec.data.splits import Split


def training_histories(split: Split) -> Histories:
    """What each user may be trained on, all users of the interactions in order."""
    lengths = split.train_ends - split.interactions.offsets[:-1]
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return Histories(split.train_rows(), offsets)


def occurrences(histories: Histories, num_items: int, *, once: bool) -> sp.csr_array:
    """How often each item occurs in each history, float32 of shape (B, V).

    Args:
        histories: of B users.
        num_items: V.
        once: count an item once however often it occurs.
    """
    ones = np.ones(len(histories.rows), dtype=np.float32)
    # coordinates that repeat are added up
    matrix = sp.coo_array((ones, (histories.owners, histories.rows)), shape=(len(histories), num_items)).tocsr()
    if once:
        matrix.data[:] = 1.0
    return matrix


def as_scores(sparse: sp.csr_array) -> Tensor:
    """Sparse scores as the dense block that a ranker returns, (B, V) float32; what is not stored scores 0."""
    return torch.from_numpy(sparse.astype(np.float32).toarray())


def sparse_mean_ranks(scores: sp.csr_array, targets_B: np.ndarray, hidden: Histories) -> np.ndarray:
    """What :func:`~transrec.retrieval.ranking.mean_ranks` says of scores that are mostly 0, without storing the zeros.

    This makes it cheap to try a hundred settings of a sparse baseline.

    Args:
        scores: finite and at least 0, of shape (B, V); what is not stored scores 0.
        targets_B: the row of each user's target.
        hidden: what each user must not be ranked against; the target always competes.

    Returns:
        Ranks of shape (B,), float64.
    """
    num_users, num_items = scores.shape
    hidden_BV = np.zeros(scores.shape, dtype=bool)
    hidden_BV[hidden.owners, hidden.rows] = True
    hidden_BV[np.arange(num_users), targets_B] = False

    owners_n, rows_n, scores_n = np.repeat(np.arange(num_users), np.diff(scores.indptr)), scores.indices, scores.data
    target_B = np.zeros(num_users, dtype=scores_n.dtype)
    is_target_n = rows_n == targets_B[owners_n]
    target_B[owners_n[is_target_n]] = scores_n[is_target_n]
    competing_n = ~hidden_BV[owners_n, rows_n] & ~is_target_n & (scores_n > 0)
    owners_n, scores_n = owners_n[competing_n], scores_n[competing_n]

    greater_B = np.bincount(owners_n[scores_n > target_B[owners_n]], minlength=num_users)
    equal_B = np.bincount(owners_n[scores_n == target_B[owners_n]], minlength=num_users)
    unscored_B = num_items - 1 - hidden_BV.sum(axis=1) - np.bincount(owners_n, minlength=num_users)
    return 1 + greater_B + np.where(target_B > 0, equal_B, unscored_B) / 2
