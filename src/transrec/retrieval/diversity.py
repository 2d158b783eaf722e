"""Diversity: lists in which items are near to the user and not all near to each other.

Axes: n candidates, K list length, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

POOL = 5
"""A list is chosen among so many times its length of the best candidates."""
SMALLEST_POOL = 50


def pool_of(k: int) -> int:
    """How many of the best candidates a list of ``k`` is chosen among."""
    return max(POOL * k, SMALLEST_POOL)


def spread(scores_n: Tensor, vectors_nD: Tensor, k: int, diversity: float) -> Tensor:
    """The places of ``k`` candidates by maximal marginal relevance (Carbonell and Goldstein 1998), in the order of choice.

    One after the other the candidate i is taken that has the largest::

        (1 - diversity) r_i - diversity max_j cos(i, j)

    where r_i is the score, scaled so that the candidates' go from 0 to 1, and j runs over what has been taken. The first is
    always the best one. Of equal candidates the one that stands first is taken.

    Args:
        scores_n: finite, best first.
        vectors_nD: of the candidates.
        k: how many; all where there are fewer.
        diversity: from 0, the order of the scores, to 1, where after the first only the distance from each other counts.

    Returns:
        int64 of shape (K,).
    """
    span = (scores_n.max() - scores_n.min()).clamp(min=torch.finfo(scores_n.dtype).tiny) if len(scores_n) else 1.0
    relevance_n = (scores_n - scores_n.min()) / span if len(scores_n) else scores_n
    units_nD = F.normalize(vectors_nD.float(), dim=1)
    nearest_n = torch.full_like(relevance_n, -torch.inf)
    left_n = torch.ones(len(scores_n), dtype=torch.bool, device=scores_n.device)
    chosen: list[int] = []
    for _ in range(min(k, len(scores_n))):
        worth_n = relevance_n if not chosen else (1 - diversity) * relevance_n - diversity * nearest_n
        place = int(worth_n.masked_fill(~left_n, -torch.inf).argmax())
        chosen.append(place)
        left_n[place] = False
        nearest_n = torch.maximum(nearest_n, units_nD @ units_nD[place])
    return torch.tensor(chosen, dtype=torch.int64)
