"""BestInterest: of several interests of a user the one that fits an item best.

Axes: N users, K interests of a user, V items, T items of a user's own, D width.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from transrec.scoring.scorers import Scorer, WrappedScorer


@final
class BestInterest(WrappedScorer):
    """The score of the interest that fits best: s(u, i) = max_k s(u_k, i).

    With :class:`DistanceScorer` the least of the distances, as in DPCML (arXiv 2209.15292, section 3); with the others the
    largest product, as in ComiRec (arXiv 2005.09347, equation 7 at serving). One interest is the scorer inside.

    With handicaps every interest but the first has to win by a learned number: s(u, i) = max(s(u_1, i), s(u_k, i) - h_k).
    The largest of several scores is larger than one of them for every item, so more interests raise what a user wants and
    what he does not; h_k says from where on an interest is to be believed. As it grows this becomes the score of the first.
    It begins at zero. That is not published.

    Args:
        inner: scores each interest.
        handicapped: how many interests there are after the first, each with a number of its own; 0: none has one.
    """

    def __init__(self, inner: Scorer, handicapped: int = 0) -> None:
        super().__init__(inner)
        self.takes = "interests"
        self.handicaps = Handicaps(handicapped) if handicapped else None

    def forward(self, users_ND: Tensor, items_VD: Tensor) -> Tensor:
        return self._best([self.inner(users_ND[:, k], items_VD) for k in range(users_ND.shape[1])])

    def measured(self, users_ND: Tensor, items_VD: Tensor, lengths_V: Tensor) -> Tensor:
        return self._best([self.inner.measured(users_ND[:, k], items_VD, lengths_V) for k in range(users_ND.shape[1])])

    def paired(self, users_ND: Tensor, items_NTD: Tensor) -> Tensor:
        return self._best([self.inner.paired(users_ND[:, k], items_NTD) for k in range(users_ND.shape[1])])

    def _best(self, scores: list[Tensor]) -> Tensor:
        best, *others = scores
        for k, more in enumerate(others):
            best = torch.maximum(best, more if self.handicaps is None else more - self.handicaps.of_each[k])
        return best


class Handicaps(nn.Module):
    """What is taken off the scores of the interests after the first, h_2 to h_K.

    Args:
        count: K - 1.
    """

    far_going = True  # see training/optimiser.py

    def __init__(self, count: int) -> None:
        super().__init__()
        self.of_each = nn.Parameter(torch.zeros(count))
