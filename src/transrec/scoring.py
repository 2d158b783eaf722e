"""Scorers: how much a user and an item fit each other.

Axes: N users, K interests of a user, V items, T items of a user's own, D width.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transrec.views import UserKind

LARGEST_LOG_SCALE = math.log(100.0)


class Scorer(nn.Module, ABC):
    """Scores user vectors against item vectors.

    Attributes:
        takes: which kind of user output it can score.
        says: what its scores are: ``"logits"``, which a softmax or a sigmoid can read, or ``"distances"`` below zero, which
            a margin compares.
        nearest_by: which items score best: those that point most nearly in the user's ``"direction"``, those with the
            largest inner ``"product"``, or neither, None. For the first two there is approximate search.
    """

    takes: UserKind
    says: Literal["logits", "distances"] = "logits"
    nearest_by: Literal["direction", "product"] | None = None

    @abstractmethod
    def forward(self, users_ND: Tensor, items_VD: Tensor) -> Tensor:
        """Scores of every user against every item, (N, V); higher is better."""

    def measured(self, users_ND: Tensor, items_VD: Tensor, lengths_V: Tensor) -> Tensor:  # noqa: ARG002
        """What :meth:`forward` gives, but for rounding, where the lengths of the item vectors are known already.

        A scorer that needs lengths need not go through a large catalog for them with every question.
        """
        scores_NV: Tensor = self(users_ND, items_VD)
        return scores_NV

    @abstractmethod
    def paired(self, users_ND: Tensor, items_NTD: Tensor) -> Tensor:
        """Scores of every user against items of its own, (N, T)."""


class DotScorer(Scorer):
    """The plain inner product, as published: s(u, i) = u . e_i."""

    takes: UserKind = "states"
    nearest_by = "product"

    def forward(self, users_ND: Tensor, items_VD: Tensor) -> Tensor:
        return users_ND @ items_VD.T

    def paired(self, users_ND: Tensor, items_NTD: Tensor) -> Tensor:
        return torch.einsum("nd,ntd->nt", users_ND, items_NTD)


class CosineScorer(Scorer):
    """The cosine, divided by a learned temperature: s(u, i) = exp(a) cos(u, e_i).

    Args:
        temperature: where the temperature 1 / exp(a) starts, at least 0.01. The scale exp(a) is kept below 100, as in CLIP
            (Radford et al. 2021, section 2.4), because an unbounded one makes training unstable.
    """

    takes: UserKind = "states"
    nearest_by = "direction"

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    @property
    def scale(self) -> Tensor:
        """exp(a), at most 100."""
        with torch.no_grad():  # the parameter itself is kept in bounds: clamping the result would end its gradient
            self.log_scale.clamp_(max=LARGEST_LOG_SCALE)
        return self.log_scale.exp()

    def forward(self, users_ND: Tensor, items_VD: Tensor) -> Tensor:
        return self.scale * F.normalize(users_ND, dim=-1) @ F.normalize(items_VD, dim=-1).T

    def measured(self, users_ND: Tensor, items_VD: Tensor, lengths_V: Tensor) -> Tensor:
        return self.scale * F.normalize(users_ND, dim=-1) @ items_VD.T / lengths_V.clamp(min=1e-12)

    def paired(self, users_ND: Tensor, items_NTD: Tensor) -> Tensor:
        users_ND, items_NTD = F.normalize(users_ND, dim=-1), F.normalize(items_NTD, dim=-1)
        return self.scale * torch.einsum("nd,ntd->nt", users_ND, items_NTD)


@final
class DistanceScorer(Scorer):
    """Nearness on the unit sphere, from -4 to 0: ``s(u, i) = -|| u/|u| - e_i/|e_i| ||^2``.

    The score of collaborative metric learning (Hsieh et al. 2017), with users and items on the sphere instead of in the
    ball, as DPCML has its users (Bao et al. 2022, arXiv 2209.15292, section 3). There it is 2 cos - 2: it ranks as the
    cosine does (their equations 9 and 10). A user of whom nothing is known, a zero vector, is at the distance 1 from all.
    """

    takes: UserKind = "states"
    says = "distances"
    nearest_by = "direction"

    def forward(self, users_ND: Tensor, items_VD: Tensor) -> Tensor:
        users_ND, items_VD = F.normalize(users_ND, dim=-1), F.normalize(items_VD, dim=-1)
        return self._from(users_ND @ items_VD.T, users_ND)

    def measured(self, users_ND: Tensor, items_VD: Tensor, lengths_V: Tensor) -> Tensor:
        users_ND = F.normalize(users_ND, dim=-1)
        return self._from(users_ND @ items_VD.T / lengths_V.clamp(min=1e-12), users_ND)

    def paired(self, users_ND: Tensor, items_NTD: Tensor) -> Tensor:
        users_ND, items_NTD = F.normalize(users_ND, dim=-1), F.normalize(items_NTD, dim=-1)
        return self._from(torch.einsum("nd,ntd->nt", users_ND, items_NTD), users_ND)

    @staticmethod
    def _from(cosines_NX: Tensor, units_ND: Tensor) -> Tensor:
        # |u|^2 is 1, or 0 for a user of whom nothing is known
        return 2 * cosines_NX - 1 - units_ND.square().sum(dim=-1, keepdim=True)


@final
class BestInterest(Scorer):
    """The score of the interest that fits best: s(u, i) = max_k s(u_k, i).

    With :class:`DistanceScorer` the least of the distances, as in DPCML (arXiv 2209.15292, section 3); with the others the
    largest product, as in ComiRec (arXiv 2005.09347, equation 7 at serving). One interest is the scorer inside.

    Args:
        inner: scores each interest.
    """

    takes: UserKind = "interests"

    def __init__(self, inner: Scorer) -> None:
        super().__init__()
        self.inner = inner
        self.says, self.nearest_by = inner.says, inner.nearest_by

    def forward(self, users_ND: Tensor, items_VD: Tensor) -> Tensor:
        return _best([self.inner(users_ND[:, k], items_VD) for k in range(users_ND.shape[1])])

    def measured(self, users_ND: Tensor, items_VD: Tensor, lengths_V: Tensor) -> Tensor:
        return _best([self.inner.measured(users_ND[:, k], items_VD, lengths_V) for k in range(users_ND.shape[1])])

    def paired(self, users_ND: Tensor, items_NTD: Tensor) -> Tensor:
        return _best([self.inner.paired(users_ND[:, k], items_NTD) for k in range(users_ND.shape[1])])


def _best(scores: list[Tensor]) -> Tensor:
    best = scores[0]
    for more in scores[1:]:
        best = torch.maximum(best, more)
    return best
