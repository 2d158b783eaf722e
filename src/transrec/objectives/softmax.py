"""Softmax over the items of the batch, corrected for how likely each is to be there; the default objective.

Axes: B users, L history length, Q predictions (real positions of all users), U distinct items of the batch, D width.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from transrec.data.batches import SequenceBatch
from transrec.data.windows import WindowPlan
from transrec.errors import ModelError
from transrec.model import Outputs, TransRec
from transrec.objectives.objective import Loss, Objective
from transrec.settings import Settings


class SoftmaxSettings(Settings):
    """In-batch softmax."""

    correction: Literal["inclusion", "popularity", "none"] = "inclusion"
    """What is taken from every score before the softmax: the log of the probability that the item is among the batch's
    candidates; the log of its popularity, less the log of how often it is a target in the batch (equal to counting it as
    often as it occurs); or nothing."""
    shared_negatives: int = Field(default=0, ge=0)
    """Items drawn uniformly from the catalog for the whole batch, as further candidates. Cheap where encoders are frozen."""


class InBatchSoftmax(Objective):
    """Every position predicts the next item among all distinct items of the batch.

    For a user state u_q whose next item is i, over the U distinct items of the batch::

        L = -1/Q sum_q log  exp(s(u_q, i) - c_i) / sum_j exp(s(u_q, j) - c_j)

    where j runs over i and the items that the user has not touched in training: the user's own items are no negatives. With
    ``inclusion``, c_j = log(1 - (1 - p_j)^m (1 - q)), the probability that an item with the share p_j of the training events
    is among m of them or among the share q of the catalog drawn besides; with ``popularity``, c_j = log p_j - log n_j
    for an item that is a target n_j times (Bengio and Senecal 2008; Yi et al. 2019, "Sampling-bias-corrected neural
    modeling"). With a bidirectional user encoder only the last position predicts.

    Args:
        settings: see there.
        window: the longest history.
        all_positions: False for user encoders that are not causal.
    """

    asks_counts = True

    def __init__(self, settings: SoftmaxSettings, *, window: int, all_positions: bool = True) -> None:
        super().__init__()
        self.settings = settings
        self.all_positions = all_positions
        shared = settings.shared_negatives
        self.plan = (
            WindowPlan("next", length=window, shared_negatives=shared)
            if all_positions
            else WindowPlan("following", length=window, horizon=1, shared_negatives=shared)
        )

    def check(self, model: TransRec) -> None:
        if model.users.gives != "states":
            raise ModelError(f"in-batch softmax needs states, the user encoder gives {model.users.gives}")
        if self.all_positions and not model.users.causal:
            raise ModelError(
                "every position is to predict the next item, but the user encoder sees the items that come next",
                remedy="use a causal user encoder, or let the last position alone predict",
            )

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        if self.all_positions:
            states_QD = outputs.users.vectors[batch.target_mask_BT]
            users_Q, _ = batch.target_mask_BT.nonzero(as_tuple=True)
        else:
            states_QD = outputs.users.last_BD
            users_Q = torch.arange(len(states_QD), device=states_QD.device)
        targets_Q = batch.targets_BT[batch.target_mask_BT]
        scores_QU = model.scorer(states_QD, outputs.items.fused_UD).float()
        if model.prior is not None and batch.evidence is not None:
            scores_QU = model.prior(scores_QU, batch.evidence)
        hidden_QU = not_negative(batch, users_Q, targets_Q)
        if self.settings.correction == "popularity" and not self.settings.shared_negatives:
            # an item that is no target here has no place in a sum that counts each target as often as it occurs
            hidden_QU = hidden_QU | (batch.counts_U == 0)
        # in place, for these are the largest tensors of a step
        logits_QU = (scores_QU - self._correction_U(batch)).masked_fill_(hidden_QU, -torch.inf)
        loss = F.cross_entropy(logits_QU, targets_Q)
        hits = (logits_QU.detach().argmax(dim=1) == targets_Q).float().mean()
        return Loss(loss, {"softmax": loss.detach(), "batch_hit@1": hits})

    def _correction_U(self, batch: SequenceBatch) -> Tensor:
        if self.settings.correction == "none":
            return torch.zeros_like(batch.inclusion_U)
        if self.settings.correction == "inclusion":
            # an item that never occurs in training is a candidate through the shared draw alone, or not at all
            return batch.inclusion_U.clamp(min=1e-12).log()
        return batch.popularity_U.clamp(min=1e-12).log() - batch.counts_U.clamp(min=1).log()


def not_negative(batch: SequenceBatch, users_Q: Tensor, targets_Q: Tensor) -> Tensor:
    """Which candidates are no negatives of a prediction: what its user has touched in training, without its target; (Q, U).

    Args:
        batch: the candidates are its items.
        users_Q: whose prediction it is, as a place in the batch.
        targets_Q: what it should predict, as an index below U.
    """
    own_BU = torch.zeros(len(batch.mask_BL), batch.items.size, dtype=torch.bool, device=targets_Q.device)
    own_BU[batch.own_M2[:, 0], batch.own_M2[:, 1]] = True
    own_QU = own_BU[users_Q]
    own_QU[torch.arange(len(targets_Q), device=targets_Q.device), targets_Q] = False
    return own_QU
