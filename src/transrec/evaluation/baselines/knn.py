"""Item-kNN: items that share users with the items of the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from torch import Tensor

from transrec.data.cooccurrence import occurrences, training_histories
from transrec.data.histories import Histories
from transrec.data.splits import Split
from transrec.evaluation.baselines.matrices import as_scores

ITEMS_AT_ONCE = 2048
"""Rows of the similarity matrix that are made at a time, before each is cut to its neighbours."""


@dataclass(frozen=True, slots=True, eq=False)
class ItemKnn:
    """Scores an item by its similarity to the items of the history, each of which knows its nearest neighbours only.

    The similarity of two items is the number of users that have both, divided by the root of the product of how many users
    have each plus ``shrinkage`` (a cosine that trusts few users less). Equal scores are decided by popularity.

    Attributes:
        similarity: of each item (row) to its neighbours (columns), (V, V).
        counts_V: training events of each item.
        neighbours: how many neighbours an item keeps.
        shrinkage: in users.
    """

    similarity: sp.csr_array
    counts_V: np.ndarray
    neighbours: int
    shrinkage: float

    @classmethod
    def fit(cls, split: Split, num_items: int, *, neighbours: int = 100, shrinkage: float = 10.0) -> ItemKnn:
        """Count shared users in training and keep each item's nearest neighbours."""
        matrix = occurrences(training_histories(split), num_items)
        users_V = np.asarray(matrix.sum(axis=0))
        by_item = matrix.T.tocsr()
        blocks = []
        for start in range(0, num_items, ITEMS_AT_ONCE):
            shared = (by_item[start : start + ITEMS_AT_ONCE] @ matrix).tocsr()
            owners = np.repeat(np.arange(shared.shape[0]), np.diff(shared.indptr))
            scale = np.sqrt(users_V[start + owners] * users_V[shared.indices]) + shrinkage
            shared.data = np.where(shared.indices == start + owners, 0, shared.data / scale).astype(np.float32)
            blocks.append(_nearest(shared, neighbours))
        return cls(sp.vstack(blocks, format="csr"), split.train_counts(num_items), neighbours, shrinkage)

    def narrowed(self, neighbours: int) -> ItemKnn:
        """The same with fewer neighbours, without counting again."""
        return replace(self, similarity=_nearest(self.similarity, neighbours), neighbours=neighbours)

    @property
    def settings(self) -> Mapping[str, float]:
        """What tuning chose."""
        return {"neighbours": self.neighbours, "shrinkage": self.shrinkage}

    def sparse_scores(self, histories: Histories) -> sp.csr_array:
        """The summed similarities, (B, V)."""
        return occurrences(histories, self.similarity.shape[0]) @ self.similarity

    def scores(self, histories: Histories) -> Tensor:
        return as_scores(self.sparse_scores(histories), self.counts_V)


def _nearest(similarity: sp.csr_array, neighbours: int) -> sp.csr_array:
    """Each row cut to its largest entries above 0; of equal ones the lower column stays."""
    similarity.sort_indices()
    owners = np.repeat(np.arange(similarity.shape[0]), np.diff(similarity.indptr))
    # two stable sorts instead of one by two keys, and small integers: numpy sorts those in linear time
    order = np.argsort(-similarity.data, kind="stable")
    small = np.uint16 if similarity.shape[0] <= np.iinfo(np.uint16).max else np.int64
    order = order[np.argsort(owners[order].astype(small), kind="stable")]
    place = np.arange(len(order)) - similarity.indptr[owners]
    kept = order[(place < neighbours) & (similarity.data[order] > 0)]
    coordinates = (owners[kept], similarity.indices[kept])
    return sp.coo_array((similarity.data[kept], coordinates), shape=similarity.shape).tocsr()
