"""gBCE: the value against its equation, what its scores learn at every calibration, and the level that it fits."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from given_outputs import ITEMS, USERS, WINDOW, Model, case
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from transrec.data.batches import ItemBatch, SequenceBatch
from transrec.data.counts import COMPANIONS, FOLLOWERS, Evidence
from transrec.errors import ModelError
from transrec.model import Outputs
from transrec.objectives import GBCE, GBCESettings
from transrec.objectives.gbce import fitted_level
from transrec.prior import CountPrior
from transrec.views import ItemViews, UserOutput


def gbce(outputs: Outputs, batch: SequenceBatch, model: Model | None = None, **chosen: object) -> Tensor:
    total: Tensor = GBCE(GBCESettings.from_mapping(chosen), window=WINDOW)(model or Model(), outputs, batch).total
    return total


@pytest.mark.parametrize("correction", ["inclusion", "none"])
@given(seed=st.integers(0, 200), calibration=st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=20)
def test_it_is_its_equation(correction: str, seed: int, calibration: float) -> None:
    outputs, batch = case(seed)
    own = {(int(b), int(u)) for b, u in batch.own_M2}
    chances = [float(chance) for chance in batch.inclusion_C]
    alpha = ITEMS / sum(1 / chance for chance in chances)
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    losses = []
    for b, t in batch.target_mask_BT.nonzero().tolist():
        target, terms = int(batch.targets_BT[b, t]), []
        for j in range(ITEMS):
            x = float(outputs.users.vectors[b, t] @ outputs.items.fused_UD[j])
            if correction == "inclusion":
                x -= math.log(chances[j] / alpha)
            sigma = 1 / (1 + math.exp(-x))
            if j == target:
                terms.append(math.log(sigma**beta))
            elif (b, j) not in own:
                terms.append(math.log(1 - sigma))
        losses.append(-sum(terms) / len(terms))
    found = gbce(outputs, batch, calibration=calibration, correction=correction, level="none")
    assert found.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_without_calibration_it_is_plain_binary_cross_entropy() -> None:
    outputs, batch = case(4)
    batch = replace(batch, own_M2=batch.own_M2[:0])
    logits_QC = outputs.users.vectors[batch.target_mask_BT] @ outputs.items.fused_UD.T
    wanted_QC = F.one_hot(batch.targets_BT[batch.target_mask_BT], ITEMS).double()
    expected = F.binary_cross_entropy_with_logits(logits_QC, wanted_QC)
    found = gbce(outputs, batch, calibration=0.0, correction="none", level="none")
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-6)


def test_of_a_uniform_draw_the_published_form_is_left() -> None:
    """K of V items: alpha is K / V, and there is nothing to correct."""
    outputs, batch = case(2)
    drawn = replace(batch, inclusion_C=torch.full((ITEMS,), 0.3))
    corrected, published = (gbce(outputs, drawn, correction=of, level="none") for of in ("inclusion", "none"))
    torch.testing.assert_close(corrected, published)
    whole, half, none = (gbce(outputs, drawn, calibration=t, level="none") for t in (1.0, 0.5, 0.0))
    attract = (none - whole) / (1 - 0.3)  # of the targets, which are all that beta weighs
    torch.testing.assert_close(half, none - 0.5 * (1 - 0.3) * attract)


PROBABLE = np.array([0.45, 0.25, 0.15, 0.1, 0.05])
"""Which item is next, in a world without histories."""
SHARED = 2
"""Items of it that are drawn uniformly."""


def mean_gradient(scores: np.ndarray, users: int, **chosen: object) -> Tensor:
    """The gradient of the summed loss by the score of each item, over all batches that there are, as often as they come."""
    size, total = len(PROBABLE), torch.zeros(len(PROBABLE), dtype=torch.float64)
    # an item is there for a prediction of another one when any other user has it, or the uniform draw
    chances = 1 - (1 - PROBABLE) ** (users - 1) * (1 - SHARED / size)
    objective = GBCE(GBCESettings.from_mapping({"level": "none", **chosen}), window=1)
    model, mask_B1, draws = Model(), torch.ones(users, 1, dtype=torch.bool), list(combinations(range(size), SHARED))
    for targets, shared in product(product(range(size), repeat=users), draws):
        rows = np.unique([*targets, *shared])
        weights = torch.tensor(scores, requires_grad=True)
        batch = SequenceBatch(
            items=ItemBatch(len(rows), {}),
            rows_U=torch.from_numpy(rows),
            history_BL=torch.zeros(users, 1, dtype=torch.int64),
            mask_BL=mask_B1,
            targets_BT=torch.from_numpy(np.searchsorted(rows, targets))[:, None],
            target_mask_BT=mask_B1,
            negatives_BK=torch.zeros(users, 0, dtype=torch.int64),
            own_M2=torch.zeros(0, 2, dtype=torch.int64),
            inclusion_U=torch.from_numpy(chances[rows]),
            inclusion_C=torch.from_numpy(chances[rows]),
            popularity_C=torch.from_numpy(PROBABLE[rows]),
            counts_C=torch.zeros(len(rows)),
        )
        states = UserOutput("states", torch.ones(users, 1, 1, dtype=torch.float64), mask_B1)
        loss = objective(model, Outputs(ItemViews({}, {}, weights[rows][:, None]), states), batch).total
        (gradient,) = torch.autograd.grad(loss * users * len(rows), weights)  # what is a mean there is a sum here
        total += gradient * PROBABLE[list(targets)].prod() / len(draws)
    return total


ODDS = np.log(PROBABLE / (1 - PROBABLE))


@pytest.mark.parametrize("calibration", [0.0, 0.5, 1.0])
def test_scores_learn_log_odds_and_the_share_of_negatives_that_calibration_leaves(calibration: float) -> None:
    """The paper's theorem, for one user at a time and a uniform draw: at its optimum no score is pulled."""
    alpha = SHARED / len(PROBABLE)
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    best = ODDS + math.log(beta / alpha)
    assert (mean_gradient(best, users=1, calibration=calibration).abs() < 1e-7).all()
    assert (mean_gradient(best + 0.1, users=1, calibration=calibration) > 1e-3).all()
    if calibration == 1:
        assert np.allclose(best, ODDS)


