"""A Markov chain with a window: what tends to follow the last few items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from torch import Tensor

from transrec.data.histories import Histories
from transrec.data.splits import Split
from transrec.evaluation.baselines.matrices import as_scores, occurrences, training_histories


@dataclass(frozen=True, slots=True, eq=False)
class Markov:
    """The last items of a history vote for what followed them in training; equal votes are decided by popularity.

    The vote of item i for item j is the number of times that j came within ``window`` events after i, divided by j's
    number of training events to a power: 0 favours what is popular, 1 what is particular to i.

    Attributes:
        follows: how often each item (column) followed each (row) within the window, (V, V).
        counts_V: training events of each item.
        window: how far a follower may be behind, in events.
        power: of the follower's popularity.
        voters: how many of the last items vote, each with the same weight.
    """

    follows: sp.csr_array
    counts_V: np.ndarray
    window: int
    power: float
    voters: int

    @classmethod
    def fit(cls, split: Split, num_items: int, *, window: int = 1, power: float = 0.0, voters: int = 1) -> Markov:
        """Count the followers in training."""
        follows = count_followers(training_histories(split), num_items, window)
        return cls(follows, split.train_counts(num_items), window, power, voters)

    @property
    def settings(self) -> Mapping[str, float]:
        """What tuning chose."""
        return {"window": self.window, "power": self.power, "voters": self.voters}

    def sparse_scores(self, histories: Histories) -> sp.csr_array:
        """The votes, (B, V)."""
        votes = occurrences(histories.last(self.voters), len(self.counts_V), once=False) @ self.follows
        scale_V = np.maximum(self.counts_V, 1).astype(np.float64) ** -self.power
        votes.data = votes.data * scale_V[votes.indices].astype(np.float32)
        return votes

    def scores(self, histories: Histories) -> Tensor:
        return as_scores(self.sparse_scores(histories), self.counts_V)


def count_followers(histories: Histories, num_items: int, window: int) -> sp.csr_array:
    """How often each item (column) came at most ``window`` events after each (row) in one history, (V, V) float32."""
    owners = histories.owners
    total = sp.csr_array((num_items, num_items), dtype=np.float32)
    for distance in range(1, window + 1):
        together = owners[:-distance] == owners[distance:]
        pairs = (histories.rows[:-distance][together], histories.rows[distance:][together])
        ones = np.ones(len(pairs[0]), dtype=np.float32)
        total = total + sp.coo_array((ones, pairs), shape=total.shape).tocsr()
    return total
