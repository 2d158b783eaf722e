"""Scorers: what they compute, and that both ways of calling them agree."""

from __future__ import annotations

import pytest
import torch

from transrec.scoring import BestInterest, CosineScorer, DistanceScorer, DotScorer, Scorer


def vectors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_dot_is_the_inner_product() -> None:
    users, items = vectors(3, 4), vectors(5, 4)
    assert torch.allclose(DotScorer()(users, items)[2, 1], (users[2] * items[1]).sum())


def test_cosine_ignores_lengths_and_starts_at_its_temperature() -> None:
    scorer = CosineScorer(0.5).double()
    users, items = vectors(3, 4), vectors(5, 4)
    scores = scorer(users, items)
    expected = torch.nn.functional.cosine_similarity(users[:, None], items[None], dim=-1) / 0.5
    assert torch.allclose(scores, expected)
    assert torch.allclose(scores, scorer(users * 7, items * 0.1))


def test_cosine_scale_is_bounded() -> None:
    scorer = CosineScorer()
    with torch.no_grad():
        scorer.log_scale.fill_(50.0)
    scale = scorer.scale
    scale.backward()
    assert scale.item() == pytest.approx(100.0)
    assert scorer.log_scale.grad is not None and scorer.log_scale.grad.item() > 0, "it can come back"


@pytest.mark.parametrize("scorer", [DotScorer(), CosineScorer().double(), DistanceScorer()])
def test_paired_equals_the_diagonal_of_all_against_all(scorer: Scorer) -> None:
    users, items = vectors(3, 4), vectors(3, 2, 4)
    everything = scorer(users, items.reshape(6, 4)).view(3, 3, 2)
    assert torch.allclose(scorer.paired(users, items), everything[torch.arange(3), torch.arange(3)])


def test_distance_is_the_squared_distance_of_directions() -> None:
    users, items = vectors(3, 4), vectors(5, 4)
    units, directions = users / users.norm(dim=1, keepdim=True), items / items.norm(dim=1, keepdim=True)
    expected = -(units[:, None] - directions[None]).square().sum(dim=-1)
    assert torch.allclose(DistanceScorer()(users, items), expected)
    assert torch.allclose(DistanceScorer()(torch.zeros(1, 4).double(), items), torch.full((1, 5), -1.0).double())


def test_distances_rank_as_cosines_do() -> None:
    users, items = vectors(7, 6), vectors(100, 6)[50:]
    by_distance, by_cosine = (scorer(users, items).argsort(dim=1) for scorer in (DistanceScorer(), CosineScorer().double()))
    assert torch.equal(by_distance, by_cosine)
    interests = vectors(7, 3, 6)
    by_distance, by_cosine = (
        BestInterest(scorer)(interests, items).argsort(dim=1) for scorer in (DistanceScorer(), CosineScorer().double())
    )
    assert torch.equal(by_distance, by_cosine), "the least distance is the largest inner product"


INNER = [DotScorer(), CosineScorer().double(), DistanceScorer()]


@pytest.mark.parametrize("inner", INNER)
def test_of_several_interests_the_best_counts_whatever_their_order(inner: Scorer) -> None:
    users, items = vectors(3, 2, 4), vectors(5, 4)
    expected = torch.stack([inner(users[:, k], items) for k in range(2)]).amax(dim=0)
    best = BestInterest(inner)
    assert torch.equal(best(users, items), expected)
    assert torch.equal(best(users.flip(1), items), expected)
    assert torch.allclose(best.measured(users, items, items.norm(dim=1)), expected)
    own = vectors(3, 6, 4)
    everything = best(users, own.reshape(18, 4)).view(3, 3, 6)
    assert torch.allclose(best.paired(users, own), everything[torch.arange(3), torch.arange(3)])


@pytest.mark.parametrize("inner", INNER)
def test_one_interest_is_the_scorer_inside(inner: Scorer) -> None:
    users, items, best = vectors(3, 4), vectors(5, 4), BestInterest(inner)
    assert torch.equal(best(users[:, None], items), inner(users, items))
    assert (best.takes, best.says, best.nearest_by) == ("interests", inner.says, inner.nearest_by)
