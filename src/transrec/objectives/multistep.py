"""Multi-step binary cross-entropy: the objective of the TransRec paper."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field

from transrec.data.batches import SequenceBatch
from transrec.data.windows import WindowPlan
from transrec.model import Outputs, TransRec
from transrec.objectives.objective import Loss, Objective, require_logits
from transrec.settings import Settings


class MultiStepSettings(Settings):
    """Multi-step binary cross-entropy."""

    positives: int = Field(default=5, ge=1)
    """P, the following items that the history predicts."""
    negatives: int = Field(default=5, ge=1)
    """K, the sampled items that it must not predict."""
    windows: Literal["all", "last"] = "all"
    """Whether a user's earlier events are targets too, or (as published) only the latest ones."""
    negatives_avoid: Literal["training", "line"] = "training"
    """Whether negatives avoid the user's training events, or (as published) the held-out ones too. The latter lets the model
    notice which items are never wrong."""


class MultiStepBCE(Objective):
    """One user vector predicts the P next items against K sampled ones.

    From the code of TransRec (arXiv 2206.06190)::

        L = -1/(B P) sum log sigma(s(u_b, e+_bp)) - 1/(B K) sum log(1 - sigma(s(u_b, e-_bk)))

    Users with fewer than P following items give as many as they have; the mean is over real ones. With all scores 0
    the loss is 2 ln 2.

    Args:
        settings: see there.
        window: the longest history.
    """

    def __init__(self, settings: MultiStepSettings, *, window: int) -> None:
        super().__init__()
        self.plan = WindowPlan(
            "following",
            length=window,
            horizon=settings.positives,
            negatives=settings.negatives,
            windows=settings.windows,
            negatives_avoid=settings.negatives_avoid,
        )

    def check(self, model: TransRec) -> None:
        require_logits(model, "multi-step prediction")

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        users_B, items_UD = outputs.users.scored, outputs.items.read_by(model.scorer)
        positive_BT = model.scorer.paired(users_B, items_UD[batch.targets_BT]).float()
        negative_BK = model.scorer.paired(users_B, items_UD[batch.negatives_BK]).float()
        attract = -F.logsigmoid(positive_BT)[batch.target_mask_BT].mean()
        repel = -F.logsigmoid(-negative_BK).mean()
        hits = (positive_BT[:, 0] > negative_BK[:, 0]).float().mean().detach()
        return Loss(attract + repel, {"positive": attract.detach(), "negative": repel.detach(), "pair_accuracy": hits})
