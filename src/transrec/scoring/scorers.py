"""Scorers: how much a user and an item fit each other.

Axes: N users, V items, T items of a user's own, D width, M views, W numbers that are read of an item:
D, or (1 + M) D with its views.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transrec.errors import ModelError
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
        reads: how many numbers of a vector it looks at, from the first on; None: all of them.
        reads_views: whether it is given items as :attr:`~transrec.views.ItemViews.side_by_side`, and not as vectors.
    """

    takes: UserKind
    says: Literal["logits", "distances"] = "logits"
    nearest_by: Literal["direction", "product"] | None = None
    reads: int | None = None
    reads_views: bool = False

    @property
    def growth(self) -> float:
        """By how much a rounding of an inner product can grow on its way into a score, beside the score itself."""
        return 1.0

    def check(self, modalities: Sequence[str]) -> None:
        """Say so when it cannot score items that have views of these modalities.

        Raises:
            ModelError: for example it was made for the views of another item tower.
        """

    @abstractmethod
    def forward(self, users_ND: Tensor, items_VD: Tensor) -> Tensor:
        """Scores of every user against every item, (N, V); higher is better."""

    def measured(self, users_ND: Tensor, items_VD: Tensor, lengths_V: Tensor) -> Tensor:  # noqa: ARG002
        """What :meth:`forward` gives, but for rounding, where the lengths of the item vectors are known already.

        A scorer that needs lengths need not go through a large catalog for them with every question. They are those of as
        many numbers as it reads.
        """
        scores_NV: Tensor = self(users_ND, items_VD)
        return scores_NV

    @abstractmethod
    def paired(self, users_ND: Tensor, items_NTD: Tensor) -> Tensor:
        """Scores of every user against items of its own, (N, T)."""


class WrappedScorer(Scorer):
    """A scorer around another one, which declares and answers for whatever this one does not.

    Args:
        inner: the other one.
    """

    def __init__(self, inner: Scorer) -> None:
        super().__init__()
        for name in Scorer.__annotations__:
            setattr(self, name, getattr(inner, name))
        self.inner = inner

    @property
    def growth(self) -> float:
        return self.inner.growth

    def check(self, modalities: Sequence[str]) -> None:
        self.inner.check(modalities)


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
        return _bounded(self.log_scale)

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


Fusing = Literal["dynamic", "static"]


