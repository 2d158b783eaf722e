from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import Case, timed_case

from transrec.data.batches import ItemBatch
from transrec.data.histories import Histories
from transrec.errors import EvaluationError, ModelError
from transrec.retrieval import index as index_module
from transrec.retrieval.index import CatalogIndex, Queries, encode_histories, hidden_pairs
from transrec.retrieval.ranking import mean_ranks, top_k
from transrec.scoring import DotScorer


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


@pytest.fixture
def index(case: Case) -> CatalogIndex:
    return CatalogIndex.encode(case.model, case.store, batch_size=7)


def test_the_whole_catalog_is_encoded_once_in_evaluation_mode(case: Case) -> None:
    case.model.train()
    seen = []
    index = CatalogIndex.encode(case.model, case.store, batch_size=7, progress=lambda *told: seen.append(told))
    assert case.model.training
    assert [done for _, done, _ in seen] == [7, 14, 21, 28, 35, 42, 49, 50]
    assert not index.vectors_VD.requires_grad
    case.model.eval()
    rows = np.array([3, 41])
    assert torch.allclose(index.vectors_VD[rows], case.model.items(case.store.gather(rows)).fused_UD, atol=1e-6)


def test_an_empty_catalog_is_an_error(case: Case) -> None:
    class Empty:
        def __len__(self) -> int:
            return 0

        def gather(self, rows: np.ndarray) -> ItemBatch:
            raise AssertionError

    with pytest.raises(EvaluationError, match="no items"):
        CatalogIndex.encode(case.model, Empty())  # type: ignore[arg-type]


def test_users_are_their_newest_items_as_the_model_reads_them(case: Case, index: CatalogIndex) -> None:
    case.model.eval()
    lists = [[1, 2, 3], [4], [], list(range(10, 22)), [7, 7, 7]]
    users_BD = encode_histories(case.model, index, Histories.from_lists(lists)).vectors
    for user, rows in enumerate(lists):
        if not rows:
            assert not users_BD[user].any()
            continue
        recent = torch.tensor(rows[-case.model.window :])[None]
        alone = case.model.users(index.vectors_VD[recent], torch.ones_like(recent, dtype=torch.bool)).last_BD[0]
        assert torch.allclose(users_BD[user], alone, atol=1e-5)


def test_blocks_of_users_change_nothing(case: Case, index: CatalogIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    histories = Histories.from_lists([generator.integers(50, size=n) for n in generator.integers(0, 9, size=23)])
    targets = generator.integers(50, size=23)
    whole = encode_histories(case.model, index, histories)
    ranks, found = index.rank(whole, targets, histories), index.search(whole, 5, histories)
    monkeypatch.setattr(index_module, "SCORES_AT_ONCE", 4 * 50)
    monkeypatch.setattr(index_module, "HISTORIES_AT_ONCE", 4)
    assert torch.allclose(encode_histories(case.model, index, histories).vectors, whole.vectors, atol=1e-5)
    assert np.array_equal(index.rank(whole, targets, histories), ranks)
    assert torch.equal(index.search(whole, 5, histories).rows_BK, found.rows_BK)
    scores_BV, hidden_M2 = index.scores(whole), hidden_pairs(histories)
    assert np.array_equal(mean_ranks(scores_BV, torch.from_numpy(targets), hidden_M2).numpy(), ranks)
    assert torch.equal(top_k(scores_BV, 5, hidden_M2).rows_BK, found.rows_BK)


def test_nobody_gives_empty_results(case: Case, index: CatalogIndex) -> None:
    nobody = Histories.from_lists([])
    queries = encode_histories(case.model, index, nobody)
    assert index.rank(queries, np.zeros(0, dtype=np.int64), nobody).shape == (0,)
    assert index.search(queries, 3, nobody).rows_BK.shape == (0, 3)


def test_search_shows_allowed_items_outside_the_history_only() -> None:
    index = CatalogIndex(torch.eye(4) * torch.arange(1.0, 5.0)[:, None], DotScorer())
    hidden = Histories.from_lists([[3], []])
    queries = Queries(torch.ones(2, 4), hidden)
    assert index.search(queries, 9, hidden).rows_BK.tolist() == [[2, 1, 0, -1], [3, 2, 1, 0]]
    allowed = np.array([True, True, False, True])
    assert index.search(queries, 2, hidden, allowed).rows_BK.tolist() == [[1, 0], [3, 1]]


def test_similar_goes_by_direction_and_leaves_the_item_out() -> None:
    vectors_VD = torch.tensor([[1.0, 0.0], [9.0, 1.0], [0.0, 99.0], [1.0, 0.5], [0.0, 0.0]])
    found = CatalogIndex(vectors_VD, DotScorer()).similar(0, 10)
    assert found.rows_BK.tolist() == [[1, 3, 2, 4, -1]]
    assert found.scores_BK[0, 0].item() == pytest.approx(9 / np.sqrt(82))


def test_added_items_stand_at_the_end_and_can_be_found() -> None:
    before = CatalogIndex(torch.eye(3), DotScorer())
    after = before.add(torch.tensor([[0.0, 5.0, 0.0]]))
    assert (len(before), len(after)) == (3, 4)
    assert torch.equal(after.vectors_VD[:3], before.vectors_VD)
    nobody = Histories.from_lists([[]])
    assert after.search(Queries(torch.ones(1, 3), nobody), 1, nobody).rows_BK.tolist() == [[3]]
    with pytest.raises(ModelError, match="width 2, the index has 3"):
        before.add(torch.ones(1, 2))


def test_users_that_read_times_are_read_with_those_of_their_histories() -> None:
    case = timed_case()
    index = CatalogIndex.encode(case.model, case.store)
    case.model.eval()
    lists, times = [[1, 2, 3], list(range(10, 19))], [[5, 90, 4000], [n**5 for n in range(9)]]
    plain = Histories.from_lists(lists)
    histories = replace(plain, times=np.concatenate(times))
    users_BD = encode_histories(case.model, index, histories).vectors
    for user, (rows, when) in enumerate(zip(lists, times, strict=True)):
        recent, told = torch.tensor(rows[-6:])[None], torch.tensor(when[-6:])[None]
        alone = case.model.users(index.vectors_VD[recent], torch.ones_like(recent, dtype=torch.bool), told).last_BD[0]
        assert torch.allclose(users_BD[user], alone, atol=1e-5)
    assert not torch.allclose(encode_histories(case.model, index, plain).vectors, users_BD, atol=1e-2)
