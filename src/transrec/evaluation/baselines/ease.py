"""EASE: a linear item-to-item model in closed form (Steck 2019, arXiv 1905.03375)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from transrec.data.cooccurrence import occurrences, training_histories
from transrec.data.histories import Histories
from transrec.data.splits import Split
from transrec.evaluation.baselines.matrices import tiebreak

INVERTED_DIRECTLY = 1024
"""Side up to which a matrix is inverted by the library; larger ones are split."""


@dataclass(frozen=True, slots=True, eq=False)
class Ease:
    """Scores an item by a weighted sum over the items of the history, weights learned by ridge regression.

    Equal scores, as for an empty history, are decided by popularity.

    Attributes:
        weights_SS: weight of one seen item (row) for another (column), float32; zero diagonal.
        seen_S: catalog rows of the items that training saw; the others score 0.
        counts_V: training events of each item.
        ridge: the regularisation, lambda in the paper.
    """

    weights_SS: Tensor
    seen_S: np.ndarray
    counts_V: np.ndarray
    ridge: float

    @classmethod
    def fit(cls, split: Split, num_items: int, *, ridge: float = 100.0) -> Ease:
        """Solve for the weights; costs the cube of the number of users or of seen items, whichever is smaller."""
        counts_V = split.train_counts(num_items)
        seen_S = np.flatnonzero(counts_V)
        matrix = occurrences(training_histories(split), num_items)[:, seen_S]
        precision_SS = _precision(matrix, ridge)
        weights_SS = precision_SS.div_(-precision_SS.diagonal().clone())
        weights_SS.fill_diagonal_(0.0)
        return cls(weights_SS, seen_S, counts_V, ridge)

    @property
    def settings(self) -> Mapping[str, float]:
        """What tuning chose."""
        return {"ridge": self.ridge}

    def scores(self, histories: Histories) -> Tensor:
        num_items = len(self.counts_V)
        known = occurrences(histories, num_items)[:, self.seen_S]
        scores_BV = torch.zeros(len(histories), num_items)
        scores_BV.index_copy_(1, torch.from_numpy(self.seen_S), torch.from_numpy(known @ self.weights_SS.numpy()))
        return scores_BV.add_(torch.from_numpy(tiebreak(self.counts_V)))


def _precision(matrix: sp.csr_array, ridge: float) -> Tensor:
    """The inverse of ``X' X + ridge I`` for users by items X, float32."""
    users, items = matrix.shape
    if items <= users:
        gram = torch.from_numpy((matrix.T @ matrix).toarray())
        gram.diagonal().add_(ridge)
        return _inverse(gram)
    # (X' X + r I)^-1 = (I - X' (X X' + r I)^-1 X) / r, so that the matrix inverted has the side of the users
    gram = torch.from_numpy((matrix @ matrix.T).toarray())
    gram.diagonal().add_(ridge)
    precision = torch.from_numpy(matrix.T @ (matrix.T @ _inverse(gram).numpy()).T).div_(-ridge)
    precision.diagonal().add_(1 / ridge)
    return precision


def _inverse(matrix: Tensor) -> Tensor:
    """The inverse of a symmetric positive definite matrix, by halves.

    Nearly all of the work is in matrix products, which run several times as fast as the library's inversion.
    """
    if len(matrix) <= INVERTED_DIRECTLY:
        return torch.cholesky_inverse(torch.linalg.cholesky(matrix))
    half = len(matrix) // 2
    upper = _inverse(matrix[:half, :half])
    across = upper @ matrix[:half, half:]
    lower = _inverse(matrix[half:, half:] - matrix[half:, :half] @ across)
    corner = across @ lower
    inverse = torch.empty_like(matrix)
    inverse[:half, :half] = torch.addmm(upper, corner, across.T)
    inverse[:half, half:] = -corner
    inverse[half:, :half] = -corner.T
    inverse[half:, half:] = lower
    return inverse
