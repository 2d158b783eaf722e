"""Ranks counted in blocks of items are those of whole rows, but for what rounding alone decides there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import Case

from transrec.data.counts import Counts
from transrec.data.histories import Histories
from transrec.data.splits import leave_one_out
from transrec.errors import EvaluationError
from transrec.prior import CountPrior
from transrec.retrieval import blocks
from transrec.retrieval.blocks import ranks_in_blocks
from transrec.retrieval.index import CatalogIndex, KnownCounts, Queries, encode_histories
from transrec.scoring import BestInterest, CosineScorer, DistanceScorer, DotScorer, PrefixScorer, Scorer


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that neither users nor items fill evenly."""
    monkeypatch.setattr(blocks, "USERS_AT_ONCE", 7)
    monkeypatch.setattr(blocks, "ITEMS_AT_ONCE", 33)
    monkeypatch.setattr(blocks, "PAIRS_AT_ONCE", 5)


class World:
    """Users, items and what the users did, at random."""

    def __init__(
        self, scorer: Scorer, *, users: int = 40, items: int = 500, width: int = 16, copies: int = 1, seed: int = 0
    ) -> None:
        generator, chance = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
        vectors_VD = torch.randn(items // copies, width, generator=generator).repeat(copies, 1)
        self.hidden = Histories.from_lists([chance.integers(items, size=n) for n in chance.integers(0, 30, size=users)])
        self.targets = chance.integers(items, size=users)
        several = (3,) if scorer.takes == "interests" else ()
        self.queries = Queries(torch.randn(users, *several, width, generator=generator), self.hidden)
        self.index = CatalogIndex(vectors_VD, scorer)

    def agree(self) -> int:
        """How many targets are near; their ranks may differ, and all others must not."""
        whole = self.index.rank(self.queries, self.targets, self.hidden)
        found = ranks_in_blocks(self.index, self.queries, self.targets, self.hidden)
        assert np.array_equal(found.ranks[~found.near], whole[~found.near])
        assert (np.abs(found.ranks - whole) <= 2)[found.near].all()
        return int(found.near.sum())


def handicapped(*numbers: float) -> BestInterest:
    scorer = BestInterest(CosineScorer(), handicapped=len(numbers))
    assert scorer.handicaps is not None
    scorer.handicaps.of_each.data = torch.tensor(numbers)
    return scorer


SCORERS = {
    "dot": DotScorer(),
    "cosine": CosineScorer(),
    "distance": DistanceScorer(),
    "interests": BestInterest(CosineScorer()),
    "handicapped interests": handicapped(0.4, 1.7),
    "first numbers": PrefixScorer(CosineScorer(), 5),
    "least distance": BestInterest(DistanceScorer()),
}


@pytest.mark.parametrize("scorer", SCORERS.values(), ids=SCORERS)
@pytest.mark.parametrize("seed", range(3))
def test_ranks_are_those_of_whole_rows(scorer: Scorer, seed: int) -> None:
    # distances are small differences of larger numbers, so that rounding reaches farther among them
    assert World(scorer, seed=seed).agree() <= (2 if scorer.says == "distances" else 0)


def test_ranks_are_those_of_whole_rows_in_a_catalog_in_which_some_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ITEMS_AT_ONCE", 4096)
    near = World(DotScorer(), users=150, items=30_000, width=64).agree()
    assert 0 < near < 50


@pytest.mark.parametrize("scorer", [DotScorer(), CosineScorer()], ids=["dot", "cosine"])
@pytest.mark.parametrize("width", [4, 64, 256])
@pytest.mark.parametrize("shared", [0.0, 3.0])
@torch.no_grad()
def test_rounding_is_less_than_half_of_what_is_allowed_for(scorer: Scorer, width: int, shared: float) -> None:
    generator = torch.Generator().manual_seed(0)
    direction_D = (
        shared * torch.randn(width, generator=generator).abs()
    )  # a sum of terms of one sign grows, and so do errors
    users_BD = torch.randn(64, width, generator=generator) + direction_D
    vectors_VD = torch.randn(5000, width, generator=generator) + direction_D
    queries = Queries(users_BD, Histories.from_lists([[]] * 64))
    targets = np.arange(64)
    low_B1, high_B1 = blocks._Scores(CatalogIndex(vectors_VD, scorer), queries, targets).within_rounding()
    errors_BV = scorer(users_BD, vectors_VD).double() - scorer(users_BD.double(), vectors_VD.double())
    assert (errors_BV.abs().amax(dim=1) < (high_B1 - low_B1)[:, 0] / 4).all()


@pytest.mark.parametrize("copies", [2, 5, 500])
@pytest.mark.parametrize("scorer", [DotScorer(), CosineScorer()], ids=["dot", "cosine"])
def test_equal_items_tie_and_are_not_near(scorer: Scorer, copies: int) -> None:
    world = World(scorer, copies=copies)
    assert world.agree() == 0
    ranks = ranks_in_blocks(world.index, world.queries, world.targets, Histories.from_lists([[]] * 40)).ranks
    assert set((ranks % copies).tolist()) == {(copies + 1) / 2 % copies}


def test_the_order_of_what_rounding_cannot_tell_apart_is_that_of_float64() -> None:
    # in float32 both products are 1, whole rows and blocks alike
    vectors_VD = torch.tensor([[1.0, 2.0**-20], [1.0, 0.0], [1.0, -(2.0**-20)], [0.5, 0.0]])
    index = CatalogIndex(vectors_VD, DotScorer())
    nobody = Histories.from_lists([[]] * 3)
    queries = Queries(torch.tensor([[1.0, 2.0**-20]] * 3), nobody)
    targets = np.arange(3)
    assert index.rank(queries, targets, nobody).tolist() == [2.0, 2.0, 2.0]
    found = ranks_in_blocks(index, queries, targets, nobody)
    assert found.ranks.tolist() == [1.0, 2.0, 3.0]
    assert found.near.all()


def test_a_target_in_the_history_competes_and_repeats_hide_once() -> None:
    index = CatalogIndex(torch.arange(5.0, 0.0, -1.0)[:, None], DotScorer())
    hidden = Histories.from_lists([[0, 0, 2], [], [0, 1, 3, 4]])
    queries = Queries(torch.ones(3, 1), hidden)
    assert ranks_in_blocks(index, queries, np.array([2, 4, 2]), hidden).ranks.tolist() == [2.0, 5.0, 1.0]


@pytest.mark.parametrize("counted", [False, True])
def test_items_that_cannot_be_read_rank_last_and_tie(counted: bool) -> None:
    world = World(DotScorer(), items=120, users=60)
    unreadable = np.array([119, 3, 40, 64, 65, 66])
    world.index.vectors_VD[unreadable] = 0.0
    world.targets[::4] = unreadable[np.arange(15) % 6]
    known = KnownCounts(Counts.of_histories(world.hidden, 120), taught()) if counted else None
    world.index = CatalogIndex(world.index.vectors_VD, DotScorer(), unreadable, known)
    assert world.agree() == 0
    assert ranks_in_blocks(world.index, world.queries, world.targets, world.hidden).ranks[::4].min() > 80


def taught() -> CountPrior:
    """A prior as if it had learned."""
    prior = CountPrior()
    with torch.no_grad():
        prior.popularity.fill_(0.7)
        prior.unseen.fill_(-0.3)
        prior.weights["followers"].fill_(1.3)
        prior.weights["companions"].fill_(0.4)
    return prior


@pytest.mark.parametrize("popularity", [1.0, 0.25])
@pytest.mark.parametrize("copies", [1, 5])
def test_what_counts_say_is_added_in_blocks_too(popularity: float, copies: int) -> None:
    world = World(CosineScorer(), copies=copies)
    known = KnownCounts(Counts.of_histories(world.hidden, 500), taught(), popularity)
    content, world.index = world.index, CatalogIndex(world.index.vectors_VD, CosineScorer(), None, known)
    assert world.agree() == 0
    without = ranks_in_blocks(content, world.queries, world.targets, world.hidden).ranks
    assert not np.array_equal(ranks_in_blocks(world.index, world.queries, world.targets, world.hidden).ranks, without)


def test_items_without_content_and_with_the_same_counts_tie() -> None:
    world = World(DotScorer())
    world.index = CatalogIndex(
        torch.zeros(500, 16), DotScorer(), None, KnownCounts(Counts.of_histories(world.hidden, 500), taught())
    )
    assert world.agree() == 0


def test_a_trained_form_of_model_ranks_alike() -> None:
    case = Case()
    split = leave_one_out(case.dataset.interactions)
    index = CatalogIndex.encode(case.model, case.store, Counts.of(split, len(case.dataset.catalog)))
    histories = Histories.before(split.interactions, split.test)
    queries, rows = encode_histories(case.model, index, histories), split.interactions.rows[split.test.positions]
    found = ranks_in_blocks(index, queries, rows, histories)
    assert np.array_equal(found.ranks, index.rank(queries, rows, histories))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_score_that_is_not_finite_is_an_error_unless_it_is_hidden(value: float) -> None:
    world = World(DotScorer())
    world.index.vectors_VD[57, 3] = value
    with pytest.raises(EvaluationError, match="catalog row 57"):
        ranks_in_blocks(world.index, world.queries, world.targets, world.hidden)
    world.targets[world.targets == 57] = 58
    everyone = Histories.from_lists([[57]] * 40)
    ranks = ranks_in_blocks(world.index, world.queries, world.targets, everyone).ranks
    assert np.array_equal(ranks, world.index.rank(world.queries, world.targets, everyone))


def test_nobody_has_no_ranks() -> None:
    nobody = Histories.from_lists([])
    index = CatalogIndex(torch.eye(3), DotScorer())
    found = ranks_in_blocks(index, Queries(torch.empty(0, 3), nobody), np.zeros(0, dtype=np.int64), nobody)
    assert found.ranks.shape == found.near.shape == (0,)


def test_scores_of_the_whole_catalog_are_never_held() -> None:
    held: list[int] = []

    class Watched(DotScorer):
        def forward(self, users_ND: torch.Tensor, items_VD: torch.Tensor) -> torch.Tensor:
            held.append(len(users_ND) * len(items_VD))
            return super().forward(users_ND, items_VD)

    world = World(DotScorer())
    ranks_in_blocks(CatalogIndex(world.index.vectors_VD, Watched()), world.queries, world.targets, world.hidden)
    assert max(held) <= 7 * max(33, blocks.PROBES)
