"""Similarity of content without any learning: items like the last ones of the history.

Axes: B histories, V items in the catalog, D width of a modality's vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from transrec.data.cooccurrence import last_items
from transrec.data.histories import Histories
from transrec.data.splits import Split
from transrec.errors import EvaluationError
from transrec.evaluation.baselines.matrices import tiebreak

ROWS_AT_ONCE = 4096
"""Items whose vectors are centred at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class ContentSimilarity:
    """Scores an item by the cosine between its vector and the weighted sum of those of the last items of the history.

    Vectors are centred over the catalog, for those of published encoders share a large common part, and have length 1
    before they are added up. The d-th last item counts d to the power of minus ``fade``. The cosines of several modalities
    are added up by weight; where the item or the whole history lacks one, its cosine is 0. Equal scores, as for an empty
    history, are decided by popularity.

    Attributes:
        units: by modality, each item's centred vector of length 1, (V, D) float32; zeros where it has none.
        weights: what the cosine of each modality counts, at least 0.
        counts_V: training events of each item.
        last: how many of the last items count.
        fade: how fast distance counts less; 0 counts all alike.
    """

    units: Mapping[str, Tensor]
    weights: Mapping[str, float]
    counts_V: np.ndarray
    last: int
    fade: float

    @classmethod
    def fit(
        cls,
        split: Split,
        vectors: Mapping[str, np.ndarray],
        *,
        last: int = 3,
        fade: float = 1.0,
        weights: Mapping[str, float] | None = None,
    ) -> ContentSimilarity:
        """Centre the vectors; nothing is learned, and training events decide between equal scores only.

        Args:
            split: its training events.
            vectors: by modality, a vector for every catalog row, (V, D); a row of zeros stands for an item without it.
            last: see the class.
            fade: see the class.
            weights: see the class; 1 for all when None.

        Raises:
            EvaluationError: there are no vectors, a vector is not finite, or modalities differ in their number of items.
        """
        _check(vectors)
        units = {name: torch.from_numpy(_centred_units(vectors_VD)) for name, vectors_VD in vectors.items()}
        counts_V = split.train_counts(len(next(iter(vectors.values()))))
        return cls(units, weights or dict.fromkeys(units, 1.0), counts_V, last, fade)

    @property
    def settings(self) -> Mapping[str, float]:
        """What tuning chose."""
        return {"last": self.last, "fade": self.fade, **{f"{name} weight": w for name, w in self.weights.items()}}

    def scores(self, histories: Histories) -> Tensor:
        counted = last_items(histories, len(self.counts_V), self.last, self.fade)
        scores_BV = torch.from_numpy(tiebreak(self.counts_V)).float().repeat(len(histories), 1)
        for name in (name for name, weight in self.weights.items() if weight):
            unit_VD = self.units[name]
            users_BD = F.normalize(torch.from_numpy(counted @ unit_VD.numpy()), dim=1)
            scores_BV.addmm_(users_BD, unit_VD.T, alpha=self.weights[name])
        return scores_BV


def _check(vectors: Mapping[str, np.ndarray]) -> None:
    if not vectors:
        raise EvaluationError("there are no vectors to compare items by", remedy="give those of one modality at least")
    sizes = {name: len(vectors_VD) for name, vectors_VD in vectors.items()}
    if len(set(sizes.values())) > 1:
        raise EvaluationError(f"the modalities have different numbers of items: {sizes}", remedy="give a row for every item")
    for name, vectors_VD in vectors.items():
        if not np.isfinite(vectors_VD).all():
            row = int(np.flatnonzero(~np.isfinite(vectors_VD).all(axis=1))[0])
            raise EvaluationError(
                f"the {name} vector of catalog row {row} is not finite",
                where=name,
                remedy="encode the items again; a row of zeros stands for an item that has no such content",
            )


def _centred_units(vectors_VD: np.ndarray) -> np.ndarray:
    """Vectors less their mean, of length 1; zeros stay zeros, and have no part in the mean. Float32, (V, D)."""
    units_VD = np.zeros(vectors_VD.shape, dtype=np.float32)
    blocks = [slice(at, at + ROWS_AT_ONCE) for at in range(0, len(vectors_VD), ROWS_AT_ONCE)]
    present_V = np.any(vectors_VD != 0, axis=1)
    mean_D = sum(vectors_VD[block].sum(axis=0, dtype=np.float64) for block in blocks) / max(present_V.sum(), 1)
    for block in blocks:
        centred = np.where(present_V[block, None], vectors_VD[block] - mean_D, 0.0)
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        # what is left of vectors that are all the same is rounding
        near = length <= 1e-6 * np.linalg.norm(mean_D)
        units_VD[block] = np.where(near, 0.0, centred / np.where(near, 1.0, length))
    return units_VD
