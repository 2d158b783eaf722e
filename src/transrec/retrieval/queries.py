"""What is known when a catalog is asked: of the users, and, besides its content, of its items.

Axes: B users, D width, K interests, M hidden pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from transrec.data.counts import Counts
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.model import TransRec
from transrec.prior import CountPrior


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """What is known of some users when they are asked about; :func:`~transrec.retrieval.index.encode_histories` makes them.

    Attributes:
        vectors: under a model, (B, D); for a user encoder that gives interests (B, K, D).
        histories: what they did, of B users.
    """

    vectors: Tensor
    histories: Histories

    def __len__(self) -> int:
        return len(self.vectors)

    def block(self, start: int, stop: int) -> Queries:
        """The users from ``start`` to ``stop`` (exclusive)."""
        return Queries(self.vectors[start:stop], self.histories.block(start, stop))


@dataclass(frozen=True, slots=True, eq=False)
class KnownCounts:
    """What counts add to the scores of one catalog.

    Attributes:
        counts: of the catalog's items.
        prior: what they are worth.
        popularity: how much of what popularity is worth counts, 1 as learned; see :class:`~transrec.prior.CountPrior`.
    """

    counts: Counts
    prior: CountPrior
    popularity: float = 1.0

    @classmethod
    def of(cls, model: TransRec, counts: Counts | None, place: int | None = 0) -> KnownCounts | None:
        """What counts add under a model; None where there are none, or it has no prior.

        Args:
            model: whose prior.
            counts: of the catalog's items.
            place: which of the platforms that the model has learned from it is; None: none of them.
        """
        if counts is None or model.prior is None:
            return None
        return cls(counts, model.prior.elsewhere() if place is None else model.prior)


def hidden_pairs(hidden: Histories, device: torch.device | None = None) -> Tensor:
    """The (user, row) pairs of histories, int64 of shape (M, 2)."""
    return torch.from_numpy(np.stack([hidden.owners, hidden.rows], axis=1)).to(device)


def served_counts(model: TransRec, dataset: Dataset) -> Counts | None:
    """The counts that a model is served with: of all events of a dataset; None for a model without a prior."""
    if model.prior is None:
        return None
    events = dataset.interactions
    return Counts.of_histories(Histories(events.rows, events.offsets), len(dataset.catalog))
