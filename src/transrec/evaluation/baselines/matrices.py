"""Sparse scores: as the block that a ranker returns, and exact ranks from them.

Axes: B histories, V items in the catalog.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from transrec.data.histories import Histories

TIEBREAK = 1e-6
"""How much the largest tie-break adds to a score: below the distance of two different scores, above float64 rounding."""


def tiebreak(counts_V: np.ndarray) -> np.ndarray:
    """What to add to scores so that of equal ones the more popular wins; float64 of shape (V,), at most ``TIEBREAK``.

    Args:
        counts_V: whole numbers, at least 0, for example training events.
    """
    added_V: np.ndarray = counts_V * (TIEBREAK / max(counts_V.max(initial=0), 1))
    return added_V


def as_scores(sparse: sp.csr_array, tiebreak_V: np.ndarray) -> Tensor:
    """Sparse scores as the dense block that a ranker returns, (B, V); of equal scores the higher tie-break wins.

    Args:
        sparse: scores, at least 0; what is not stored scores 0.
        tiebreak_V: whole numbers, at least 0, for example popularity.
    """
    # float64, because in float32 the tie-break would be rounded away beside a large score
    dense_BV = sparse.astype(np.float64).toarray()
    dense_BV += tiebreak(tiebreak_V)
    return torch.from_numpy(dense_BV)


def sparse_mean_ranks(scores: sp.csr_array, targets_B: np.ndarray, hidden: Histories, tiebreak_V: np.ndarray) -> np.ndarray:
    """The mean ranks of :func:`as_scores`, without storing the zeros.

    This makes it cheap to try a hundred settings of a sparse baseline.

    Args:
        scores: finite and at least 0, of shape (B, V); what is not stored scores 0.
        targets_B: the row of each user's target.
        hidden: what each user must not be ranked against; the target always competes.
        tiebreak_V: decides between equal scores, higher first; where it is equal too, items are tied.

    Returns:
        Ranks of shape (B,), float64.
    """
    num_users, num_items = scores.shape
    owners_n, rows_n, scores_n = np.repeat(np.arange(num_users), np.diff(scores.indptr)), scores.indices, scores.data
    target_B = np.zeros(num_users, dtype=scores_n.dtype)
    is_target_n = rows_n == targets_B[owners_n]
    target_B[owners_n[is_target_n]] = scores_n[is_target_n]

    # the items that are hidden or scored are looked at one by one; the others differ in their tie-break only
    listed_BV = np.zeros(scores.shape, dtype=bool)
    listed_BV[hidden.owners, hidden.rows] = True
    listed_BV[np.arange(num_users), targets_B] = False
    competing_n = ~listed_BV[owners_n, rows_n] & ~is_target_n & (scores_n > 0)
    owners_n, rows_n, scores_n = owners_n[competing_n], rows_n[competing_n], scores_n[competing_n]
    tie_n, target_tie_B = tiebreak_V[rows_n], tiebreak_V[targets_B]
    same_n = scores_n == target_B[owners_n]
    above_n = (scores_n > target_B[owners_n]) | (same_n & (tie_n > target_tie_B[owners_n]))
    greater_B = np.bincount(owners_n[above_n], minlength=num_users)
    equal_B = np.bincount(owners_n[same_n & (tie_n == target_tie_B[owners_n])], minlength=num_users)

    listed_BV[owners_n, rows_n] = True
    listed_BV[np.arange(num_users), targets_B] = True
    owners_m, rows_m = listed_BV.nonzero()
    tie_m, order_V = tiebreak_V[rows_m], np.sort(tiebreak_V)
    first_B, past_B = (np.searchsorted(order_V, target_tie_B, side=side) for side in ("left", "right"))
    listed_above_B = np.bincount(owners_m[tie_m > target_tie_B[owners_m]], minlength=num_users)
    listed_equal_B = np.bincount(owners_m[tie_m == target_tie_B[owners_m]], minlength=num_users)
    unscored_B = target_B == 0
    greater_B += np.where(unscored_B, num_items - past_B - listed_above_B, 0)
    equal_B += np.where(unscored_B, past_B - first_B - listed_equal_B, 0)
    return 1 + greater_B + equal_B / 2
