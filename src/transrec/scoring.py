"""Scorers: how much a user and an item fit each other."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transrec.views import UserKind

LARGEST_LOG_SCALE = math.log(100.0)


class Scorer(nn.Module, ABC):
    """Scores user vectors against item vectors.

    Attributes:
        takes: which kind of user output it can score.
    """

    takes: UserKind

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
