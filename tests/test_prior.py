"""The prior: adds nothing before it has learned, then what its equation says; and it can be learned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import Case

from transrec.data.counts import COMPANIONS, FOLLOWERS, Counts, Evidence
from transrec.data.histories import Histories
from transrec.prior import CountPrior
from transrec.retrieval.index import CatalogIndex, encode_histories


def evidence(**changes: torch.Tensor) -> Evidence:
    shares = {FOLLOWERS: torch.tensor([[0.0, 0.2, 0.0], [0.1, 0.0, 0.4]]), COMPANIONS: torch.zeros(2, 3)}
    return Evidence(torch.tensor([3.0, 0.0, 1.0]), shares, **changes)


def taught() -> CountPrior:
    prior = CountPrior()
    with torch.no_grad():
        prior.popularity.fill_(0.5)
        prior.unseen.fill_(-0.3)
        prior.weights[FOLLOWERS].fill_(2.0)
    return prior


def test_a_fresh_prior_adds_nothing() -> None:
    scores = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(CountPrior()(scores, evidence()), scores)


def test_it_adds_what_its_equation_says() -> None:
    added = taught()(torch.zeros(2, 3), evidence()).detach()
    sharp = math.exp(3.0)
    assert added[0, 0] == pytest.approx(0.5 * math.log(4))
    assert added[0, 1] == pytest.approx(-0.3 + 2 * math.log1p(sharp * 0.2))
    assert added[1, 2] == pytest.approx(0.5 * math.log(2) + 2 * math.log1p(sharp * 0.4))


def test_the_popularity_of_a_target_is_taken_without_its_own_user() -> None:
    own = {"targets_Q": torch.tensor([2, 0]), "target_popularity_Q": torch.tensor([0.0, 1.0])}
    with_own, without = (taught()(torch.zeros(2, 3), found).detach() for found in (evidence(), evidence(**own)))
    assert without[0, 2] == pytest.approx(float(with_own[0, 2]) - 0.5 * math.log(2) - 0.3)
    assert without[1, 0] == pytest.approx(float(with_own[1, 0]) - 0.5 * math.log(4) + 0.5 * math.log(2))
    other = torch.ones(2, 3, dtype=torch.bool)
    other[[0, 1], [2, 0]] = False
    assert torch.equal(with_own[other], without[other])


def test_the_loss_teaches_every_number_of_it() -> None:
    case = Case()
    batch = case.batches.batch(0)
    with torch.no_grad():  # at zero weights sharpness has no effect
        for weight in case.model.prior.weights.values():
            weight.fill_(0.1)
    case.objective(case.model, case.model(batch), batch).total.backward()
    assert all(p.grad is not None and p.grad != 0 for n, p in case.model.prior.named_parameters() if n != "unseen")


def test_an_index_ranks_with_counts_and_without() -> None:
    case = Case()
    counts = Counts.of_histories(Histories.from_lists([[1, 2]] * 9), len(case.dataset.catalog))
    with torch.no_grad():
        case.model.prior.weights[FOLLOWERS].fill_(100.0)
    histories = Histories.from_lists([[1]])
    with_counts, without = (CatalogIndex.encode(case.model, case.store, known) for known in (counts, None))
    first = with_counts.search(encode_histories(case.model, with_counts, histories), 1, histories)
    assert first.rows_BK.tolist() == [[2]]
    queries = encode_histories(case.model, without, histories)
    expected = case.model.scorer(queries.vectors, without.vectors_VD).detach()
    assert np.allclose(without.scores(queries), expected, atol=1e-5)  # other kernels, other last bits


def test_being_untouched_is_not_learned_where_only_the_target_can_be() -> None:
    own = {"targets_Q": torch.tensor([2, 0]), "target_popularity_Q": torch.tensor([0.0, 1.0])}
    for popularity, learns in ((torch.tensor([3.0, 2.0, 1.0]), False), (torch.tensor([3.0, 0.0, 1.0]), True)):
        prior = taught()
        shares = {FOLLOWERS: torch.zeros(2, 3), COMPANIONS: torch.zeros(2, 3)}
        prior(torch.zeros(2, 3), Evidence(popularity, shares, **own))[0, 2].backward()
        assert (prior.unseen.grad is not None and bool(prior.unseen.grad != 0)) == learns


def test_popularity_can_count_less_and_what_is_new_keeps_its_weight() -> None:
    less = taught()(torch.zeros(2, 3), evidence(), popularity=0.5).detach()
    assert less[0, 0] == pytest.approx(0.25 * math.log(4))
    assert less[1, 1] == pytest.approx(-0.3)


def test_elsewhere_how_often_an_item_was_touched_is_worth_nothing_and_the_rest_stays() -> None:
    prior = taught()
    moved = prior.elsewhere()
    assert moved.base(torch.tensor([0.0, 9.0])).tolist() == [0.0, 0.0]
    assert float(moved.weights[FOLLOWERS].detach()) == 2.0
    assert float(prior.popularity.detach()) == 0.5, "the model itself is not changed"


def test_an_index_of_a_platform_that_the_model_does_not_know_leaves_popularity_out() -> None:
    case = Case()
    assert case.model.prior is not None
    with torch.no_grad():
        case.model.prior.popularity.fill_(2.0)
    counts = Counts.of_histories(Histories.from_lists([[1, 2]]), len(case.dataset.catalog))
    at_home, elsewhere = (CatalogIndex.of(case.model, case.dataset, counts, place=place) for place in (0, None))
    assert at_home.known is not None and elsewhere.known is not None
    assert float(at_home.known.prior.popularity.detach()) == 2.0
    assert float(elsewhere.known.prior.popularity.detach()) == 0.0


@pytest.mark.parametrize(("least", "untouched"), [(0.0, True), (1.0, False)])
def test_whether_something_is_untouched_is_known_before_the_evidence_is_on_the_device(least: float, untouched: bool) -> None:
    found = Evidence(torch.tensor([3.0, least]), {}).to(torch.device("cpu"))
    assert found.some_untouched is untouched
    assert found.of_queries(slice(1)).some_untouched is untouched
