"""Softmax over the items of the batch, corrected for how likely each is to be there; the default objective.

Axes: B users, L history length, Q predictions (real positions of all users), U distinct items of the batch, C candidates
(the U, and the items of former batches where those are remembered), D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from transrec.data.batches import SequenceBatch
from transrec.model import Outputs, TransRec
from transrec.objectives.memory import VectorMemory, learning
from transrec.objectives.objective import Loss, Objective
from transrec.objectives.positions import Positions, added_up, check_next, next_plan, not_negative
from transrec.settings import Settings


class SoftmaxSettings(Settings):
    """In-batch softmax."""

    correction: Literal["inclusion", "popularity", "none"] = "inclusion"
    """What is taken from every score before the softmax: the log of the probability that the item is among the batch's
    candidates; the log of its popularity, less the log of how often it is a target in the batch (equal to counting it as
    often as it occurs); or nothing."""
    shared_negatives: int = Field(default=0, ge=0)
    """Items drawn uniformly from the catalog for the whole batch, as further candidates. Cheap where encoders are frozen. As
    many as the catalog has, or more, make a softmax over the whole catalog."""
    memory: int = Field(default=0, ge=0)
    """Former batches whose items are further candidates, with the vectors that they had then. For encoders that learn, where
    every further item has to be encoded; where they are frozen, shared_negatives gives the same, and fresh, for nearly
    nothing."""
    positions_at_once: int | None = Field(default=None, ge=1)
    """Positions that are scored at a time; what the backward pass needs of their scores is then computed once more, and
    memory does not grow with positions times candidates. The loss is the same. null: all of them at once."""

    @model_validator(mode="after")
    def _counts_are_of_one_batch(self) -> Self:
        if self.memory and self.correction == "popularity":
            raise ValueError(
                "memory goes with the correction inclusion or none; popularity asks how often an item is a target of this "
                "batch, and an item of a former one is not"
            )
        return self


class InBatchSoftmax(Objective):
    """Every position predicts the next item among all distinct items of the batch.

    For a user state u_q whose next item is i, over the U distinct items of the batch::

        L = -1/Q sum_q log  exp(s(u_q, i) - c_i) / sum_j exp(s(u_q, j) - c_j)

    where j runs over i and the items that the user has not touched in training: the user's own items are no negatives. With
    ``inclusion``, c_j = log(1 - (1 - p_j)^m (1 - q)), the probability that an item with the share p_j of the training events
    is among m of them or among the share q of the catalog drawn besides; with ``popularity``, c_j = log p_j - log n_j
    for an item that is a target n_j times (Bengio and Senecal 2008; Yi et al. 2019, "Sampling-bias-corrected neural
    modeling"). With a bidirectional user encoder only the last position predicts.

    With a ``memory`` of T batches, j also runs over the items of the last T batches of the same platform, with the vectors
    that they had when they were last encoded, and without gradient (Wang et al. 2020, arXiv 1912.06798; with items, Wang et
    al. 2021, arXiv 2110.15154). An item is then a candidate when any of T + 1 batches draws it, so c_j = log(1 - (1 - p_j)^m
    (1 - q)^(T + 1)), where m counts the events of all of them. Draws are taken to be independent, but an event comes once an
    epoch: a memory of a large part of an epoch holds a little more than this says.

    What is remembered cannot be pushed away. Were that all, an item would be pulled whenever it is a target, but as a
    negative be pushed in one of T + 1 batches only, and vectors would learn to be popular. So what pushes the vector of an
    item of the batch is multiplied by the probability of being a candidate over that of being in the batch. On the mean it
    is then pushed as if everything were encoded.

    Nothing more is encoded, so a memory is for encoders that learn, and small batches; where they are frozen,
    ``shared_negatives`` gives as many candidates for nearly nothing.

    When the whole catalog is drawn (q = 1), every item is a candidate and every c_j of ``inclusion`` is 0: this is the
    cross-entropy over the catalog, without the user's own items. ``positions_at_once`` then bounds its memory.

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
        self.plan = next_plan(
            window, every=all_positions, shared_negatives=settings.shared_negatives, memory=settings.memory
        )
        self._memory = VectorMemory()

    def check(self, model: TransRec) -> None:
        check_next(model, "in-batch softmax", every=self.all_positions)

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        items_UD = candidates_CD = pushed_CD = outputs.items.read_by(model.scorer)
        if self.settings.memory:
            # an item is a candidate so many times as often as it is here to learn from it
            often_U = batch.inclusion_C[: len(batch.rows_U)] / batch.inclusion_U.clamp(min=1e-12)
            candidates_CD = self._memory.with_former(batch, items_UD)
            pushed_CD = torch.cat([learning(items_UD, often_U), candidates_CD[len(batch.rows_U) :]])
        correction_C = self._correction_C(batch)

        def term(positions: Positions) -> tuple[Tensor, Tensor]:
            hidden_QC = not_negative(batch, positions.users_Q, positions.targets_Q)
            if self.settings.correction == "popularity" and not self.settings.shared_negatives:
                # an item that is no target here has no place in a sum that counts each target as often as it occurs
                hidden_QC = hidden_QC | (batch.counts_C == 0)
            # in place, for these are the largest tensors of a step
            logits_QC = (positions.scores(model, pushed_CD) - correction_C).masked_fill_(hidden_QC, -torch.inf)
            hits_Q = logits_QC.detach().argmax(dim=1) == positions.targets_Q
            loss = F.cross_entropy(logits_QC, positions.targets_Q, reduction="sum")
            if self.settings.memory:  # a zero whose gradient makes the pull of targets what it is without a memory
                targets = (vectors_CD[positions.targets_Q][:, None] for vectors_CD in (pushed_CD, candidates_CD))
                often_Q1, once_Q1 = (model.scorer.paired(positions.states_QD, each_Q1D) for each_Q1D in targets)
                loss = loss + (often_Q1 - once_Q1).sum()
            return loss, hits_Q.sum()

        positions = Positions.of(outputs, batch, every=self.all_positions)
        loss, hits = added_up(term, positions, self.settings.positions_at_once)
        loss = loss / len(positions)
        return Loss(loss, {"softmax": loss.detach(), "batch_hit@1": hits / len(positions)})

    def state(self) -> dict[str, Tensor]:
        return self._memory.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if self.settings.memory:
            self._memory.restore(state)
        else:
            super().restore(state)

    def _correction_C(self, batch: SequenceBatch) -> Tensor:
        if self.settings.correction == "none":
            return torch.zeros_like(batch.inclusion_C)
        if self.settings.correction == "inclusion":
            # an item that never occurs in training is a candidate through the shared draw alone, or not at all
            return batch.inclusion_C.clamp(min=1e-12).log()
        return batch.popularity_C.clamp(min=1e-12).log() - batch.counts_C.clamp(min=1).log()
