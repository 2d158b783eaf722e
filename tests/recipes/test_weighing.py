"""Weighing popularity by validation: only two numbers move, validation gains, and rare items get what is allowed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import Case, timed_case

from transrec.data.counts import Counts
from transrec.data.splits import leave_one_out
from transrec.evaluation.metrics import ndcg
from transrec.evaluation.ranks import ModelRanker, rank_targets, validation_metrics
from transrec.prior import CountPrior
from transrec.recipes import weighing
from transrec.recipes.platform import Platform
from transrec.recipes.weighing import Weighing, choose, weigh_popularity
from transrec.retrieval.index import CatalogIndex


class Weighed:
    """A case whose prior knows what follows, and overrates popularity by far."""

    def __init__(self, *, popularity: float = 50.0, case: Case | None = None) -> None:
        self.case = case or Case()
        self.split = leave_one_out(self.case.dataset.interactions)
        self.counts = Counts.of(self.split, len(self.case.dataset.catalog))
        prior = self.case.model.prior
        assert prior is not None
        self.prior: CountPrior = prior
        with torch.no_grad():
            self.prior.weights["followers"].fill_(5.0)
            self.prior.popularity.fill_(popularity)

    @property
    def ranker(self) -> ModelRanker:
        return ModelRanker(self.case.model, CatalogIndex.encode(self.case.model, self.case.store, self.counts))

    @property
    def reached(self) -> float:
        return validation_metrics(self.ranker, self.split)["NDCG@10"]

    def weigh(self, allowance: float) -> Weighing:
        platform = Platform(self.case.dataset, self.split, self.case.store, self.counts)
        return weigh_popularity(self.case.model, [platform], metric="NDCG@10", users=None, allowance=allowance)


def test_popularity_that_misleads_is_weighed_less_and_nothing_else_moves() -> None:
    world = Weighed()
    before = {name: tensor.clone() for name, tensor in world.case.model.state_dict().items()}
    start = world.reached
    weighed = world.weigh(0.0)
    assert weighed.reached > start
    assert weighed.reached == weighed.highest == pytest.approx(world.reached)
    assert weighed.factor < 1
    assert world.prior.popularity.item() == pytest.approx(50.0 * weighed.factor)
    moved = [name for name, tensor in world.case.model.state_dict().items() if not torch.equal(tensor, before[name])]
    assert set(moved) <= {"prior.popularity", "prior.unseen"}


def test_rare_targets_get_what_is_allowed_and_no_more() -> None:
    weighings = [(1.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 2.0)]
    values_W, rare_W = np.array([0.100, 0.099, 0.0991, 0.090]), np.array([0.01, 0.02, 0.02, 0.09])
    assert [choose(values_W, rare_W, weighings, allowance) for allowance in (0.0, 0.0095, 0.02, 0.2)] == [0, 2, 2, 3]


def test_of_equals_the_nearest_to_what_was_learned_is_taken() -> None:
    weighings = [(0.0, 0.0), (0.8, 0.5), (0.8, 0.0)]
    assert choose(np.full(3, 0.1), np.zeros(3), weighings, 0.01) == 2


def test_rare_targets_are_those_with_few_training_events(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, np.ndarray] = {}

    def first(values_W: np.ndarray, rare_W: np.ndarray, weighings: object, allowance: float) -> int:
        seen.update(values=values_W, rare=rare_W, allowance=np.array(allowance))
        return 0  # as learned

    monkeypatch.setattr(weighing, "choose", first)
    world = Weighed(popularity=1.0)
    world.weigh(0.2)
    ranked = rank_targets(world.ranker, world.split, world.split.validation)
    own = ndcg(ranked.ranks, 10)
    rare = world.counts.popularity_V[ranked.rows] <= 4
    assert 0 < rare.sum() < len(rare)
    assert seen["values"][0] == pytest.approx(own.mean())
    assert seen["rare"][0] == pytest.approx(own[rare].sum())
    assert seen["allowance"] == 0, "a few rare targets are not worth anything yet"
    monkeypatch.setattr(weighing, "RARE_ENOUGH", int(rare.sum()))
    Weighed(popularity=1.0).weigh(0.2)
    assert seen["allowance"] == 0.2


def test_of_two_platforms_the_mean_counts() -> None:
    one, two = Weighed(), Weighed()
    platforms = [Platform(own.case.dataset, own.split, own.case.store, own.counts) for own in (one, two)]
    weighed = weigh_popularity(one.case.model, platforms, metric="NDCG@10", users=None, allowance=0.0)
    assert weighed == two.weigh(0.0), "twice the same platform is that platform"


def test_a_fresh_prior_stays_as_it_is() -> None:
    world = Weighed(popularity=0.0)
    with torch.no_grad():
        world.prior.weights["followers"].zero_()
    assert world.weigh(0.0).settings["popularity"] == 1.0


def test_users_that_read_times_are_weighed_with_them() -> None:
    world = Weighed(popularity=1.0, case=timed_case())
    assert world.weigh(0.0).reached == pytest.approx(world.reached), "as they are measured"
