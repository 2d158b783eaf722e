"""Masked items: the user encoder fills in items that are hidden from it; the first stage of TransRec.

Axes: B users, L history length, Q hidden items of all users, U distinct items of the batch, D width.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from transrec.data.batches import SequenceBatch
from transrec.data.times import UNKNOWN_TIME
from transrec.data.windows import WindowPlan
from transrec.errors import ModelError
from transrec.model import Outputs, TransRec
from transrec.objectives.objective import Loss, Objective, require_logits
from transrec.objectives.positions import not_negative
from transrec.settings import Settings


class MaskedSettings(Settings):
    """Masked items."""

    share: float = Field(default=0.15, gt=0, lt=1)
    """Share of the items of a history that are hidden. The published code has 0.15 (and had 0.3 before)."""
    windows: Literal["all", "last"] = "all"
    """Whether all of a user's training events are seen once an epoch, or only the latest."""
    correction: Literal["inclusion", "none"] = "inclusion"
    """What is taken from every score before the softmax: the log of the probability that the item is among the batch's
    candidates, or nothing."""


class MaskedItem(Objective):
    """The state at a hidden position predicts the item there among all distinct items of the batch.

    As in BERT4Rec (Sun et al. 2019) and in the user encoder of TransRec (arXiv 2206.06190), a share of every history is
    replaced by one learned vector. For the state h_q at a hidden position where item i stands, over the U distinct items of
    the batch::

        L = -1/Q sum_q log  exp(s(h_q, i) - c_i) / sum_j exp(s(h_q, j) - c_j)

    where j runs over i and the items that the user has not touched in training, and c_j is the log of the probability that j
    is among the candidates.

    The published code holds a classification head over its 48,931 items for this task. Such a head is a table with a row for
    every item: it cannot move to another platform, and is thrown away after the stage. Here the states meet the item vectors
    through the model's own scorer, as they do later, so all that the stage learns is used.

    The histories are encoded a second time, hidden, because other terms of a loss need them as they are.

    Args:
        settings: see there.
        window: the longest history.
    """

    def __init__(self, settings: MaskedSettings, *, window: int) -> None:
        super().__init__()
        self.settings = settings
        self.plan = WindowPlan("none", length=window, windows=settings.windows, hidden=settings.share)

    def check(self, model: TransRec) -> None:
        if model.users.gives != "states":
            raise ModelError(f"masked items need states, the user encoder gives {model.users.gives}")
        require_logits(model, "the masked objective")
        if model.users.causal:
            raise ModelError(
                "a hidden item is filled in from both sides, but the user encoder sees earlier items only",
                remedy="set model.users.attention to bidirectional",
            )
        if model.users.mask_token is None:
            raise ModelError(
                "the user encoder has no vector to put in place of a hidden item",
                remedy="set model.users.mask_token to true",
            )

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        assert batch.hidden_BL is not None, "the plan hides a share of every history"
        shown_BLD = model.users.hide(outputs.items.read_by(model.users)[batch.history_BL], batch.hidden_BL)
        # when a hidden item was is hidden with it: of what comes next nobody knows the time either
        times_BL = None if batch.times_BL is None else batch.times_BL.masked_fill(batch.hidden_BL, UNKNOWN_TIME)
        states_QD = model.users(shown_BLD, batch.mask_BL, times_BL).vectors[batch.hidden_BL]
        users_Q, _ = batch.hidden_BL.nonzero(as_tuple=True)
        targets_Q = batch.history_BL[batch.hidden_BL]
        scores_QU = model.scorer(states_QD, outputs.items.read_by(model.scorer)).float()
        if self.settings.correction == "inclusion":
            scores_QU = scores_QU - batch.inclusion_U.clamp(min=1e-12).log()
        logits_QU = scores_QU.masked_fill(not_negative(batch, users_Q, targets_Q), -torch.inf)
        loss = F.cross_entropy(logits_QU, targets_Q)
        hits = (logits_QU.detach().argmax(dim=1) == targets_Q).float().mean()
        return Loss(loss, {"masked": loss.detach(), "masked_hit@1": hits})
