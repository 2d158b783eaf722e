from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from cases import Case, platform, timed_case
from torch import Tensor

from transrec.data.counts import Counts
from transrec.data.histories import Histories
from transrec.data.splits import Targets, leave_one_out
from transrec.errors import EvaluationError
from transrec.evaluation import ranks as ranks_module
from transrec.evaluation.ranks import ModelRanker, RankedTargets, rank_targets, sampled, validation_metrics
from transrec.retrieval.index import CatalogIndex, encode_histories

SPLIT = leave_one_out(platform(users=60).interactions)


class Fixed:
    """Scores that depend on the history, one user at a time, so that blocks cannot matter."""

    def __init__(self, items: int = 50, spoil: float = 0.0) -> None:
        self.items, self.spoil = items, spoil

    def scores(self, histories: Histories) -> Tensor:
        rows = [histories.block(user, user + 1).rows for user in range(len(histories))]
        drawn = [np.random.default_rng([int(r.sum()), len(r)]).integers(9, size=self.items) for r in rows]
        return torch.from_numpy(np.stack(drawn)).float() + self.spoil


def test_every_target_is_ranked_among_all_items_but_the_history() -> None:
    ranked = rank_targets(Fixed(), SPLIT, SPLIT.test)
    events = SPLIT.interactions
    for number, (user, position) in enumerate(zip(SPLIT.test.users, SPLIT.test.positions, strict=True)):
        history, target = events.rows[events.offsets[user] : position], events.rows[position]
        scores = Fixed().scores(Histories.from_lists([history]))[0].numpy()
        others = [row for row in range(50) if row not in history and row != target]
        greater, equal = (scores[others] > scores[target]).sum(), (scores[others] == scores[target]).sum()
        assert ranked.ranks[number] == 1 + greater + equal / 2
        assert ranked.history_lengths[number] == len(history)
        assert ranked.users[number] == events.users[int(user)]
    assert np.array_equal(ranked.rows, events.rows[SPLIT.test.positions])
    assert ranked.num_items == 50
    assert np.array_equal(rank_targets(Fixed(), SPLIT, SPLIT.test, block=7).ranks, ranked.ranks)


def test_ranks_are_kept_as_parquet(tmp_path: Path) -> None:
    ranked = rank_targets(Fixed(), SPLIT, SPLIT.test)
    ranked.save(tmp_path / "ranks.parquet")
    table = pl.read_parquet(tmp_path / "ranks.parquet")
    assert table.columns == ["user", "row", "rank", "history_length"]
    assert np.array_equal(table["rank"].to_numpy(), ranked.ranks)


def test_what_cannot_be_ranked_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="not finite"):
        rank_targets(Fixed(spoil=float("nan")), SPLIT, SPLIT.test)
    with pytest.raises(EvaluationError, match="no targets"):
        rank_targets(Fixed(), SPLIT, Targets(SPLIT.test.users[:0], SPLIT.test.positions[:0]))
    with pytest.raises(EvaluationError, match="scores 20 items"):
        rank_targets(Fixed(items=20), SPLIT, SPLIT.test)


def test_a_model_ranks_as_its_index_does() -> None:
    case = Case()
    split = leave_one_out(case.dataset.interactions)
    index = CatalogIndex.encode(case.model, case.store)
    ranker = ModelRanker(case.model, index)
    histories = Histories.before(split.interactions, split.test)
    ranks = rank_targets(ranker, split, split.test, block=9).ranks
    users_BD = encode_histories(case.model, index, histories)
    assert np.array_equal(ranks, index.rank(users_BD, split.interactions.rows[split.test.positions], histories))


def test_a_large_catalog_is_counted_in_blocks_with_the_same_ranks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    case = Case()
    split = leave_one_out(case.dataset.interactions)
    ranker = ModelRanker(case.model, CatalogIndex.encode(case.model, case.store, Counts.of(split, 50)))
    whole = rank_targets(ranker, split, split.test)
    assert not ranker.large
    monkeypatch.setattr(ranks_module, "LARGE", 50)
    monkeypatch.setattr(ModelRanker, "scores", lambda *_: pytest.fail("whole rows were scored"))
    assert ranker.large
    found = rank_targets(ranker, split, split.test)
    assert np.array_equal(found.ranks, whole.ranks)
    assert found.num_items == 50
    assert np.array_equal(rank_targets(ranker, split, split.test, block=7).ranks, whole.ranks)
    # scores that float32 cannot tell apart: the same item over and over, each with a little noise of its own
    noise_VD = 1e-7 * torch.randn(50, 16, generator=torch.Generator().manual_seed(0))
    vectors_VD = ranker.index.vectors_VD[:1] + noise_VD
    near = rank_targets(ModelRanker(case.model, CatalogIndex(vectors_VD, case.model.scorer)), split, split.test)
    assert 0 < near.near_ties <= len(near)
    near.save(tmp_path / "ranks.parquet")
    assert RankedTargets.open(tmp_path / "ranks.parquet").near_ties == near.near_ties


