"""Weighing popularity by validation: only two numbers move, and only if validation gains."""

from __future__ import annotations

import torch
from cases import Case

from transrec.data.counts import Counts
from transrec.data.splits import leave_one_out
from transrec.evaluation.ranks import ModelRanker, validation_metrics
from transrec.recipes.platform import Platform
from transrec.recipes.weighing import weigh_popularity
from transrec.retrieval.index import CatalogIndex


def test_popularity_that_misleads_is_weighed_less_and_nothing_else_moves() -> None:
    case = Case()
    split = leave_one_out(case.dataset.interactions)
    counts = Counts.of(split, len(case.dataset.catalog))
    platform = Platform(case.dataset, split, case.store, counts)
    prior = case.model.prior
    assert prior is not None
    with torch.no_grad():  # what follows is right here, and drowned by far too much popularity
        prior.weights["followers"].fill_(5.0)
        prior.popularity.fill_(50.0)
    before = {name: tensor.clone() for name, tensor in case.model.state_dict().items()}

    def reached() -> float:
        ranker = ModelRanker(case.model, CatalogIndex.encode(case.model, case.store, counts))
        return validation_metrics(ranker, split)["NDCG@10"]

    start = reached()
    best, chosen = weigh_popularity(case.model, [platform], metric="NDCG@10", users=None)
    assert best > start and best == reached()
    assert chosen["popularity"] < 1 and prior.popularity == 50.0 * chosen["popularity"]
    moved = [name for name, tensor in case.model.state_dict().items() if not torch.equal(tensor, before[name])]
    assert set(moved) <= {"prior.popularity", "prior.unseen"}


def test_a_fresh_prior_stays_as_it_is() -> None:
    case = Case()
    split = leave_one_out(case.dataset.interactions)
    platform = Platform(case.dataset, split, case.store, Counts.of(split, len(case.dataset.catalog)))
    _, chosen = weigh_popularity(case.model, [platform], metric="NDCG@10", users=None)
    assert chosen["popularity"] == 1.0
