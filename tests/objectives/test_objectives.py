"""Objectives: values against slow, independent versions of their equations."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from transrec.data.batches import ItemBatch, SequenceBatch
from transrec.errors import ModelError
from transrec.model import Outputs
from transrec.objectives import InBatchSoftmax, MultiStepBCE, MultiStepSettings, SoftmaxSettings
from transrec.scoring import DotScorer
from transrec.users.encoder import UserEncoder
from transrec.users.settings import UserSettings
from transrec.users.transformer import TransformerUserEncoder
from transrec.views import ItemViews, UserOutput

WIDTH, ITEMS, USERS, WINDOW = 4, 9, 3, 5


class Model(nn.Module):
    """A scorer and a user encoder; the outputs are given."""

    def __init__(self, attention: str = "causal") -> None:
        super().__init__()
        self.scorer = DotScorer()
        self.prior = None
        self.users: UserEncoder = TransformerUserEncoder(
            WIDTH, UserSettings.from_mapping({"attention": attention, "heads": 2})
        )


def case(seed: int = 0, targets: int = WINDOW) -> tuple[Outputs, SequenceBatch]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, WINDOW + 1, (USERS,), generator=generator)
    mask_BL = torch.arange(WINDOW) < lengths[:, None]
    target_mask_BT = mask_BL if targets == WINDOW else torch.arange(targets) < torch.randint(1, targets + 1, (USERS, 1))
    items_UD = torch.randn(ITEMS, WIDTH, generator=generator, dtype=torch.float64)
    states_BLD = torch.randn(USERS, WINDOW, WIDTH, generator=generator, dtype=torch.float64)
    popularity_U = torch.rand(ITEMS, generator=generator, dtype=torch.float64) / ITEMS
    targets_BT = torch.randint(ITEMS, (USERS, targets), generator=generator)
    batch = SequenceBatch(
        items=ItemBatch(ITEMS, {}),
        rows_U=torch.arange(ITEMS),
        history_BL=torch.zeros(USERS, WINDOW, dtype=torch.int64),
        mask_BL=mask_BL,
        targets_BT=targets_BT,
        target_mask_BT=target_mask_BT,
        negatives_BK=torch.randint(ITEMS, (USERS, 3), generator=generator),
        own_M2=torch.tensor([[0, 1], [0, 2], [1, 2], [2, 7], [2, 8], [0, int(targets_BT[0, 0])]]),
        inclusion_U=1 - (1 - popularity_U) ** 12,
        popularity_U=popularity_U,
        counts_U=torch.bincount(targets_BT[target_mask_BT], minlength=ITEMS).double(),
    )
    users = UserOutput("states", states_BLD, mask_BL)
    return Outputs(ItemViews({}, {}, items_UD), users), batch


def slow_softmax(outputs: Outputs, batch: SequenceBatch, correction: str) -> float:
    """The equation of the docstring, one exponential at a time."""
    own = {(int(b), int(u)) for b, u in batch.own_M2}
    losses = []
    for b in range(USERS):
        for t in range(WINDOW):
            if not batch.target_mask_BT[b, t]:
                continue
            target = int(batch.targets_BT[b, t])
            terms = {}
            for j in range(ITEMS):
                if j != target and (b, j) in own:
                    continue
                score = float(outputs.users.vectors[b, t] @ outputs.items.fused_UD[j])
                if correction == "inclusion":
                    terms[j] = math.exp(score) / float(batch.inclusion_U[j])
                elif correction == "popularity":
                    # one term for each time that the item is a target
                    terms[j] = float(batch.counts_U[j]) * math.exp(score) / float(batch.popularity_U[j])
                else:
                    terms[j] = math.exp(score)
            losses.append(-math.log(terms[target] / sum(terms.values())))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("correction", ["inclusion", "popularity", "none"])
@given(seed=st.integers(0, 200))
@settings(max_examples=20, deadline=None)
def test_softmax_is_its_equation(correction: str, seed: int) -> None:
    outputs, batch = case(seed)
    objective = InBatchSoftmax(SoftmaxSettings.from_mapping({"correction": correction}), window=WINDOW)
    loss = objective(Model(), outputs, batch)
    assert loss.total.item() == pytest.approx(slow_softmax(outputs, batch, correction), rel=1e-5)


def test_own_items_are_no_negatives() -> None:
    outputs, batch = case()
    objective = InBatchSoftmax(SoftmaxSettings(), window=WINDOW)
    before = objective(Model(), outputs, batch).total
    # item 7 is user 2's own and no target of user 2: its score for user 2 must not count
    targets_BT = batch.targets_BT.masked_fill(batch.targets_BT == 7, 3)
    only_user_2 = batch.target_mask_BT & (torch.arange(USERS) == 2)[:, None]
    batch = replace(batch, targets_BT=targets_BT, target_mask_BT=only_user_2)
    before = objective(Model(), outputs, batch).total
    moved = outputs.items.fused_UD.clone()
    moved[7] *= 50
    after = objective(Model(), Outputs(ItemViews({}, {}, moved), outputs.users), batch).total
    assert torch.equal(before, after)
    free = replace(batch, own_M2=torch.zeros(0, 2, dtype=torch.int64))
    assert not torch.allclose(objective(Model(), Outputs(ItemViews({}, {}, moved), outputs.users), free).total, before)


def test_every_position_may_predict_only_under_a_causal_encoder() -> None:
    objective = InBatchSoftmax(SoftmaxSettings(), window=WINDOW)
    objective.check(Model("causal"))
    with pytest.raises(ModelError, match="sees the items that come next"):
        objective.check(Model("bidirectional"))
    InBatchSoftmax(SoftmaxSettings(), window=WINDOW, all_positions=False).check(Model("bidirectional"))


def test_last_position_alone() -> None:
    outputs, batch = case(targets=1)
    loss = InBatchSoftmax(SoftmaxSettings(correction="none"), window=WINDOW, all_positions=False)(Model(), outputs, batch)
    own = {(int(b), int(u)) for b, u in batch.own_M2}
    expected = []
    for b in range(USERS):
        state = outputs.users.vectors[b, int(batch.mask_BL[b].sum()) - 1]
        target = int(batch.targets_BT[b, 0])
        scores = [state @ outputs.items.fused_UD[j] for j in range(ITEMS) if j == target or (b, j) not in own]
        expected.append(torch.logsumexp(torch.stack(scores), 0) - state @ outputs.items.fused_UD[target])
    assert loss.total.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)


def multistep(outputs: Outputs, batch: SequenceBatch) -> Tensor:
    total: Tensor = MultiStepBCE(MultiStepSettings(positives=2, negatives=3), window=WINDOW)(Model(), outputs, batch).total
    return total


def test_multistep_of_zero_scores_is_two_log_two() -> None:
    outputs, batch = case(targets=2)
    silent = Outputs(outputs.items, UserOutput("states", torch.zeros_like(outputs.users.vectors), batch.mask_BL))
    assert multistep(silent, batch).item() == pytest.approx(2 * math.log(2))


@given(seed=st.integers(0, 200))
@settings(max_examples=20, deadline=None)
def test_multistep_is_its_equation(seed: int) -> None:
    outputs, batch = case(seed, targets=2)
    attract, repel = [], []
    for b in range(USERS):
        user = outputs.users.vectors[b, int(batch.mask_BL[b].sum()) - 1]
        for t in range(2):
            if batch.target_mask_BT[b, t]:
                score = float(user @ outputs.items.fused_UD[batch.targets_BT[b, t]])
                attract.append(-math.log(1 / (1 + math.exp(-score))))
        for k in range(3):
            score = float(user @ outputs.items.fused_UD[batch.negatives_BK[b, k]])
            repel.append(-math.log(1 - 1 / (1 + math.exp(-score))))
    expected = sum(attract) / len(attract) + sum(repel) / len(repel)
    assert multistep(outputs, batch).item() == pytest.approx(expected, rel=1e-5)
