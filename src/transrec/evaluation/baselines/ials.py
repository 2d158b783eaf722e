"""iALS: factors of users and items, by alternating least squares over all pairs of them, observed or not.

The method is that of Hu, Koren and Volinsky 2008; the objective and its scaled penalty are those of Rendle et al. 2021
(arXiv 2110.14037). Axes: B histories, V items in the catalog, F factors, M users or items that are solved for, m of them in
a block, N of the other kind, L events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from transrec.data.cooccurrence import occurrences, training_histories
from transrec.data.histories import Histories
from transrec.data.splits import Split
from transrec.evaluation.baselines.matrices import tiebreak

SWEEPS = 10
"""How often all users and all items are solved for."""

DEVIATION = 0.1
"""Of the numbers that the items' factors start from, times the root of how many factors there are."""

GATHERED_AT_ONCE = 1 << 22
"""How many numbers are gathered at a time for a block of least squares problems (16 MiB)."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """The users or the items, held fixed while the others are solved for.

    Attributes:
        factors_NF: theirs, in the basis in which their Gram matrix is diagonal; inner products do not depend on the basis,
            and whoever is solved for comes out in the same one.
        spread_F: that diagonal.
        active: how many of them have training events; the others' factors are zeros.
    """

    factors_NF: Tensor
    spread_F: Tensor
    active: int

    @classmethod
    def of(cls, factors_NF: Tensor, active: int) -> Self:
        """These factors in their basis."""
        spread_F, basis_FF = torch.linalg.eigh(factors_NF.T @ factors_NF)
        return cls(factors_NF @ basis_FF, spread_F.clamp_(min=0.0), active)


@dataclass(frozen=True, slots=True, eq=False)
class Ials:
    """Scores an item by the inner product of its factors with those of the history, which are solved for when it comes.

    With w for the factors of users and h for those of items, a fit makes small: the sum of (<w, h> - 1)^2 over the pairs in
    training, plus ``unobserved`` times the sum of <w, h>^2 over all pairs, plus ``penalty`` times the sum of each w and h's
    squared length times its weight. The weight of a user with n items is n plus ``unobserved`` times the number of items,
    that of an item likewise (the exponent nu of the paper is 1).

    A history's factors are the minimum of the same sum for fixed items, also where training never saw its user. Equal
    scores, as for an empty history, are decided by popularity.

    Attributes:
        items: their factors.
        counts_V: training events of each item.
        unobserved: what a pair weighs towards 0, whether it is in training or not; alpha_0 in the paper.
        penalty: lambda in the paper.
    """

    items: Side
    counts_V: np.ndarray
    unobserved: float
    penalty: float

    @classmethod
    def fit(
        cls,
        split: Split,
        num_items: int,
        *,
        factors: int = 128,
        unobserved: float = 0.1,
        penalty: float = 0.003,
        generator: torch.Generator,
    ) -> Ials:
        """Solve for users and items in turns; an item counts once for a user, however often it occurs.

        Args:
            split: its training events.
            num_items: V.
            factors: F.
            unobserved: see the class.
            penalty: see the class.
            generator: draws what the items' factors start from.
        """
        by_user = occurrences(training_histories(split), num_items)
        by_item = by_user.T.tocsr()
        num_active_users, num_active_items = (int((np.diff(m.indptr) > 0).sum()) for m in (by_user, by_item))
        fresh_VF = torch.randn(num_items, factors, generator=generator) * (DEVIATION / factors**0.5)
        fresh_VF[np.diff(by_item.indptr) == 0] = 0.0
        items = Side.of(fresh_VF, num_active_items)
        for _ in range(SWEEPS):
            users = Side.of(_solved(by_user, items, unobserved, penalty), num_active_users)
            items = Side.of(_solved(by_item, users, unobserved, penalty), num_active_items)
        return cls(items, split.train_counts(num_items), unobserved, penalty)

    @property
    def settings(self) -> Mapping[str, float]:
        """What tuning chose."""
        return {"factors": len(self.items.spread_F), "unobserved": self.unobserved, "penalty": self.penalty}

    def scores(self, histories: Histories) -> Tensor:
        known = occurrences(histories, len(self.counts_V))
        scores_BV = _solved(known, self.items, self.unobserved, self.penalty) @ self.items.factors_NF.T
        return scores_BV.add_(torch.from_numpy(tiebreak(self.counts_V)))


def _solved(events: sp.csr_array, fixed: Side, unobserved: float, penalty: float) -> Tensor:
    """The best factors of everyone whose events with the fixed side are a row of this (M, N) matrix; (M, F).

    Who has no events gets zeros.
    """
    solved_MF = fixed.factors_NF.new_zeros(events.shape[0], len(fixed.spread_F))
    lengths_M, starts_M = torch.from_numpy(np.diff(events.indptr)).long(), torch.from_numpy(events.indptr[:-1]).long()
    columns = torch.from_numpy(events.indices).long()
    penalty_M = penalty * (lengths_M + unobserved * fixed.active)
    order_M = lengths_M.argsort(descending=True)  # a block is as wide as its longest: let them be alike
    start, stop = 0, int((lengths_M > 0).sum())
    while start < stop:
        longest = int(lengths_M[order_M[start]])
        size = max(1, GATHERED_AT_ONCE // (longest * solved_MF.shape[1]))
        block_m = order_M[start : min(start + size, stop)]
        places_mL = starts_M[block_m, None] + torch.arange(longest)
        real_mL = torch.arange(longest) < lengths_M[block_m, None]
        met_mLF = fixed.factors_NF[columns[places_mL.clamp(max=len(columns) - 1)]] * real_mL[..., None]
        solved_MF[block_m] = _least_squares(met_mLF, unobserved * fixed.spread_F + penalty_M[block_m, None])
        start += len(block_m)
    return solved_MF


def _least_squares(met_mLF: Tensor, diagonal_mF: Tensor) -> Tensor:
    """``(X' X + diag(d))^-1 X' 1`` for each X of shape (L, F), some of whose rows may be zeros; (m, F).

    What is inverted has the side L or F, whichever is smaller, so that many factors cost little where histories are short.
    """
    if met_mLF.shape[1] < met_mLF.shape[2]:
        # (X' X + D)^-1 X' = D^-1 X' (X D^-1 X' + I)^-1
        scaled_mFL = (met_mLF / diagonal_mF[:, None]).mT
        gram_mLL = met_mLF @ scaled_mFL
        gram_mLL.diagonal(dim1=1, dim2=2).add_(1.0)
        return (scaled_mFL @ _solve(gram_mLL, torch.ones_like(met_mLF[..., :1])))[..., 0]
    gram_mFF = met_mLF.mT @ met_mLF
    gram_mFF.diagonal(dim1=1, dim2=2).add_(diagonal_mF)
    return _solve(gram_mFF, met_mLF.sum(dim=1)[..., None])[..., 0]


def _solve(matrix_mnn: Tensor, right_mn1: Tensor) -> Tensor:
    """The solution for symmetric positive definite matrices."""
    return torch.cholesky_solve(right_mn1, torch.linalg.cholesky(matrix_mnn))