def test_a_large_catalog_that_the_events_do_not_belong_to_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case()
    split = leave_one_out(case.dataset.interactions)
    monkeypatch.setattr(ranks_module, "LARGE", 1)
    index = CatalogIndex(CatalogIndex.encode(case.model, case.store).vectors_VD[:20], case.model.scorer)
    with pytest.raises(EvaluationError, match="scores 20 items"):
        rank_targets(ModelRanker(case.model, index), split, split.test)


def test_ranks_that_were_kept_before_near_ties_were_counted_can_be_read(tmp_path: Path) -> None:
    ranked = rank_targets(Fixed(), SPLIT, SPLIT.test)
    ranked.save(tmp_path / "ranks.parquet")
    pl.read_parquet(tmp_path / "ranks.parquet").write_parquet(tmp_path / "old.parquet", metadata={"num_items": "50"})
    assert RankedTargets.open(tmp_path / "old.parquet").near_ties == 0


def test_validation_looks_at_validation_targets_only_and_at_the_same_sample() -> None:
    seen: list[list[int]] = []

    class Watching(Fixed):
        def scores(self, histories: Histories) -> Tensor:
            pairs = zip(histories.offsets[:-1], histories.offsets[1:], strict=True)
            seen.extend(histories.rows[start:stop].tolist() for start, stop in pairs)
            return super().scores(histories)

    metrics = validation_metrics(Watching(), SPLIT, limit=20, seed=3, cutoffs=(5, 10))
    assert len(seen) == 20
    events = SPLIT.interactions
    trains = [events.rows[s:e].tolist() for s, e in zip(events.offsets[:-1], SPLIT.train_ends, strict=True)]
    assert all(history in trains for history in seen)
    assert validation_metrics(Watching(), SPLIT, limit=20, seed=3, cutoffs=(5, 10)) == metrics
    assert set(metrics) == {"HR@5", "HR@10", "NDCG@5", "NDCG@10", "MRR@5", "MRR@10", "MRR"}


def test_sampled_targets_are_distinct_and_in_order() -> None:
    few = sampled(SPLIT.test, 10, np.random.default_rng(0))
    assert len(few) == 10
    assert (np.diff(few.positions) > 0).all()
    assert set(few.positions) <= set(SPLIT.test.positions)
    assert sampled(SPLIT.test, None, np.random.default_rng(0)) is SPLIT.test


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_model_that_reads_times_is_told_those_of_the_history_and_never_that_of_the_target(part: str) -> None:
    case = timed_case()
    split = leave_one_out(case.dataset.interactions)
    ranker = ModelRanker(case.model, CatalogIndex.encode(case.model, case.store))
    events, targets = split.interactions, getattr(split, part)

    def ranks(moved: np.ndarray) -> np.ndarray:
        times = events.times + 1e6 * moved
        return rank_targets(ranker, replace(split, interactions=replace(events, times=times)), targets).ranks

    before = ranks(np.zeros(len(events)))
    from_target_on = np.zeros(len(events))
    for user, position in zip(targets.users, targets.positions, strict=True):
        from_target_on[position : events.offsets[user + 1]] = 1
    assert np.array_equal(ranks(from_target_on), before)
    newest = np.zeros(len(events))
    newest[targets.positions - 1] = 1
    assert (ranks(newest) != before).mean() > 0.5


def test_rankers_that_read_no_times_are_given_none() -> None:
    given = []

    class Watching(Fixed):
        def scores(self, histories: Histories) -> Tensor:
            given.append(histories.times)
            return super().scores(histories)

    rank_targets(Watching(), SPLIT, SPLIT.test)
    assert given and not any(times is not None for times in given)
    assert not ModelRanker(Case().model, None).reads_times  # type: ignore[arg-type]
