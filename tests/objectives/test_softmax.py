"""Softmax: values against slow, independent versions of the equation; over the catalog; with what former batches had."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from cases import Case
from given_outputs import ITEMS, USERS, WIDTH, WINDOW, Model, case
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from transrec.data.batches import SequenceBatch
from transrec.data.histories import Histories
from transrec.data.splits import leave_one_out
from transrec.errors import ModelError, RunError, SettingsError
from transrec.model import Outputs
from transrec.objectives import InBatchSoftmax, SoftmaxSettings
from transrec.scoring import BestInterest, DotScorer
from transrec.views import ItemViews, UserOutput


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
                # of several interests at a position the best
                score = float((outputs.users.vectors[b, t] @ outputs.items.fused_UD[j]).max())
                if correction == "inclusion":
                    terms[j] = math.exp(score) / float(batch.inclusion_C[j])
                elif correction == "popularity":
                    # one term for each time that the item is a target
                    terms[j] = float(batch.counts_C[j]) * math.exp(score) / float(batch.popularity_C[j])
                else:
                    terms[j] = math.exp(score)
            losses.append(-math.log(terms[target] / sum(terms.values())))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("correction", ["inclusion", "popularity", "none"])
@given(seed=st.integers(0, 200))
@settings(max_examples=20)
def test_softmax_is_its_equation(correction: str, seed: int) -> None:
    outputs, batch = case(seed)
    objective = InBatchSoftmax(SoftmaxSettings.from_mapping({"correction": correction}), window=WINDOW)
    loss = objective(Model(), outputs, batch)
    assert loss.total.item() == pytest.approx(slow_softmax(outputs, batch, correction), rel=1e-5)


@pytest.mark.parametrize("at_once", [None, 4])
@given(seed=st.integers(0, 200))
@settings(max_examples=10)
def test_of_interests_at_every_position_the_best_counts(at_once: int | None, seed: int) -> None:
    outputs, batch = case(seed)
    interests_BLKD = torch.randn(USERS, WINDOW, 3, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    outputs = Outputs(outputs.items, UserOutput("interests", interests_BLKD, batch.mask_BL))
    model, given_settings = Model(), SoftmaxSettings(positions_at_once=at_once)
    model.scorer = BestInterest(DotScorer())
    loss = InBatchSoftmax(given_settings, window=WINDOW)(model, outputs, batch)
    assert loss.total.item() == pytest.approx(slow_softmax(outputs, batch, given_settings.correction), rel=1e-5)


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


def lines_of(case: Case, step: int) -> list[tuple[list[int], int]]:
    """The training rows of the user of each window, and how many of them come before its first target."""
    split, drawn = leave_one_out(case.dataset.interactions), case.batches._draws.at(step)
    starts = split.interactions.offsets[:-1]
    return [
        (split.interactions.rows[starts[user] : split.train_ends[user]].tolist(), int(first - starts[user]))
        for user, first in zip(drawn.users, drawn.target_starts, strict=True)
    ]


@pytest.mark.parametrize("correction", ["inclusion", "none"])
@pytest.mark.parametrize("at_once", [None, 7])
def test_with_all_items_drawn_it_is_the_cross_entropy_over_the_catalog(correction: str, at_once: int | None) -> None:
    """Every item is a candidate once and there is nothing to correct; the user's own items are left out."""
    case = Case(shared_negatives=10_000, correction=correction, positions_at_once=at_once)
    case.model.prior = None
    case.model.eval()
    batch, lines = case.batches.batch(0), lines_of(case, 0)
    assert batch.rows_U.tolist() == list(range(len(case.dataset.catalog)))
    found = case.objective(case.model, case.model(batch), batch).total
    catalog_VD = case.model.items(case.store.gather(np.arange(len(case.store)))).fused_UD
    states_BLD = case.model(batch).users.vectors
    logits, targets = [], []
    for b, t in batch.target_mask_BT.nonzero().tolist():
        target = int(batch.rows_U[batch.targets_BT[b, t]])
        hidden = [row for row in lines[b][0] if row != target]
        scores_V = case.model.scorer(states_BLD[b, t][None], catalog_VD)[0].detach()
        logits.append(scores_V.index_fill(0, torch.tensor(hidden), -torch.inf))
        targets.append(target)
    expected = F.cross_entropy(torch.stack(logits), torch.tensor(targets))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def moved(case: Case, step: int) -> None:
    """Other weights, as if the optimiser had made a step."""
    with torch.no_grad():
        for place, parameter in enumerate(case.model.parameters()):
            generator = torch.Generator().manual_seed(100 * step + place)
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)


