"""Popularity: the items that most training events have, for everyone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from transrec.data.histories import Histories
from transrec.data.splits import Split


@dataclass(frozen=True, slots=True, eq=False)
class Popularity:
    """Scores every item by its number of training events, whatever the history.

    Attributes:
        counts_V: training events of each item.
        settings: nothing is chosen.
    """

    counts_V: np.ndarray
    settings: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def fit(cls, split: Split, num_items: int) -> Popularity:
        """Count the training events."""
        return cls(split.train_counts(num_items))

    def scores(self, histories: Histories) -> Tensor:
        return torch.from_numpy(self.counts_V.astype(np.float32)).expand(len(histories), -1)
