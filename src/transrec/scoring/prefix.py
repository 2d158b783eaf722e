"""PrefixScorer: a scorer that looks at the first numbers of vectors alone.

Axes: N users, V items, T items of a user's own, D width.
"""

from __future__ import annotations

from typing import final

from torch import Tensor

from transrec.errors import ModelError
from transrec.scoring.scorers import Scorer, WrappedScorer


@final
class PrefixScorer(WrappedScorer):
    """What a scorer says of the first m numbers of user and item vectors: s(u_(:m), e_(:m)).

    Everything about lengths is that of the prefixes, so a cosine stays one, and a distance one on the sphere.

    Args:
        inner: the scorer.
        width: m.

    Raises:
        ModelError: it reads views, which stand behind a vector and have been brought to length 1 at full width.
    """

    def __init__(self, inner: Scorer, width: int) -> None:
        if inner.reads_views:
            raise ModelError(
                f"{type(inner).__name__} reads views that have length 1 at full width, so their first numbers mean nothing",
                where="model.scorer",
                remedy="set model.scorer to cosine, or leave vectors whole: no objective.matryoshka, no model.scored_width",
            )
        super().__init__(inner)
        self.reads = width

    def forward(self, users_ND: Tensor, items_VD: Tensor) -> Tensor:
        scores_NV: Tensor = self.inner(users_ND[..., : self.reads], items_VD[..., : self.reads])
        return scores_NV

    def measured(self, users_ND: Tensor, items_VD: Tensor, lengths_V: Tensor) -> Tensor:
        return self.inner.measured(users_ND[..., : self.reads], items_VD[..., : self.reads], lengths_V)

    def paired(self, users_ND: Tensor, items_NTD: Tensor) -> Tensor:
        return self.inner.paired(users_ND[..., : self.reads], items_NTD[..., : self.reads])


def whole_scorer(scorer: Scorer) -> Scorer:
    """The scorer that looks at all numbers, where this one looks at the first alone."""
    return scorer.inner if isinstance(scorer, PrefixScorer) else scorer