def test_popular_items_are_not_ranked_lower_for_being_negatives_more_often() -> None:
    """Where other users' items are candidates too, only the correction keeps odds where a uniform draw would lead them."""

    def order(**chosen: object) -> Tensor:
        pulled = mean_gradient(ODDS, users=2, calibration=1.0, **chosen)
        return pulled / torch.from_numpy(PROBABLE)

    corrected, published = order(), order(correction="none")
    assert float(corrected.max() - corrected.min()) < 0.1 * float(published.max() - published.min())


def scores_shifted(outputs: Outputs, by: float) -> Outputs:
    """Outputs whose dot products are larger by a constant."""
    items_UD, states_BLD = outputs.items.fused_UD, outputs.users.vectors
    ones_U1, shift_BL1 = torch.ones_like(items_UD[:, :1]), torch.full_like(states_BLD[..., :1], by)
    users = UserOutput("states", torch.cat([states_BLD, shift_BL1], dim=2), outputs.users.mask_BL)
    return Outputs(ItemViews({}, {}, torch.cat([items_UD, ones_U1], dim=1)), users)


def test_a_constant_in_all_scores_changes_nothing_unless_published() -> None:
    outputs, batch = case(3)
    fitted = [gbce(scores_shifted(outputs, by), batch).item() for by in (0.0, 5.0, -20.0)]
    assert fitted == pytest.approx([fitted[0]] * 3, rel=1e-4)
    published = [gbce(scores_shifted(outputs, by), batch, level="none").item() for by in (0.0, 5.0)]
    assert published[0] != pytest.approx(published[1], rel=0.1)
    assert fitted[0] < min(published)


def loss_at(
    level: Tensor, logits_SC: Tensor, negative_SC: Tensor, targets_S: Tensor, weights_S: Tensor, beta: Tensor
) -> Tensor:
    x_SC = logits_SC + level
    attract_S = beta * F.softplus(-x_SC.gather(1, targets_S[:, None])[:, 0])
    return (weights_S * (attract_S + (F.softplus(x_SC) * negative_SC).sum(dim=1))).sum()


