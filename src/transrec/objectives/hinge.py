"""Metric hinge: what a user takes next has to be nearer than sampled items by a margin.

Axes: B users, T targets, S sampled items, M of them that count, C interests, D width.
"""

from __future__ import annotations

import math
from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from transrec.data.batches import SequenceBatch
from transrec.data.windows import WindowPlan
from transrec.errors import ModelError
from transrec.model import Outputs, TransRec
from transrec.objectives.objective import Loss, Objective
from transrec.settings import Settings


class HingeSettings(Settings):
    """The metric hinge."""

    margin: float = Field(default=1.0, gt=0, le=4)
    """Lambda, by how much nearer a target has to be; squared distances on the sphere go up to 4. The paper tries 1 to 2."""
    positives: int = Field(default=5, ge=1)
    """The following items that a history has to be near to."""
    negatives: int = Field(default=10, ge=1)
    """S, the items that are sampled for each history, uniformly, without the user's own."""
    hardest: float = Field(default=0.0, ge=0, le=1)
    """The share of the sampled items that counts, the nearest ones, at least one. 0 is the hardest alone (DPCML2), 1 all of
    them (DPCML1), between them the range of false positives whose area under the ROC curve is looked after."""
    windows: Literal["all", "last"] = "all"
    """Whether a user's earlier events are targets too, or only the latest ones."""


class MetricHinge(Objective):
    """Metric learning with one vector a user or several (DPCML, Bao et al. 2022, arXiv 2209.15292, equation 4).

    With s(u, i) = min_c d^2(u_c, i), the least squared distance on the sphere, for T targets j and the M nearest k of S
    sampled items::

        L = 1/B sum_b  1/(T M) sum_j sum_k [lambda + s(u_b, j) - s(u_b, k)]_+

    The published code adds up over the batch, this is the mean. With M = S all sampled items count (DPCML1), with M = 1 the
    hardest (DPCML2). Between them the mean of the M largest terms is min_t { t + 1/M sum_k [l_k - t]_+ } (Rockafellar and
    Uryasev 2000), whose gradient this is: a surrogate of the one-way partial AUC over false-positive rates up to M / S, the
    quantity that DPCML 2024 (arXiv 2409.01012) optimises by a formula that could not be read.

    Args:
        settings: see there.
        window: the longest history.
    """

    def __init__(self, settings: HingeSettings, *, window: int) -> None:
        super().__init__()
        self.settings = settings
        self.plan = WindowPlan(
            "following",
            length=window,
            horizon=settings.positives,
            negatives=settings.negatives,
            windows=settings.windows,
        )

    @property
    def counted(self) -> int:
        """M, how many of the sampled items count."""
        return max(1, math.ceil(self.settings.hardest * self.settings.negatives))

    def check(self, model: TransRec) -> None:
        if model.scorer.says != "distances":
            raise ModelError(
                f"the hinge compares distances with a margin, the scorer {model.settings.scorer} gives {model.scorer.says}, "
                "whose scale is free",
                remedy="set model.scorer to distance, or train with another objective",
            )

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        users, items_UD = outputs.users.scored, outputs.items.read_by(model.scorer)
        near_BT = -model.scorer.paired(users, items_UD[batch.targets_BT]).float()
        far_BS = -model.scorer.paired(users, items_UD[batch.negatives_BK]).float()
        nearest_BM = far_BS.topk(self.counted, dim=1, largest=False).values
        loss = hinge(near_BT, nearest_BM, batch.target_mask_BT, margin=self.settings.margin)
        right = (near_BT[:, 0] < far_BS.amin(dim=1)).float().mean()
        return Loss(loss, {"hinge": loss.detach(), "nearest_right": right.detach()})


def hinge(near_BT: Tensor, far_BM: Tensor, mask_BT: Tensor, *, margin: float) -> Tensor:
    """The mean over users of the mean over their targets and sampled items of ``[margin + near - far]_+``, a scalar.

    Args:
        near_BT: squared distances of targets.
        far_BM: of sampled items.
        mask_BT: which targets are real, bool; at least one of each user.
        margin: lambda.
    """
    over_BT = F.relu(margin + near_BT[:, :, None] - far_BM[:, None, :]).mean(dim=2)
    targets_B = mask_BT.sum(dim=1)
    return ((over_BT * mask_BT).sum(dim=1) / targets_B).mean()
