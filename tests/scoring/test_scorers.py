"""Scorers: what they compute, and that both ways of calling them agree."""

from __future__ import annotations

import pytest
import torch

from transrec.errors import ModelError
from transrec.scoring import BestInterest, CosineScorer, DistanceScorer, DotScorer, FusedViewScorer, PrefixScorer, Scorer
from transrec.views import ItemViews


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


def test_distances_are_those_on_the_sphere_whatever_the_lengths() -> None:
    """Nothing need be brought to length 1 after a step, as the published code of DPCML does."""
    users, items = vectors(3, 2, 4), vectors(5, 4)
    for scorer, some in ((DistanceScorer(), users[:, 0]), (BestInterest(DistanceScorer()), users)):
        scores = scorer(some, items)
        assert torch.allclose(scores, scorer(some * 7, items * torch.tensor([0.1, 1, 2, 30, 400]).double()[:, None]))
        assert scores.min() >= -4 and scores.max() <= 1e-12


def test_cosine_scale_is_bounded() -> None:
    scorer = CosineScorer()
    with torch.no_grad():
        scorer.log_scale.fill_(50.0)
    scale = scorer.scale
    scale.backward()
    assert scale.item() == pytest.approx(100.0)
    assert scorer.log_scale.grad is not None and scorer.log_scale.grad.item() > 0, "it can come back"


@pytest.mark.parametrize(
    "scorer", [DotScorer(), CosineScorer().double(), DistanceScorer(), PrefixScorer(CosineScorer(), 3).double()]
)
def test_paired_equals_the_diagonal_of_all_against_all(scorer: Scorer) -> None:
    users, items = vectors(3, 4), vectors(3, 2, 4)
    everything = scorer(users, items.reshape(6, 4)).view(3, 3, 2)
    assert torch.allclose(scorer.paired(users, items), everything[torch.arange(3), torch.arange(3)])


# ---- scores of views, fused ------------------------------------------------------------------------------------------


def viewed(seed: int = 0, items: int = 7, views: tuple[str, ...] = ("text", "image")) -> ItemViews:
    """Items with two views, or without the first, the second or both of them, in turn."""
    generator = torch.Generator().manual_seed(seed)
    made = {name: torch.randn(items, 4, generator=generator, dtype=torch.float64) for name in views}
    place = torch.arange(items)
    present = {name: (place % 4 != 1 + number) & (place % 4 != 3) for number, name in enumerate(views)}
    return ItemViews(made, present, torch.randn(items, 4, generator=generator, dtype=torch.float64))


def cosines(users_ND: torch.Tensor, items: ItemViews) -> dict[str, torch.Tensor]:
    return {
        name: torch.nn.functional.cosine_similarity(users_ND[:, None], view_UD[None], dim=-1)
        for name, view_UD in items.views.items()
    }


def sharpened(sharpness: float, views: tuple[str, ...] = ("text", "image")) -> FusedViewScorer:
    scorer = FusedViewScorer(views, temperature=1.0).double()
    with torch.no_grad():
        assert scorer.sharpness is not None
        scorer.sharpness.fill_(sharpness)
    return scorer


@pytest.mark.parametrize("fusing", ["dynamic", "static"])
def test_view_scores_begin_as_their_mean(fusing: str) -> None:
    users, items = vectors(3, 4), viewed()
    found = FusedViewScorer(("text", "image"), temperature=0.5, fusing=fusing).double()(users, items.side_by_side)
    each = cosines(users, items)
    assert torch.allclose(found[:, 0], 2 * (each["text"] + each["image"])[:, 0] / 2)


