"""Positions: the places in histories that predict the next item, and a sum over them that is made of some at a time.

Axes: B users, L history length, Q predictions (real positions of all users), C candidates, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from transrec.data.batches import SequenceBatch
from transrec.data.counts import Evidence
from transrec.data.windows import WindowPlan
from transrec.errors import ModelError
from transrec.model import Outputs, TransRec
from transrec.objectives.objective import require_logits


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Q predictions of the next item.

    Attributes:
        states_QD: what predicts; where users have interests all of these together, (Q, K, D).
        users_Q: whose prediction it is, as a place in the batch.
        targets_Q: what it should predict, as a place among the candidates.
        evidence: what counts say about the candidates for each; None if they are not asked.
    """

    states_QD: Tensor
    users_Q: Tensor
    targets_Q: Tensor
    evidence: Evidence | None

    @classmethod
    def of(cls, outputs: Outputs, batch: SequenceBatch, *, every: bool) -> Positions:
        """The predictions of a batch.

        Args:
            outputs: of the model.
            batch: with the targets.
            every: whether every position predicts, or the last of each history alone.
        """
        # looked up once, and not with the mask three times: an accelerator is waited for each time
        users_Q, places_Q = batch.target_mask_BT.nonzero(as_tuple=True)
        targets_Q = batch.targets_BT[users_Q, places_Q]
        if every:
            return cls(outputs.users.vectors[users_Q, places_Q], users_Q, targets_Q, batch.evidence)
        users_B = outputs.users.scored
        return cls(users_B, torch.arange(len(users_B), device=users_B.device), targets_Q, batch.evidence)

    def __len__(self) -> int:
        return len(self.targets_Q)

    def some(self, queries: slice) -> Positions:
        """Some of the predictions; nothing is copied."""
        evidence = None if self.evidence is None else self.evidence.of_queries(queries)
        return Positions(self.states_QD[queries], self.users_Q[queries], self.targets_Q[queries], evidence)

    def scores(self, model: TransRec, candidates_CD: Tensor) -> Tensor:
        """Every candidate for every prediction, with what counts say, float32 of shape (Q, C)."""
        scores_QC: Tensor = model.scorer(self.states_QD, candidates_CD).float()
        if model.prior is None or self.evidence is None:
            return scores_QC
        added: Tensor = model.prior(scores_QC, self.evidence)
        return added


Term = Callable[[Positions], tuple[Tensor, Tensor]]
"""Two sums over predictions: what is made smaller, and something to tell, without gradient."""


def added_up(term: Term, positions: Positions, at_once: int | None) -> tuple[Tensor, Tensor]:
    """The sums over all predictions, made of at most so many at a time.

    Scores of every prediction against every candidate are the largest tensors of a step where items are cheap. Of each part
    only its sums are kept; in the backward pass it is scored once more, and its gradients are taken before the next part is
    (Chen et al. 2016, arXiv 1604.06174). Sums and gradients are those of all at a time but for rounding.

    Args:
        term: draws nothing at random.
        positions: Q of them.
        at_once: None for all.
    """
    if at_once is None or at_once >= len(positions):
        return term(positions)
    parts = [positions.some(slice(start, start + at_once)) for start in range(0, len(positions), at_once)]
    sums = [
        # it reads off the states on which device to put autocast back
        checkpoint(_alone(term, part), part.states_QD, use_reentrant=False, preserve_rng_state=False)
        for part in parts
    ]
    smaller, told = zip(*sums, strict=True)
    return torch.stack(smaller).sum(), torch.stack(told).sum()


def not_negative(batch: SequenceBatch, users_Q: Tensor, targets_Q: Tensor) -> Tensor:
    """Which candidates are no negatives of a prediction: what its user has touched in training, without its target; (Q, C).

    Args:
        batch: with the candidates.
        users_Q: whose prediction it is, as a place in the batch.
        targets_Q: what it should predict, as a place among the candidates.
    """
    own_BC = torch.zeros(len(batch.mask_BL), len(batch.inclusion_C), dtype=torch.bool, device=targets_Q.device)
    # values on the device: a number of Python's would have to be sent there, and an accelerator be waited for
    yes, no = own_BC.new_ones(()), own_BC.new_zeros(())
    own_BC.index_put_((batch.own_M2[:, 0], batch.own_M2[:, 1]), yes)
    own_QC = own_BC[users_Q]
    own_QC.index_put_((torch.arange(len(targets_Q), device=targets_Q.device), targets_Q), no)
    return own_QC


def next_plan(window: int, *, every: bool, shared_negatives: int, memory: int = 0) -> WindowPlan:
    """Windows in which every position predicts the next item, or the last position alone."""
    if every:
        return WindowPlan("next", length=window, shared_negatives=shared_negatives, memory=memory)
    return WindowPlan("following", length=window, horizon=1, shared_negatives=shared_negatives, memory=memory)


def check_next(model: TransRec, name: str, *, every: bool) -> None:
    """Say so when this model's positions cannot be taught to predict the next item.

    Raises:
        ModelError: its scores are no logits, or every position is to predict, but sees what comes next.
    """
    require_logits(model, name)
    if every and not model.users.causal:
        raise ModelError(
            "every position is to predict the next item, but the user encoder sees the items that come next",
            remedy="use a causal user encoder, or let the last position alone predict",
        )


def _alone(term: Term, part: Positions) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The sums of this part."""
    return lambda _: term(part)
