"""The metric hinge: its value by hand, which sampled items count, and that one interest is collaborative metric learning."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from cases import Case
from torch import Tensor

from transrec.errors import ModelError
from transrec.objectives.hinge import hinge


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Squared, between directions."""
    return (first / first.norm() - second / second.norm()).square().sum()


def hinge_case(count: int = 0, **chosen: object) -> Case:
    return Case(0, "hinge", users={"interests": {"count": count}}, model={"scorer": "distance"}, **chosen)


def by_hand(case: Case, *, counted: int) -> float:
    """The mean over users of the mean over their targets and the nearest of the sampled items."""
    batch = case.batches.batch(0)
    outputs, margin = case.model(batch), 1.0
    users_BKD = outputs.users.scored.detach().reshape(len(batch.mask_BL), -1, case.model.users.width)
    items_UD, terms = outputs.items.fused_UD.detach(), []
    for user, interests_KD in enumerate(users_BKD):

        def least(item: int, interests_KD: Tensor = interests_KD) -> Tensor:
            return torch.stack([distance(one_D, items_UD[item]) for one_D in interests_KD]).min()

        near = [least(int(t)) for t in batch.targets_BT[user][batch.target_mask_BT[user]]]
        far = sorted(float(least(int(k))) for k in batch.negatives_BK[user])[:counted]
        terms.append(sum(max(0.0, margin + float(j) - k) for j in near for k in far) / (len(near) * len(far)))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize(("hardest", "counted"), [(0.0, 1), (0.25, 2), (1.0, 8)])
def test_it_is_its_equation(count: int, hardest: float, counted: int) -> None:
    case = hinge_case(count, negatives=8, hardest=hardest)
    case.model.eval()
    batch = case.batches.batch(0)
    loss = case.objective(case.model, case.model(batch), batch)
    assert loss.total.item() == pytest.approx(by_hand(case, counted=counted), rel=1e-5)


@pytest.mark.parametrize("over", ["average", "pairs"])
def test_which_interest_is_which_makes_no_difference(over: str) -> None:
    """To the hinge and the diversity control together, nor to their gradients."""
    added = {"added": {"diversity": 10.0}, "diversity": {"over": over, "least": 0.4, "most": 0.5}}
    case = Case(0, "hinge", users={"interests": {"count": 3}}, model={"scorer": "distance"}, added=added)
    case.model.eval()
    batch = case.batches.batch(0)
    outputs = case.model(batch)
    found = []
    for order in ([0, 1, 2], [2, 0, 1]):
        vectors = outputs.users.vectors.detach().requires_grad_()
        users = replace(outputs.users, vectors=vectors[..., order, :], real=None)
        loss = case.objective(case.model, replace(outputs, users=users), batch)
        found.append((loss.total, torch.autograd.grad(loss.total, vectors)[0], loss.parts["diversity"]))
    (first, first_grad, diversity), (second, second_grad, _) = found
    assert diversity > 0 and first.item() == pytest.approx(second.item(), rel=1e-6)
    # of equal interests, those of a first item, the first gets what all would get
    torch.testing.assert_close(first_grad.sum(dim=-2), second_grad.sum(dim=-2))


def test_the_hardest_share_is_the_least_over_a_threshold_whose_gradient_it_has() -> None:
    # Rockafellar and Uryasev: the mean of the k largest is min_t { t + 1/k sum [l - t]_+ }
    far = drawn(5, 12).abs().requires_grad_()
    near = drawn(5, 1, seed=1).abs() * 0.2
    counted = 4
    every = (1.0 + near - far).clamp(min=0)
    hardest = far.topk(counted, dim=1, largest=False).values
    found = hinge(near, hardest, torch.ones(5, 1, dtype=torch.bool), margin=1.0)
    (gradient,) = torch.autograd.grad(found, far)
    thresholds = every.detach().flatten().unique()
    values = thresholds + (every.detach()[..., None] - thresholds).clamp(min=0).sum(dim=1) / counted
    assert found.item() == pytest.approx(values.min(dim=1).values.mean().item())
    assert ((gradient != 0).sum(dim=1) <= counted).all()


def test_users_with_fewer_targets_weigh_as_much_as_others() -> None:
    near, far = torch.tensor([[0.0, 0.0], [0.5, 9.0]]), torch.tensor([[0.5], [1.0]])
    mask = torch.tensor([[True, True], [True, False]])
    assert hinge(near, far, mask, margin=1.0).item() == pytest.approx((0.5 + 0.5) / 2)


def test_it_makes_targets_nearer_and_its_gradient_is_finite() -> None:
    case = hinge_case(2)
    optimiser = torch.optim.Adam(case.model.parameters(), lr=0.01)
    losses = []
    for step in range(12):
        batch = case.batches.batch(step % 2)
        loss = case.objective(case.model, case.model(batch), batch)
        optimiser.zero_grad()
        loss.total.backward()
        grads = [p.grad for p in case.model.parameters() if p.grad is not None]
        assert all(bool(grad.isfinite().all()) for grad in grads)
        optimiser.step()
        losses.append(loss.total.item())
    assert losses[-1] < losses[0]


def test_a_scorer_without_distances_is_refused() -> None:
    with pytest.raises(ModelError, match=r"model\.scorer to distance"):
        Case(0, "hinge", users={})


@pytest.mark.parametrize("objective", ["softmax", "gbce", "multistep"])
def test_objectives_that_read_logits_refuse_distances(objective: str) -> None:
    with pytest.raises(ModelError, match="reads scores as logits"):
        Case(0, objective, model={"scorer": "distance"})