@pytest.mark.parametrize("shared", [0, 6])
def test_with_a_memory_it_is_its_equation(shared: int) -> None:
    """Candidates one at a time: those of the batch, and those of two former ones with the vectors that they had last."""
    case = Case(memory=2, shared_negatives=shared)
    case.model.eval()
    assert case.counts is not None and case.model.prior is not None
    size = len(case.dataset.catalog)
    counts_V = leave_one_out(case.dataset.interactions).train_counts(size)
    shares_V = counts_V / counts_V.sum()
    last: dict[int, Tensor] = {}
    events: list[int] = []
    for step in range(case.batches.steps_per_epoch + 2):
        moved(case, step)
        batch = case.batches.batch(step)
        outputs = case.model(batch)
        found = case.objective(case.model, outputs, batch).total
        former = {int(row) for back in (1, 2) if step >= back for row in case.batches.batch(step - back).rows_U}
        events.append(int(batch.mask_BL.sum()) + len(batch.mask_BL))
        last |= dict(zip(batch.rows_U.tolist(), outputs.items.fused_UD.detach(), strict=True))
        rows = sorted({*batch.rows_U.tolist(), *former})
        assert len(rows) > batch.items.size or step == 0, "the memory adds nothing, so this tests nothing"
        vectors_CD = torch.stack([last[row] for row in rows])
        known = events[-3:]
        drawn = 1 - (1 - shares_V[rows]) ** sum(known) * (1 - shared / size) ** len(known)
        losses, lines = [], lines_of(case, step)
        for b, t in batch.target_mask_BT.nonzero().tolist():
            (line, first), target = lines[b], int(batch.rows_U[batch.targets_BT[b, t]])
            scores_1C = case.model.scorer(outputs.users.vectors[b, t][None], vectors_CD)
            asked = Histories.from_lists([line]), np.array([0]), np.array([first + t]), np.array(rows)
            evidence = case.counts.evidence_without_own(*asked)
            logits_C = case.model.prior(scores_1C, evidence)[0] - torch.from_numpy(drawn).float().log()
            kept = [place for place, row in enumerate(rows) if row == target or row not in line]
            losses.append(logits_C[kept].logsumexp(0) - logits_C[rows.index(target)])
        torch.testing.assert_close(found, torch.stack(losses).mean(), atol=2e-5, rtol=2e-5)


def test_items_of_the_batch_are_pushed_for_the_times_that_they_are_only_remembered() -> None:
    """The gradient of the cross-entropy, but for a factor on what pushes; states get all of it."""
    case = Case(memory=2)
    case.model.scorer, case.model.prior = DotScorer(), None
    for step in range(3):
        moved(case, step)
        batch = case.batches.batch(step)
        outputs = case.model.eval()(batch)
        known = case.objective.state()
        items_UD = outputs.items.fused_UD.detach().requires_grad_()
        states_BLD = outputs.users.vectors.detach().requires_grad_()
        given_ = Outputs(ItemViews({}, {}, items_UD), UserOutput("states", states_BLD, batch.mask_BL))
        case.objective(case.model, given_, batch).total.backward()
    assert batch.former_R is not None and len(batch.former_R)
    places_R = torch.searchsorted(known["0.rows"], batch.former_R)
    vectors_CD = torch.cat([items_UD.detach(), known["0.vectors"][places_R]])
    states_QD, targets_Q = states_BLD.detach()[batch.target_mask_BT], batch.targets_BT[batch.target_mask_BT]
    users_Q, _ = batch.target_mask_BT.nonzero(as_tuple=True)
    logits_QC = states_QD @ vectors_CD.T - batch.inclusion_C.log()
    for q, (user, target) in enumerate(zip(users_Q.tolist(), targets_Q.tolist(), strict=True)):
        own = {c for b, c in batch.own_M2.tolist() if b == user} - {target}
        logits_QC[q, list(own)] = -torch.inf
    shares_QC, wanted_QC = logits_QC.softmax(dim=1), F.one_hot(targets_Q, logits_QC.shape[1])
    size = batch.items.size
    often_U = batch.inclusion_C[:size] / batch.inclusion_U
    assert (often_U > 1).all() and often_U.max() > 2 * often_U.min() > 0
    expected_UD = (shares_QC[:, :size] * often_U - wanted_QC[:, :size]).T @ states_QD / len(states_QD)
    torch.testing.assert_close(items_UD.grad, expected_UD, atol=1e-6, rtol=1e-4)
    expected_QD = (shares_QC - wanted_QC) @ vectors_CD / len(states_QD)
    assert states_BLD.grad is not None
    torch.testing.assert_close(states_BLD.grad[batch.target_mask_BT], expected_QD, atol=1e-6, rtol=1e-4)


def test_what_is_remembered_learns_nothing_and_the_batch_learns_from_it() -> None:
    case = Case(memory=1)
    case.objective(case.model, case.model(case.batches.batch(0)), case.batches.batch(0))
    batch = case.batches.batch(1)
    outputs = case.model(batch)
    found = case.objective(case.model, outputs, batch).total
    alone = Case().objective(case.model, outputs, replace(batch, former_R=None, **first_of(batch))).total
    assert found.item() != pytest.approx(alone.item(), rel=1e-3), "more candidates, another loss"
    assert all(not tensor.requires_grad for tensor in case.objective.state().values())


def first_of(batch: SequenceBatch) -> dict[str, object]:
    """What a batch says of its own items alone."""
    size, evidence = batch.items.size, batch.evidence
    assert evidence is not None
    shares = {kind: shares_QC[:, :size] for kind, shares_QC in evidence.shares.items()}
    return {
        "own_M2": batch.own_M2[batch.own_M2[:, 1] < size],
        "inclusion_C": batch.inclusion_C[:size],
        "popularity_C": batch.popularity_C[:size],
        "counts_C": batch.counts_C[:size],
        "evidence": replace(evidence, popularity_C=evidence.popularity_C[:size], shares=shares),
    }


def test_popularity_and_a_memory_are_refused() -> None:
    with pytest.raises(SettingsError, match="memory goes with the correction inclusion or none"):
        SoftmaxSettings.from_mapping({"memory": 3, "correction": "popularity"})


def test_what_another_objective_remembered_is_refused() -> None:
    remembered = {"0.rows": torch.arange(2), "0.vectors": torch.zeros(2, 3)}
    with pytest.raises(RunError, match="what another objective remembered"):
        InBatchSoftmax(SoftmaxSettings(), window=WINDOW).restore(remembered)
    objective = InBatchSoftmax(SoftmaxSettings(memory=1), window=WINDOW)
    objective.restore(remembered)
    assert objective.state().keys() == remembered.keys()