@torch.no_grad()
def test_view_scores_tend_to_the_greatest_as_the_scale_grows() -> None:
    users, items = vectors(3, 4), viewed()
    each = cosines(users, items)
    gaps = [
        float((torch.maximum(each["text"], each["image"]) - sharpened(a)(users, items.side_by_side))[:, 0].abs().max())
        for a in (0.0, 5.0, 50.0, 5000.0)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-6 < gaps[0]


@pytest.mark.parametrize("sharpness", [0.0, 3.0, -2.0])
def test_view_scores_are_those_of_the_equation(sharpness: float) -> None:
    users, items = vectors(3, 4), viewed()
    each = cosines(users, items)
    weights = {name: torch.exp(sharpness * scores) * items.present[name] for name, scores in each.items()}
    whole = torch.stack(list(weights.values())).sum(dim=0)
    expected = sum(each[name] * weights[name] for name in each) / torch.where(whole > 0, whole, 1.0)
    assert torch.allclose(sharpened(sharpness)(users, items.side_by_side), expected)


@pytest.mark.parametrize("sharpness", [0.0, 3.0])
def test_an_item_without_one_view_scores_exactly_its_other(sharpness: float) -> None:
    users, items = vectors(3, 4), viewed()
    each, scores = cosines(users, items), sharpened(sharpness)(users, items.side_by_side)
    assert torch.allclose(scores[:, 1], each["image"][:, 1], atol=1e-15)
    assert torch.allclose(scores[:, 2], each["text"][:, 2], atol=1e-15)
    assert scores[:, 3].eq(0).all(), "without any view there is no score"


def test_what_stands_where_a_view_is_absent_changes_nothing() -> None:
    users, items = vectors(3, 4), viewed()
    spoilt = {name: torch.where(items.present[name][:, None], view, torch.nan) for name, view in items.views.items()}
    again = ItemViews(spoilt, items.present, items.fused_UD)
    assert torch.equal(items.side_by_side, again.side_by_side)
    assert torch.equal(sharpened(2.0)(users, items.side_by_side), sharpened(2.0)(users, again.side_by_side))


def test_an_identity_is_weighed_one_to_two() -> None:
    names = ("text", "image", "identity")
    users, items = vectors(3, 4), viewed(views=names)
    present = {**items.present, "identity": torch.tensor([True, True, True, True, False, False, False])}
    items = ItemViews(items.views, present, items.fused_UD)
    each, found = cosines(users, items), sharpened(0.0, names)(users, items.side_by_side)
    assert torch.allclose(found[:, 0], (each["identity"] + each["text"] + each["image"])[:, 0] / 3)
    assert torch.allclose(found[:, 1], (each["identity"] + 2 * each["image"])[:, 1] / 3)
    assert torch.allclose(found[:, 3], each["identity"][:, 3]), "nothing else is known of it"
    assert torch.allclose(found[:, 4], (each["text"] + each["image"])[:, 4] / 2), "an item that the table does not know"


def test_paired_view_scores_equal_the_diagonal_of_all_against_all() -> None:
    users, items, scorer = vectors(3, 4), viewed(items=6).side_by_side, sharpened(1.5)
    everything = scorer(users, items).view(3, 3, 2)
    assert torch.allclose(scorer.paired(users, items.view(3, 2, 12)), everything[torch.arange(3), torch.arange(3)])


def test_gradients_of_view_scores_are_right_and_finite_where_nothing_is() -> None:
    users, scorer = vectors(3, 4).requires_grad_(), sharpened(0.7)
    items = viewed()
    for view in items.views.values():
        view[1] = 0.0  # a real view without a direction
        view.requires_grad_()
    scorer(users, items.side_by_side).sum().backward()
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in (users, *items.views.values()))
    assert scorer.sharpness is not None and scorer.sharpness.grad is not None and scorer.sharpness.grad.item() != 0

    def scored(sharpness: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(scorer, {"sharpness": sharpness}, (users.detach(), items.side_by_side.detach()))

    assert torch.autograd.gradcheck(scored, torch.tensor(0.7, dtype=torch.float64, requires_grad=True))


def test_one_view_is_nothing_to_fuse() -> None:
    with pytest.raises(ModelError, match=r"(?s)the items have 1 \(text\).*set model.scorer to cosine"):
        FusedViewScorer(("text",))


def test_vectors_alone_are_refused() -> None:
    with pytest.raises(ModelError, match=r"reads 2 views of the width 4 behind each vector, and got 4 numbers"):
        sharpened(0.0)(vectors(3, 4), vectors(5, 4))


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
def test_with_handicaps_further_interests_have_to_win_by_them(inner: Scorer) -> None:
    users, items, best = vectors(3, 3, 4), vectors(5, 4), BestInterest(inner, handicapped=2).double()
    plain = BestInterest(inner)
    assert torch.equal(best(users, items), plain(users, items)), "they begin at zero"
    with torch.no_grad():
        best.handicaps.of_each.copy_(torch.tensor([0.3, 1.7]))
    off = torch.tensor([0, 0.3, 1.7]).double()
    expected = torch.stack([inner(users[:, k], items) - off[k] for k in range(3)]).amax(dim=0)
    assert torch.allclose(best(users, items), expected) and not torch.allclose(expected, plain(users, items))
    assert torch.allclose(best.measured(users, items, items.norm(dim=1)), expected)
    own = vectors(3, 6, 4)
    everything = best(users, own.reshape(18, 4)).view(3, 3, 6)
    assert torch.allclose(best.paired(users, own), everything[torch.arange(3), torch.arange(3)])
    with torch.no_grad():
        best.handicaps.of_each.fill_(1e6)
    assert torch.equal(best(users, items), inner(users[:, 0], items)), "one vector, where several mislead"


@pytest.mark.parametrize("inner", INNER)
def test_one_interest_is_the_scorer_inside(inner: Scorer) -> None:
    users, items, best = vectors(3, 4), vectors(5, 4), BestInterest(inner)
    assert torch.equal(best(users[:, None], items), inner(users, items))
    assert (best.takes, best.says, best.nearest_by) == ("interests", inner.says, inner.nearest_by)
