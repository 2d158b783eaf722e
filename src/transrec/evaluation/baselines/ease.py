"""EASE: a linear item-to-item model in closed form (Steck 2019, arXiv 1905.03375)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from transrec.data.histories import Histories
from transrec.data.splits import Split
from transrec.evaluation.baselines.matrices import occurrences, training_histories


@dataclass(frozen=True, slots=True, eq=False)
class Ease:
    """Scores an item by a weighted sum over the items of the history, weights learned by ridge regression.

    Attributes:
        weights_SS: weight of one seen item (row) for another (column); zero diagonal.
        seen_S: catalog rows of the items that training saw.
        num_items: V; items that training did not see score 0.
        ridge: the regularisation, lambda in the paper.
    """

    weights_SS: Tensor
    seen_S: np.ndarray
    num_items: int
    ridge: float

    @classmethod
    def fit(cls, split: Split, num_items: int, *, ridge: float = 200.0) -> Ease:
        """Solve for the weights: a matrix of all seen items by all seen items is inverted."""
        matrix = occurrences(training_histories(split), num_items, once=True)
        seen_S = np.flatnonzero(split.train_counts(num_items))
        matrix = matrix[:, seen_S]
        gram_SS = torch.from_numpy((matrix.T @ matrix).toarray())
        gram_SS.diagonal().add_(ridge)
        precision_SS = torch.cholesky_inverse(torch.linalg.cholesky(gram_SS))
        weights_SS = precision_SS.div_(-precision_SS.diagonal().clone())
        weights_SS.fill_diagonal_(0.0)
        return cls(weights_SS, seen_S, num_items, ridge)

    @property
    def settings(self) -> Mapping[str, float]:
        """What tuning chose."""
        return {"ridge": self.ridge}

    def scores(self, histories: Histories) -> Tensor:
        known = occurrences(histories, self.num_items, once=True)[:, self.seen_S]
        scores_BV = torch.zeros(len(histories), self.num_items)
        scores_BV[:, self.seen_S] = torch.from_numpy(known @ self.weights_SS.numpy())
        return scores_BV
