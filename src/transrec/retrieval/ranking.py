"""Ranks and top-k lists from a block of scores, exactly, with written rules for ties, hidden items and non-finite scores.

Axes: B users in the block, V items in the catalog, K list length, M hidden pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transrec.errors import EvaluationError


@dataclass(frozen=True, slots=True, eq=False)
class TopK:
    """The best items of each user, best first.

    Attributes:
        rows_BK: catalog rows, int64; -1 where a user has fewer candidates than K.
        scores_BK: their scores; minus infinity where the row is -1.
    """

    rows_BK: Tensor
    scores_BK: Tensor


def mean_ranks(scores_BV: Tensor, targets_B: Tensor, hidden_M2: Tensor) -> Tensor:
    """The rank of each user's target among all items that are not hidden from the user, by counting.

    An item with the same score as the target counts for half, so that a rank is the mean over all orders of the tied items.
    The target competes with the score that stands in the same block: a score from another kernel would differ in its last
    bits and push the target past items of equal score.

    Args:
        scores_BV: scores of every item for every user; left as they are.
        targets_B: the row of each user's target, int64. A target is never hidden, even where a pair says so.
        hidden_M2: (user, row) pairs that do not compete, int64; repeats are harmless.

    Returns:
        Ranks of shape (B,), float64, from 1 (best); they end in .5 where an even number of items tie with the target.

    Raises:
        EvaluationError: a score of a competing item is not finite.
    """
    hidden_M2 = _distinct(hidden_M2, num_items=scores_BV.shape[1])
    users_M, rows_M = hidden_M2.unbind(1)
    competing_M = rows_M == targets_B[users_M]
    users_M, rows_M = users_M[~competing_M], rows_M[~competing_M]
    _refuse_non_finite(scores_BV, users_M, rows_M)

    target_B1 = scores_BV.gather(1, targets_B[:, None])
    greater_B = (scores_BV > target_B1).sum(dim=1, dtype=torch.int32)
    equal_B = (scores_BV == target_B1).sum(dim=1, dtype=torch.int32) - 1
    # counting everything and taking the hidden ones off again spares a masked copy of the whole block
    hidden_scores_M, their_target_M = scores_BV[users_M, rows_M], target_B1[users_M, 0]
    greater_B.index_add_(0, users_M, (hidden_scores_M > their_target_M).to(torch.int32), alpha=-1)
    equal_B.index_add_(0, users_M, (hidden_scores_M == their_target_M).to(torch.int32), alpha=-1)
    # on the CPU, for not every device has float64
    return 1 + greater_B.cpu().double() + equal_B.cpu().double() / 2


def top_k(scores_BV: Tensor, k: int, hidden_M2: Tensor, allowed_V: Tensor | None = None) -> TopK:
    """The ``k`` best items of each user among those that are not hidden from the user; of equal scores the lower row first.

    Args:
        scores_BV: scores of every item for every user; left as they are.
        k: how many; fewer when the catalog is smaller.
        hidden_M2: (user, row) pairs that must not be listed, int64.
        allowed_V: which items may be listed at all, bool; all when None.

    Returns:
        Lists of K = min(k, V).

    Raises:
        EvaluationError: a score of an item that may be listed is not finite.
    """
    users_M, rows_M = hidden_M2.unbind(1)
    masked_BV = scores_BV.clone()
    if allowed_V is not None:
        masked_BV[:, ~allowed_V] = 0.0
    _refuse_non_finite(masked_BV, users_M, rows_M)
    masked_BV[users_M, rows_M] = -torch.inf
    if allowed_V is not None:
        masked_BV[:, ~allowed_V] = -torch.inf

    k = min(k, scores_BV.shape[1])
    if k < 1:
        empty_B0 = scores_BV.new_zeros((len(scores_BV), 0))
        return TopK(empty_B0.long(), empty_B0)
    best_BK, rows_BK = masked_BV.topk(k, dim=1)
    # topk picks any of the items that tie at the end of the list; those users are decided again
    last_B1 = best_BK[:, -1:]
    tied_n = ((masked_BV >= last_B1).sum(dim=1, dtype=torch.int32) > k).nonzero()[:, 0]
    if len(tied_n):
        rows_BK[tied_n] = _lowest_rows_of_ties(masked_BV[tied_n], last_B1[tied_n], k)
    rows_BK = rows_BK.sort(dim=1).values
    scores_BK, order_BK = masked_BV.gather(1, rows_BK).sort(dim=1, descending=True, stable=True)
    rows_BK = rows_BK.gather(1, order_BK)
    return TopK(rows_BK.masked_fill(scores_BK == -torch.inf, -1), scores_BK)


def _lowest_rows_of_ties(scores_nV: Tensor, last_n1: Tensor, k: int) -> Tensor:
    """All rows above the last listed score and, to fill the list, the lowest of those at it: (n, k), increasing."""
    above_nV = scores_nV > last_n1
    at_nV = scores_nV == last_n1
    wanted_n1 = k - above_nV.sum(dim=1, keepdim=True)
    chosen_nV = above_nV | (at_nV & (at_nV.cumsum(dim=1) <= wanted_n1))
    return chosen_nV.nonzero()[:, 1].view(len(scores_nV), k)


def _distinct(pairs_M2: Tensor, *, num_items: int) -> Tensor:
    """The pairs without repeats: a history that holds an item twice hides it once."""
    keys = torch.unique(pairs_M2[:, 0] * num_items + pairs_M2[:, 1])
    return torch.stack([keys // num_items, keys % num_items], dim=1)


def _refuse_non_finite(scores_BV: Tensor, users_M: Tensor, rows_M: Tensor) -> None:
    # a sum is finite only if every term is, and costs a fraction of looking at each
    if torch.isfinite(scores_BV.sum()):
        return
    bad_BV = ~torch.isfinite(scores_BV)
    bad_BV[users_M, rows_M] = False
    count = int(bad_BV.sum())
    if count:
        user, row = bad_BV.nonzero()[0].tolist()
        raise EvaluationError(
            f"{count:,} of {scores_BV.numel():,} scores are not finite, in {int(bad_BV.any(dim=1).sum()):,} "
            f"of {len(scores_BV):,} histories",
            where=f"first at history {user} of this block, catalog row {row}: {scores_BV[user, row].item()}",
            remedy="the model has diverged or was given non-finite vectors: train again with a lower learning rate, "
            "or look for infinite values in the given vectors",
        )
