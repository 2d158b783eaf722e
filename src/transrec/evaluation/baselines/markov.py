"""A Markov chain with a window: what tends to follow the last few items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from torch import Tensor

from transrec.data.cooccurrence import count_followers, last_items, training_histories
from transrec.data.histories import Histories
from transrec.data.splits import Split
from transrec.evaluation.baselines.matrices import as_scores


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
        voters: how many of the last items vote.
        fade: how fast distance counts less: a follower at distance d counts d to the power of minus ``fade``, and so does
            the vote of the d-th last item. 0 counts all alike.
    """

    follows: sp.csr_array
    counts_V: np.ndarray
    window: int
    power: float
    voters: int
    fade: float

    @classmethod
    def fit(
        cls,
        split: Split,
        num_items: int,
        *,
        window: int = 1,
        power: float = 0.0,
        voters: int = 1,
        fade: float = 0.0,
    ) -> Markov:
        """Count the followers in training."""
        follows = count_followers(training_histories(split), num_items, window=window, fade=fade)
        return cls(follows, split.train_counts(num_items), window, power, voters, fade)

    @property
    def settings(self) -> Mapping[str, float]:
        """What tuning chose."""
        return {"window": self.window, "power": self.power, "voters": self.voters, "fade": self.fade}

    def sparse_scores(self, histories: Histories) -> sp.csr_array:
        """The votes, (B, V)."""
        votes = last_items(histories, len(self.counts_V), self.voters, self.fade) @ self.follows
        scale_V = np.maximum(self.counts_V, 1).astype(np.float64) ** -self.power
        votes.data = votes.data * scale_V[votes.indices].astype(np.float32)
        return votes

    def scores(self, histories: Histories) -> Tensor:
        return as_scores(self.sparse_scores(histories), self.counts_V)
