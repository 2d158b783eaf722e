"""Approximate search: what it lists has its exact score, what it misses is measured, and lists are full."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from transrec.data.counts import Counts
from transrec.data.histories import Histories
from transrec.errors import MissingExtraError, ModelError
from transrec.prior import CountPrior
from transrec.retrieval.approximate import ApproximateSearch
from transrec.retrieval.index import CatalogIndex, Queries
from transrec.retrieval.queries import KnownCounts
from transrec.scoring import BestInterest, CosineScorer, DistanceScorer, DotScorer, PrefixScorer, Scorer

ITEMS, USERS = 3000, 40


def world(scorer: Scorer, *, counted: bool = True) -> tuple[CatalogIndex, Queries]:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(60, 16, generator=generator)
    vectors = centres[torch.randint(60, (ITEMS,), generator=generator)] + 0.4 * torch.randn(ITEMS, 16, generator=generator)
    numbers = np.random.default_rng(0)
    histories = Histories.from_lists([numbers.integers(ITEMS, size=8) for _ in range(USERS)])
    users = vectors[torch.from_numpy(histories.rows[::8].copy())] + 0.2 * torch.randn(USERS, 16, generator=generator)
    known = None
    if counted:
        prior = CountPrior()
        with torch.no_grad():
            for parameter in (*prior.weights.values(), prior.popularity):
                parameter.fill_(0.5)
        known = KnownCounts(Counts.of_histories(histories, ITEMS), prior)
    if scorer.takes == "interests":  # one near something of the history, and others near something else
        users = torch.stack([users, users.roll(1, 0), users.roll(2, 0)], dim=1)
    return CatalogIndex(vectors, scorer, None, known), Queries(users, histories)


def handicapped() -> BestInterest:
    scorer = BestInterest(CosineScorer(), handicapped=2)
    assert scorer.handicaps is not None
    scorer.handicaps.of_each.data.fill_(1.5)
    return scorer


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize(
    "scorer",
    [
        CosineScorer(),
        DotScorer(),
        DistanceScorer(),
        BestInterest(CosineScorer()),
        handicapped(),
        PrefixScorer(CosineScorer(), 12),
    ],
)
def test_recall_is_what_is_found_and_scores_are_exact(scorer: Scorer, counted: bool) -> None:
    index, queries = world(scorer, counted=counted)
    search = ApproximateSearch.build(index, queries)
    exact = index.search(queries, 10, queries.histories)
    found = search.search(index, queries, 10, queries.histories)
    hits = [len({*a} & {*b}) for a, b in zip(exact.rows_BK.tolist(), found.rows_BK.tolist(), strict=True)]
    assert search.lists.d == (scorer.reads or 16), "what is not compared takes no room"
    assert search.recall == pytest.approx(sum(hits) / (10 * USERS)) and search.recall >= 0.95
    scores_BV = index.scores(queries).detach()
    assert torch.allclose(found.scores_BK, scores_BV.gather(1, found.rows_BK), atol=1e-4)
    assert (found.scores_BK.diff(dim=1) <= 0).all()


def test_settings_that_find_little_are_said_loudly() -> None:
    index, queries = world(CosineScorer(), counted=False)
    with pytest.warns(UserWarning, match="FINDS ONLY"):
        poor = ApproximateSearch.build(index, queries, lists=500, probes=1)
    assert poor.recall < 0.95 and poor.probes == 1


@pytest.mark.parametrize("every", [2, 40, 400, 2999])
def test_lists_are_full_whenever_they_can_be(every: int) -> None:
    index, queries = world(CosineScorer())
    search = ApproximateSearch.build(index, queries)
    allowed = np.arange(ITEMS) % every == 0
    found = search.search(index, queries, 20, queries.histories, allowed)
    exact = index.search(queries, 20, queries.histories, allowed)
    assert ((found.rows_BK >= 0).sum(dim=1) == (exact.rows_BK >= 0).sum(dim=1)).all()
    listed = found.rows_BK[found.rows_BK >= 0].numpy()
    assert allowed[listed].all()
    for user, rows in enumerate(found.rows_BK.tolist()):
        assert not {*rows} & {*queries.histories.block(user, user + 1).rows.tolist()}
    if every >= 400:
        assert torch.equal(found.rows_BK, exact.rows_BK), "so few are all looked at"


def test_everything_can_be_asked_for() -> None:
    index, queries = world(CosineScorer())
    found = ApproximateSearch.build(index, queries).search(index, queries.block(0, 2), ITEMS, Histories.from_lists([[], []]))
    assert [sorted(rows) for rows in found.rows_BK.tolist()] == [list(range(ITEMS))] * 2


def test_items_that_came_changed_and_went_are_found_as_they_are() -> None:
    index, queries = world(CosineScorer(), counted=False)
    search = ApproximateSearch.build(index, queries)
    nobody = Histories.from_lists([[]])
    user = queries.block(0, 1)
    best = int(search.search(index, user, 1, nobody).rows_BK[0, 0])
    own = user.vectors[0]
    changed = index.with_versions(torch.stack([-own, own, 2 * own]), np.array([best, best + 1, ITEMS]))
    rows = search.search(changed, user, 3, nobody).rows_BK[0].tolist()
    assert rows[:2] == [best + 1, ITEMS] and best not in rows, "its former vector is nobody's"
    assert search.search(changed.without(np.array([ITEMS])), user, 3, nobody).rows_BK[0].tolist()[0] == best + 1


def test_lists_are_kept(tmp_path: Path) -> None:
    index, queries = world(CosineScorer())
    search = ApproximateSearch.build(index, queries)
    assert ApproximateSearch.open(tmp_path) is None
    search.save(tmp_path)
    again = ApproximateSearch.open(tmp_path)
    assert again is not None and (again.recall, again.probes, again.size) == (search.recall, search.probes, ITEMS)
    found = [each.search(index, queries, 10, queries.histories).rows_BK for each in (search, again)]
    assert torch.equal(*found)


def test_what_cannot_be_had_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Scorer):
        def forward(self, users_ND: torch.Tensor, items_VD: torch.Tensor) -> torch.Tensor:
            return users_ND @ items_VD.T

        def paired(self, users_ND: torch.Tensor, items_NTD: torch.Tensor) -> torch.Tensor:
            return (users_ND[:, None] * items_NTD).sum(dim=2)

    _, queries = world(DotScorer())
    with pytest.raises(ModelError, match="Other cannot be searched approximately"):
        ApproximateSearch.build(CatalogIndex(torch.eye(3), Other()), queries)
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(MissingExtraError, match="ann"):
        ApproximateSearch.build(*world(DotScorer()))
