"""gBCE: binary cross-entropy that does not claim too much when only some of the negatives are seen.

Axes: B users, L history length, Q predictions (real positions of all users), S some of them, C candidates (the distinct
items of the batch), D width.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from transrec.data.batches import SequenceBatch
from transrec.errors import ModelError
from transrec.model import Outputs, TransRec
from transrec.objectives.objective import Loss, Objective
from transrec.objectives.positions import Positions, added_up, check_next, next_plan, not_negative
from transrec.settings import Settings

FITTED_BY = 256
"""Positions by which the level is fitted, at most; they are spread over the batch."""
CERTAIN = 30.0
"""Log odds beyond which a probability is 0 or 1."""
HALVINGS = 20
"""Of the interval in which the level is: to less than a thousandth for scores that lie within hundreds."""


class GBCESettings(Settings):
    """gBCE."""

    calibration: float = Field(default=0.75, ge=0, le=1)
    """t: 0 is plain binary cross-entropy, whose scores claim too much because it is shown only some of the negatives; 1
    takes all of that back."""
    correction: Literal["inclusion", "none"] = "inclusion"
    """What is taken from every score: the log of how much more probable the item is among the candidates than others are,
    for popular items come with the histories; or nothing, as published, where negatives are drawn uniformly."""
    level: Literal["fitted", "none"] = "fitted"
    """What is added to all scores: the constant with which the loss of the batch is smallest, so that nothing else has to
    be bent to make one; or nothing, as published."""
    shared_negatives: int = Field(default=0, ge=0)
    """Items drawn uniformly from the catalog for the whole batch, as further negatives. Cheap where encoders are frozen."""
    positions_at_once: int | None = Field(default=None, ge=1)
    """Positions that are scored at a time; what the backward pass needs of their scores is then computed once more, and
    memory does not grow with positions times candidates. The loss is the same. null: all of them at once."""


class GBCE(Objective):
    """Every position predicts the next item, each other candidate being a question of its own, as in gSASRec.

    From Petrov and Macdonald 2023 (arXiv 2308.07192): for a user state u_q whose next item is i and its negatives N_q::

        L = -1/Q sum_q 1/(|N_q| + 1) [log sigma(x_qi)^beta + sum_{j in N_q} log(1 - sigma(x_qj))]
        beta = alpha (t (1 - 1/alpha) + 1/alpha) = 1 - t (1 - alpha)

    where alpha is the probability that a negative is drawn and t the calibration. The score of an item that is next with
    the probability p ends at logit p + log(beta / alpha): at the log odds for t = 1; for t = 0 higher by -log(alpha), where
    those of the best candidates saturate.

    The paper draws N_q uniformly for each position. Here every item that is drawn has to be encoded, so all positions
    share the candidates of the batch: the items of its histories and targets, and those that ``shared_negatives`` draws.
    N_q is all of them but i and what the user has touched in training. They are not equally likely: j is there with the
    probability pi_j, the exponential of c_j in :class:`~transrec.objectives.softmax.InBatchSoftmax`. So::

        x_qj = s(u_q, j) - log(pi_j / alpha) + b        alpha = C / sum_j 1/pi_j

    The sum estimates how many items the C candidates stand for (Horvitz and Thompson 1952). Where all are drawn
    uniformly, K of V, alpha = pi_j = K / V and nothing is taken off, as in the paper. With it, s learns what it would
    learn from uniform negatives; without it, s would learn to rank lower what is often there.

    b is the ``level``. Other than a softmax, this loss asks for a constant, as one candidate in many is right. The dot
    product of the paper can learn one. Cosines cannot, and a prior over counts makes one by calling popularity a fault.
    So b is the constant with which the loss is smallest, found anew for every batch (from at most 256 of its positions)
    and without a gradient, for at the smallest loss there is none. The loss is then the same whatever constant is added
    to all scores.

    Args:
        settings: see there.
        window: the longest history.
        all_positions: False for user encoders that are not causal.
    """

    asks_counts = True

    def __init__(self, settings: GBCESettings, *, window: int, all_positions: bool = True) -> None:
        super().__init__()
        self.settings = settings
        self.all_positions = all_positions
        self.plan = next_plan(window, every=all_positions, shared_negatives=settings.shared_negatives)

    def check(self, model: TransRec) -> None:
        check_next(model, "gBCE", every=self.all_positions)
        if model.prior is not None and self.settings.level == "none":
            raise ModelError(
                "without a level, the prior over counts would make one by taking popularity for a fault",
                where="objective.gbce.level",
                remedy="leave the level fitted, or train with --model.prior none",
            )

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        candidates_CD = outputs.items.read_by(model.scorer)
        chances_C = batch.inclusion_C.clamp(min=1e-12)
        alpha = len(chances_C) / chances_C.reciprocal().sum()
        beta = 1 - self.settings.calibration * (1 - alpha)
        shift_C = torch.zeros_like(chances_C)
        if self.settings.correction == "inclusion":
            shift_C = (alpha / chances_C).log()

        def scored(positions: Positions) -> tuple[Tensor, Tensor, Tensor]:
            """Scores (Q, C), what of them is negatives, and what a prediction weighs."""
            logits_QC = positions.scores(model, candidates_CD) + shift_C
            negative_QC = ~not_negative(batch, positions.users_Q, positions.targets_Q)
            weights_Q = 1 / negative_QC.sum(dim=1)  # the target is counted, so this is |N| + 1
            return logits_QC, negative_QC.scatter(1, positions.targets_Q[:, None], value=False), weights_Q

        def term(positions: Positions) -> tuple[Tensor, Tensor]:
            logits_QC, negative_QC, weights_Q = scored(positions)
            logits_QC = logits_QC + level
            targets_Q1 = positions.targets_Q[:, None]
            attract_Q = beta * F.softplus(-logits_QC.gather(1, targets_Q1)[:, 0])
            repel_Q = (F.softplus(logits_QC) * negative_QC).sum(dim=1)
            highest_Q = logits_QC.detach().masked_fill(~negative_QC, -torch.inf).amax(dim=1)
            hits_Q = logits_QC.detach().gather(1, targets_Q1)[:, 0] > highest_Q
            return (weights_Q * (attract_Q + repel_Q)).sum(), hits_Q.sum()

        positions = Positions.of(outputs, batch, every=self.all_positions)
        level = torch.zeros_like(beta)
        if self.settings.level == "fitted":
            with torch.no_grad():
                some = positions.some(slice(None, None, -(-len(positions) // FITTED_BY)))
                level = fitted_level(*scored(some), targets_S=some.targets_Q, beta=beta)
        loss, hits = added_up(term, positions, self.settings.positions_at_once)
        loss = loss / len(positions)
        return Loss(loss, {"gbce": loss.detach(), "batch_hit@1": hits / len(positions), "level": level})


def fitted_level(logits_SC: Tensor, negative_SC: Tensor, weights_S: Tensor, *, targets_S: Tensor, beta: Tensor) -> Tensor:
    """The constant b with which the weighed binary cross-entropy of ``logits_SC + b`` is smallest, a scalar.

    There sum w beta (1 - sigma(x_i + b)), the pull of the targets, equals sum w sigma(x_j + b), the push of the negatives.
    As b grows the one falls and the other rises, so halving an interval finds it, whatever the scores.

    Args:
        logits_SC: scores.
        negative_SC: which of them are negatives.
        weights_S: of each prediction.
        targets_S: the candidate that each should find.
        beta: what a target weighs beside a negative.
    """
    pulled_S = logits_SC.gather(1, targets_S[:, None])[:, 0]
    low, high = -logits_SC.max() - CERTAIN, -logits_SC.min() + CERTAIN
    for _ in range(HALVINGS):
        level = (low + high) / 2
        pull = (weights_S * beta * torch.sigmoid(-pulled_S - level)).sum()
        push = (weights_S * (torch.sigmoid(logits_SC + level) * negative_SC).sum(dim=1)).sum()
        low, high = torch.where(push < pull, level, low), torch.where(push < pull, high, level)
    return (low + high) / 2