class FusedViewScorer(Scorer):
    """The cosine with each view of an item, and one score of them (MISSRec, arXiv 2308.11175, dynamic candidate fusion).

    With the score s_m = exp(b) cos(u, v_m) of the user and the view m, over the views that the item has::

        s(u, i) = sum_m s_m softmax_m(a s_m)

    The learned a begins at 0, where this is the mean of the s_m; as it grows it tends to the greatest of them, so that an
    item is as good as the best that is known of it. A view that is absent is in neither sum. Fused as a vector, two views
    that point apart make one that points at neither.

    The published a stands before cosines instead, so that it is our a exp(b). The functions are the same. But cosines differ
    by little, so that number would have to become large, and an optimiser that moves every number by about the learning rate
    a step takes too long for it.

    Where the tower has a table of identities its score s_id is weighed beside the s of the others, as published for models
    with ids: (s_id + 2 s) / 3. An item that has only one of the two is scored by that.

    The published code also has one a for each item (``dynamic_instance``). That is a table over one catalog, which no other
    platform and no new item has a row of, so it is left out here; a table of identities is the way to learn something of
    single items.

    Args:
        views: the modalities in the order of the item tower; two or more.
        temperature: where the temperature 1 / exp(b) starts, as in :class:`CosineScorer`.
        fusing: ``"static"`` leaves the mean of the view scores.

    Raises:
        ModelError: there are not two views.
    """

    takes: UserKind = "states"
    reads_views = True

    def __init__(self, views: Sequence[str], temperature: float = 0.07, fusing: Fusing = "dynamic") -> None:
        super().__init__()
        if len(views) < 2:
            raise ModelError(
                f"scores of views are to be fused, and the items have {len(views)} ({', '.join(views)})",
                where="model.scorer",
                remedy="with one view that is the cosine: set model.scorer to cosine, or name more model.items.modalities",
            )
        self.views = tuple(views)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.register_parameter("sharpness", nn.Parameter(torch.zeros(())) if fusing == "dynamic" else None)
        self.sharpness: nn.Parameter | None

    @property
    def scale(self) -> Tensor:
        """exp(b), at most 100."""
        return _bounded(self.log_scale)

    @property
    def growth(self) -> float:
        # ds/ds_m = w_m (1 + a (s_m - s)), where scores differ by at most 2 exp(b)
        return 1.0 if self.sharpness is None else 1.0 + 2.0 * abs(float((self.sharpness * self.scale).detach()))

    def check(self, modalities: Sequence[str]) -> None:
        if tuple(modalities) != self.views:
            raise ModelError(
                f"the scorer was made for views of {', '.join(self.views)}, the item tower gives {', '.join(modalities)}"
            )

    def forward(self, users_ND: Tensor, items_VW: Tensor) -> Tensor:
        views_MVD = self._split(items_VW, users_ND.shape[-1]).movedim(-2, 0)
        scores_MNV = self.scale * F.normalize(users_ND, dim=-1) @ views_MVD.mT
        return self._fused(scores_MNV, _there(views_MVD)[:, None, :])

    def paired(self, users_ND: Tensor, items_NTW: Tensor) -> Tensor:
        views_MNTD = self._split(items_NTW, users_ND.shape[-1]).movedim(-2, 0)
        scores_MNT = torch.einsum("nd,mntd->mnt", self.scale * F.normalize(users_ND, dim=-1), views_MNTD)
        return self._fused(scores_MNT, _there(views_MNTD))

    def _split(self, items: Tensor, width: int) -> Tensor:
        """The views of items without their vectors, (..., M, D)."""
        if items.shape[-1] != (1 + len(self.views)) * width:
            raise ModelError(
                f"the scorer reads {len(self.views)} views of the width {width} behind each vector, and got "
                f"{items.shape[-1]} numbers an item",
                remedy="give it ItemViews.side_by_side",
            )
        views: Tensor = items[..., width:].unflatten(-1, (len(self.views), width))
        return views

    def _fused(self, scores_M: Tensor, there_M: Tensor) -> Tensor:
        """One score of those of the views (first axis) that are there; 0 where none is."""
        if "identity" not in self.views:
            return self._softened(scores_M, there_M)
        own = self.views.index("identity")
        others = [place for place in range(len(self.views)) if place != own]
        content, has_content = self._softened(scores_M[others], there_M[others]), there_M[others].any(dim=0)
        weights = there_M[own] + 2.0 * has_content
        both: Tensor = (scores_M[own] * there_M[own] + 2.0 * content) / weights.clamp(min=1.0)
        return both

    def _softened(self, scores_M: Tensor, there_M: Tensor) -> Tensor:
        """sum_m s_m softmax_m(a s_m) over the views that are there."""
        if self.sharpness is None:
            return (scores_M * there_M).sum(dim=0) / there_M.sum(dim=0).clamp(min=1)
        # an item without any view has nothing to take a softmax over; its score is zeroed below
        hidden_M = ~there_M & there_M.any(dim=0)
        weights_M = (self.sharpness * scores_M).masked_fill(hidden_M, -torch.inf).softmax(dim=0) * there_M
        return (weights_M * scores_M).sum(dim=0)


def _there(views_D: Tensor) -> Tensor:
    """Which views are not exactly zero."""
    return (views_D != 0).any(dim=-1)


def _bounded(log_scale: nn.Parameter) -> Tensor:
    with torch.no_grad():  # the parameter itself is kept in bounds: clamping the result would end its gradient
        log_scale.clamp_(max=LARGEST_LOG_SCALE)
    return log_scale.exp()
