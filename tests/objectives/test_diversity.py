"""Diversity control: its value by hand, what its gradient does, and for whom it does nothing."""

from __future__ import annotations

import pytest
import torch
from cases import Case
from torch import Tensor

from transrec.errors import ModelError, SettingsError
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.objectives.diversity import DiversityControl, DiversitySettings
from transrec.objectives.objective import Loss
from transrec.users.settings import InterestSettings
from transrec.views import UserOutput


def directions(*angles: float) -> Tensor:
    """Interests of one user in the plane, by their angles in degrees, (1, C, 2); of any length."""
    turned = torch.deg2rad(torch.tensor(angles, dtype=torch.float32))
    return 3.0 * torch.stack([turned.cos(), turned.sin()], dim=1)[None]


def control(vectors_BCD: Tensor, real_BC: Tensor | None = None, mask_BL: Tensor | None = None, **chosen: object) -> Loss:
    case = Case(0, "softmax", users={"interests": {"count": 2}})
    term = DiversityControl(DiversitySettings.from_mapping(chosen), window=6)
    batch = case.batches.batch(0)
    outputs = case.model(batch)
    mask_BL = torch.ones(len(vectors_BCD), 1, dtype=torch.bool) if mask_BL is None else mask_BL
    users = UserOutput("interests", vectors_BCD, mask_BL, real_BC)
    return term(case.model, type(outputs)(outputs.items, users), batch)


def test_the_average_is_half_the_mean_squared_distance_over_pairs() -> None:
    # 90 degrees apart: 2; 180: 4; so delta = (2 + 2 + 4) / 3 / 2
    loss = control(directions(0, 90, 180), least=0.0, most=0.5)
    assert loss.parts["interest_spread"].item() == pytest.approx(8 / 6, abs=1e-6)
    assert loss.total.item() == pytest.approx(8 / 6 - 0.5, abs=1e-6)


def test_over_pairs_each_pair_is_held_and_the_mean_has_those_of_itself() -> None:
    loss = control(directions(0, 90, 180), least=0.0, most=2.5, over="pairs")
    assert loss.total.item() == pytest.approx(2 * (4 - 2.5) / 9, abs=1e-6)
    near = control(directions(0, 0, 90), least=1.0, most=2.5, over="pairs")
    assert near.total.item() == pytest.approx(2 * 1.0 / 9, abs=1e-6)


@pytest.mark.parametrize("apart", [10.0, 40.0, 90.0, 170.0])
def test_it_is_zero_exactly_between_the_bounds(apart: float) -> None:
    delta = float(1 - torch.cos(torch.deg2rad(torch.tensor(apart))))
    loss = control(directions(0, apart), least=0.2, most=1.2).total.item()
    assert (loss == 0) == (0.2 <= delta <= 1.2)
    assert loss == pytest.approx(max(0.0, 0.2 - delta) + max(0.0, delta - 1.2), abs=1e-6)


@pytest.mark.parametrize("over", ["average", "pairs"])
def test_interests_at_every_real_position_count_as_those_of_a_user(over: str) -> None:
    each = torch.cat([directions(0, 10), directions(0, 60), directions(0, 130), directions(0, 180)])  # (4, C, 2)
    real_BC = torch.tensor([[True, True], [True, False], [True, True], [True, True]])
    flat = control(each[:3], real_BC[:3], least=0.1, most=0.35, over=over)
    everywhere_BLCD, real_BLC = each.view(2, 2, 2, 2), real_BC.view(2, 2, 2)
    mask_BL = torch.tensor([[True, True], [True, False]])  # the fourth is padding
    loss = control(everywhere_BLCD, real_BLC, mask_BL, least=0.1, most=0.35, over=over)
    assert loss.total.item() == pytest.approx(flat.total.item())
    assert loss.parts["interest_spread"].item() == pytest.approx(flat.parts["interest_spread"].item())


@pytest.mark.parametrize("over", ["average", "pairs"])
@pytest.mark.parametrize(("apart", "pushed"), [(5.0, 1), (150.0, -1)])
def test_its_gradient_pushes_apart_below_and_together_above(over: str, apart: float, pushed: int) -> None:
    vectors = directions(0, apart).requires_grad_()
    control(vectors, least=0.1, most=0.35, over=over).total.backward()
    moved = (vectors - 0.5 * vectors.grad).detach()
    before, after = (torch.cosine_similarity(each[0, 0], each[0, 1], dim=0) for each in (vectors.detach(), moved))
    assert (after < before) == (pushed > 0)


def test_a_user_with_one_interest_adds_nothing_and_copies_do_not_count() -> None:
    two, one = directions(0, 90), directions(0, 0)
    vectors, real = torch.cat([two, one]), torch.tensor([[True, True], [True, False]])
    found = control(vectors, real, least=0.5, most=0.6)
    assert found.total.item() == pytest.approx((1.0 - 0.6) / 2), "the mean is over both users"
    assert found.parts["interest_spread"].item() == pytest.approx(1.0)
    assert control(one, real[1:], least=0.5, most=0.6).total.item() == 0


def test_it_is_a_term_beside_an_objective() -> None:
    added = {"added": {"diversity": 10.0}, "diversity": {"least": 1.5, "most": 2.0}}
    case = Case(0, "softmax", users={"interests": {"count": 2}}, added=added)
    batch = case.batches.batch(0)
    loss = case.objective(case.model, case.model(batch), batch)
    assert loss.total.item() == pytest.approx((loss.parts["softmax"] + 10 * loss.parts["diversity"]).item(), rel=1e-5)
    assert loss.parts["diversity"].item() > 0


def test_without_several_interests_it_is_refused() -> None:
    case = Case()
    settings = ObjectiveSettings.from_mapping({"added": {"diversity": 1.0}})
    with pytest.raises(ModelError, match=r"interests.count to 2"):
        build_objective(settings, case.model)


def test_bounds_that_nothing_satisfies_are_refused() -> None:
    with pytest.raises(SettingsError, match="more than most"):
        DiversitySettings.from_mapping({"least": 0.5, "most": 0.2})
    with pytest.raises(SettingsError, match="1 round or more"):
        InterestSettings.from_mapping({"count": 2, "rounds": 0})
