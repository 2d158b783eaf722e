"""Barlow Twins: two views of a history should say the same of a user, and every number something of its own.

Axes: B users, L history length, D width, Z width of the projector; 2 views.
"""

from __future__ import annotations

import itertools
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from transrec.data.augmenting import AugmentSettings
from transrec.data.batches import SequenceBatch
from transrec.data.windows import WindowPlan
from transrec.errors import ModelError
from transrec.model import Outputs, TransRec
from transrec.objectives.objective import Loss, Objective
from transrec.objectives.reading import check_views, read_view
from transrec.settings import Settings
from transrec.views import UserOutput

EPSILON = 1e-5
"""Added to a variance before it is divided by, so that what is the same for all users gives zeros."""


class BarlowSettings(Settings):
    """Barlow Twins."""

    redundancy: float = Field(default=5e-3, gt=0)
    """Lambda: what two numbers that say the same cost beside what two views that disagree cost."""
    width: int = Field(default=256, ge=2)
    """Width of the projector, which is dropped after the training."""
    layers: int = Field(default=2, ge=1)
    """Linear maps of the projector."""
    pooling: Literal["last", "mean"] = "last"
    """The vector of a history: the state at its last item, which recommends later, or the mean of all states."""
    views: AugmentSettings = AugmentSettings()
    """What the two views of a history are."""
    windows: Literal["all", "last"] = "all"
    """Whether all of a user's training events are seen once an epoch, or only the latest."""


class BarlowTwins(Objective):
    """Two views of every history, standardised over the batch, should correlate number by number and not across.

    Barlow Twins (Zbontar et al. 2021, arXiv 2103.03230, equation 1), for user sequences as in arXiv 2505.00953. A
    :class:`Projector` makes z of the vector of each view; its columns get mean 0 and variance 1 over the batch::

        C_ij = 1/B sum_b z1_bi z2_bj          L = sum_i (1 - C_ii)^2 + lambda sum_{i != j} C_ij^2

    No user is another's negative, so small batches do. Nothing in it says which item comes next: it is for a stage before an
    objective that does, or a term beside one.

    The projector is the objective's own (:attr:`~transrec.objectives.objective.Objective.head`): it learns with the model
    and is in no run.

    Args:
        settings: see there.
        window: the longest history.
        width: D.
        seed: of the projector.
    """

    def __init__(self, settings: BarlowSettings, *, window: int, width: int, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings
        self.teaches_ranking = False
        self.plan = WindowPlan("none", length=window, windows=settings.windows, views=settings.views)
        generator = torch.Generator().manual_seed(seed)
        self.head = Projector(width, settings.width, layers=settings.layers, generator=generator)

    def check(self, model: TransRec) -> None:
        if model.users.gives != "states":
            raise ModelError(f"Barlow Twins needs states, the user encoder gives {model.users.gives}")
        check_views(model, self.settings.views, where="objective.barlow.views")

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        assert batch.views_2BL is not None, "the plan has views"
        assert self.head is not None
        read = (read_view(model, outputs, batch, slots_BL) for slots_BL in batch.views_2BL)
        first, second = (self.head(self._pooled(users)) for users in read)
        correlation_ZZ = cross_correlation(first, second)
        agreement_Z = correlation_ZZ.diagonal()
        loss = twins_loss(correlation_ZZ, self.settings.redundancy)
        return Loss(loss, {"barlow": loss.detach(), "barlow_agreement": agreement_Z.detach().mean()})

    def _pooled(self, users: UserOutput) -> Tensor:
        if self.settings.pooling == "last":
            return users.last_BD
        sums_BD = (users.vectors * users.mask_BL[..., None]).sum(dim=1)
        return sums_BD / users.mask_BL.sum(dim=1).clamp(min=1)[:, None]


class Projector(nn.Module):
    """Linear maps with standardisation over the batch and ReLU between them, (B, D) to (B, Z).

    It is the projector of Barlow Twins, whose batch norm keeps no statistics and learns no scale here, because it is used in
    training alone.

    Args:
        inputs: D.
        width: Z.
        layers: how many maps.
        generator: of their weights.
    """

    def __init__(self, inputs: int, width: int, *, layers: int, generator: torch.Generator) -> None:
        super().__init__()
        sizes = [inputs, *[width] * layers]
        maps = [nn.utils.skip_init(nn.Linear, size, after) for size, after in itertools.pairwise(sizes)]
        for linear in maps:
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(linear.bias)
        self.maps = nn.ModuleList(maps)

    def forward(self, users_BD: Tensor) -> Tensor:
        """What the loss compares, (B, Z)."""
        *lower, last = self.maps
        for linear in lower:
            users_BD = F.relu(standardised(linear(users_BD)))
        projected_BZ: Tensor = last(users_BD)
        return projected_BZ


def standardised(vectors_BZ: Tensor) -> Tensor:
    """Each column with mean 0 and variance 1 over the batch, in float32 or better; zeros where it is constant."""
    exact_BZ = vectors_BZ if vectors_BZ.dtype == torch.float64 else vectors_BZ.float()
    centred_BZ = exact_BZ - exact_BZ.mean(dim=0)
    return centred_BZ / (centred_BZ.square().mean(dim=0) + EPSILON).sqrt()


def cross_correlation(first_BZ: Tensor, second_BZ: Tensor) -> Tensor:
    """C, the correlation of each number of the first view with each of the second over the batch, (Z, Z)."""
    with torch.autocast(first_BZ.device.type, enabled=False):
        return standardised(first_BZ).T @ standardised(second_BZ) / len(first_BZ)


def twins_loss(correlation_ZZ: Tensor, redundancy: float) -> Tensor:
    """Views that disagree, and ``redundancy`` times numbers that repeat each other: a scalar."""
    agreement_Z = correlation_ZZ.diagonal()
    across = correlation_ZZ - torch.diag(agreement_Z)
    return (1 - agreement_Z).square().sum() + redundancy * across.square().sum()