@given(
    seed=st.integers(0, 10_000), spread=st.sampled_from([0.0, 1.0, 5.0, 15.0, 40.0]), beta=st.sampled_from([0.001, 0.3, 1.0])
)
@settings(max_examples=80)
def test_the_fitted_level_has_the_smallest_loss(seed: int, spread: float, beta: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits_SC = torch.randn(12, 30, generator=generator) * spread
    targets_S = torch.randint(30, (12,), generator=generator)
    negative_SC = torch.rand(12, 30, generator=generator) < 0.8
    negative_SC.scatter_(1, targets_S[:, None], value=False)
    weights_S = 1 / (negative_SC.sum(dim=1) + 1)
    given_ = (logits_SC, negative_SC, targets_S, weights_S, torch.tensor(beta))
    level = fitted_level(logits_SC, negative_SC, weights_S, targets_S=targets_S, beta=torch.tensor(beta))
    level = level.double().requires_grad_()
    (slope,) = torch.autograd.grad(loss_at(level, *given_), level)
    # pull and push are equal to a hundredth
    pull = (weights_S * beta * torch.sigmoid(-logits_SC.gather(1, targets_S[:, None])[:, 0] - level.detach())).sum()
    assert abs(float(slope)) < 1e-2 * float(pull) + 1e-6


def test_one_hard_negative_does_not_lead_the_level_astray() -> None:
    logits_SC = torch.full((200, 300), -10.0)
    logits_SC[0, 7] = 50.0
    targets_S = torch.zeros(200, dtype=torch.int64)
    negative_SC = torch.ones(200, 300, dtype=torch.bool)
    negative_SC[:, 0] = False
    weights_S, beta = torch.full((200,), 1 / 300), torch.tensor(1.0)
    level = fitted_level(logits_SC, negative_SC, weights_S, targets_S=targets_S, beta=beta)
    best = min(
        loss_at(torch.tensor(c), logits_SC, negative_SC, targets_S, weights_S, beta) for c in np.arange(-60, 30, 0.05)
    )
    found = loss_at(level, logits_SC, negative_SC, targets_S, weights_S, beta)
    assert found <= best * 1.001


def test_popularity_is_no_fault_where_the_level_is_fitted() -> None:
    """Targets are the popular items; what popularity is worth has to grow, and would fall if it had to make the level."""
    outputs, batch = case(1)
    popularity_C = torch.arange(ITEMS).float() * 10 + 1
    targets_BT = torch.full_like(batch.targets_BT, ITEMS - 1)
    queries = int(batch.target_mask_BT.sum())
    shares = {kind: torch.zeros(queries, ITEMS) for kind in (FOLLOWERS, COMPANIONS)}
    targets_Q = targets_BT[batch.target_mask_BT]
    evidence = Evidence(popularity_C, shares, targets_Q, popularity_C[targets_Q] - 1)
    batch = replace(batch, targets_BT=targets_BT, evidence=evidence, inclusion_C=torch.full((ITEMS,), 0.5))
    silent = Outputs(outputs.items, UserOutput("states", torch.zeros_like(outputs.users.vectors), batch.mask_BL))
    for level, grows in (("fitted", True), ("none", False)):
        model = Model(prior=CountPrior())
        gbce(silent, batch, model, level=level).backward()
        assert model.prior is not None and model.prior.popularity.grad is not None
        assert bool(model.prior.popularity.grad < 0) == grows


def test_a_prior_without_a_level_is_refused() -> None:
    published = GBCE(GBCESettings(level="none"), window=WINDOW)
    published.check(Model())  # type: ignore[arg-type]
    GBCE(GBCESettings(), window=WINDOW).check(Model(prior=CountPrior()))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="taking popularity for a fault"):
        published.check(Model(prior=CountPrior()))  # type: ignore[arg-type]


def test_own_items_are_no_negatives() -> None:
    outputs, batch = case()
    targets_BT = batch.targets_BT.masked_fill(batch.targets_BT == 7, 3)
    only_user_2 = batch.target_mask_BT & (torch.arange(USERS) == 2)[:, None]
    batch = replace(batch, targets_BT=targets_BT, target_mask_BT=only_user_2)
    moved = outputs.items.fused_UD.clone()
    moved[7] *= 50  # user 2's own and no target of theirs
    after = Outputs(ItemViews({}, {}, moved), outputs.users)
    assert torch.equal(gbce(outputs, batch, level="none"), gbce(after, batch, level="none"))
    assert torch.allclose(gbce(outputs, batch), gbce(after, batch), rtol=1e-4)
    free = replace(batch, own_M2=batch.own_M2[:0])
    assert not torch.allclose(gbce(outputs, free), gbce(after, free))


def test_a_batch_without_any_negative_has_a_loss() -> None:
    outputs, batch = case()
    everything = torch.cartesian_prod(torch.arange(USERS), torch.arange(ITEMS))
    assert torch.isfinite(gbce(outputs, replace(batch, own_M2=everything)))


def test_every_position_may_predict_only_under_a_causal_encoder() -> None:
    GBCE(GBCESettings(), window=WINDOW).check(Model("causal"))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="sees the items that come next"):
        GBCE(GBCESettings(), window=WINDOW).check(Model("bidirectional"))  # type: ignore[arg-type]
    last = GBCE(GBCESettings(), window=WINDOW, all_positions=False)
    last.check(Model("bidirectional"))  # type: ignore[arg-type]
    outputs, batch = case(targets=1)
    assert last.plan.width == 1 and torch.isfinite(last(Model(), outputs, batch).total)
