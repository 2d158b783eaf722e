"""The recommender: lists, similar items, and items that came a second ago."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cases import SETTINGS, platform, timed_case

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.errors import DataError, UnknownItemError
from transrec.model import TransRec
from transrec.retrieval.index import encode_histories
from transrec.serving.recommender import Recommender

SETTINGS_GIVEN = SETTINGS.updated({"items": {"modalities": ["given"]}})


@pytest.fixture
def recommender() -> Recommender:
    dataset = platform()
    return Recommender.of(TransRec.build(SETTINGS, [dataset.catalog], seed=1), dataset)


def test_recommends_the_highest_scores_without_the_history(recommender: Recommender) -> None:
    history = ["i4", "i9", "i30"]
    found = recommender.recommend(history, k=7)
    users = encode_histories(recommender.model, recommender.index, Histories.from_lists([[4, 9, 30]]))
    scores = recommender.index.scores(users)[0]
    best = [row for row in scores.argsort(descending=True).tolist() if row not in (4, 9, 30)][:7]
    assert [item.id for item in found] == [f"i{row}" for row in best]
    assert [item.title for item in found] == [f"thing {row}" for row in best]
    assert [item.score for item in found] == pytest.approx(scores[best].tolist())
    assert found.used == tuple(history) and found.unknown == ()


def test_may_recommend_again_what_was_seen(recommender: Recommender) -> None:
    everything = {item.id for item in recommender.recommend(["i4"], k=100, seen=True)}
    assert everything == {f"i{n}" for n in range(50)}
    assert {item.id for item in recommender.recommend(["i4"], k=100)} == everything - {"i4"}


def test_only_the_newest_items_that_fit_the_window_count(recommender: Recommender) -> None:
    long = [f"i{n}" for n in range(20)]
    users = [
        encode_histories(recommender.model, recommender.index, Histories.from_lists([rows]))
        for rows in (list(range(20)), list(range(14, 20)))
    ]
    assert torch.equal(users[0].vectors, users[1].vectors)
    assert not {item.id for item in recommender.recommend(long, k=50)} & set(long), "older ones are hidden all the same"


def test_unknown_ids_are_named_and_the_rest_is_used(recommender: Recommender) -> None:
    mixed, plain = recommender.recommend(["x", "i4", "y"]), recommender.recommend(["i4"])
    assert mixed.unknown == ("x", "y") and mixed.used == ("i4",)
    assert mixed.items == plain.items


def test_bad_requests_are_said(recommender: Recommender) -> None:
    with pytest.raises(UnknownItemError, match="none of the 2 ids"):
        recommender.recommend(["x", "y"])
    with pytest.raises(UnknownItemError, match="the history is empty"):
        recommender.recommend([])
    with pytest.raises(DataError, match="k is 0"):
        recommender.recommend(["i1"], k=0)
    with pytest.raises(UnknownItemError, match="no item 'x' among its 50"):
        recommender.similar("x")


def test_similar_is_the_cosine_of_item_vectors(recommender: Recommender) -> None:
    vectors = torch.nn.functional.normalize(recommender.index.vectors_VD, dim=1)
    cosines = vectors @ vectors[12]
    expected = [row for row in cosines.argsort(descending=True).tolist() if row != 12][:4]
    found = recommender.similar("i12", k=4)
    assert [item.id for item in found] == [f"i{row}" for row in expected]
    assert [item.score for item in found] == pytest.approx(cosines[expected].tolist(), abs=1e-6)


def test_a_new_item_can_be_recommended_at_once(recommender: Recommender) -> None:
    [best] = recommender.recommend(["i4", "i5"], k=1)
    twin = recommender.catalog.items([recommender.catalog.row(best.id)])[0]
    recommender.add([Item(id="new", vectors=twin.vectors)])
    after = recommender.recommend(["i4", "i5"], k=2)
    assert {item.id for item in after} == {best.id, "new"}, "the same content has the same score"
    assert recommender.similar("new", k=1)[0].id == best.id
    assert recommender.recommend(["new"], k=3).used == ("new",), "and it can stand in a history"
    assert recommender.catalog.ids[:50] == [f"i{n}" for n in range(50)], "the others keep their rows"


def test_items_that_cannot_be_added_are_refused_whole(recommender: Recommender) -> None:
    new = Item(id="new", vectors={"given": np.ones(8)})
    with pytest.raises(DataError, match="in the catalog already"):
        recommender.add([new, Item(id="i3", vectors={"given": np.ones(8)})])
    with pytest.raises(DataError, match="nothing that this model reads, for example 'words'"):
        recommender.add([new, Item(id="words", text="only words")])
    assert len(recommender.catalog) == len(recommender.index) == 50


def test_items_that_the_model_cannot_read_rank_after_all_others() -> None:
    dataset = platform()
    words = [Item(id="words", text="only words")]
    mixed = Dataset(dataset.catalog.append(words), dataset.interactions, "mixed")
    found = Recommender.of(TransRec.build(SETTINGS_GIVEN, [dataset.catalog], seed=1), mixed).recommend(["i4"], k=100)
    assert [item.id for item in found][-1] == "words"
    assert len(found) == 50


def test_a_platform_of_which_nothing_can_be_read_is_refused() -> None:
    dataset = platform()
    catalog = Catalog.from_items([Item(id=i, text="words") for i in dataset.catalog.ids])
    model = TransRec.build(SETTINGS_GIVEN, [dataset.catalog], seed=1)
    with pytest.raises(DataError, match="the model reads given, and no item of small has any of it"):
        Recommender.of(model, Dataset(catalog, dataset.interactions, "small"))


def test_a_saved_model_recommends_from_the_dataset_that_is_given(tmp_path: Path) -> None:
    dataset = platform()
    model = TransRec.build(SETTINGS, [dataset.catalog], seed=1).eval()
    model.save(tmp_path)
    found = Recommender.load(tmp_path, dataset).recommend(["i4", "i9"], k=5)
    assert [item.id for item in found] == [item.id for item in Recommender.of(model, dataset).recommend(["i4", "i9"], k=5)]


def test_popularity_can_count_less(recommender: Recommender) -> None:
    prior = recommender.model.prior
    assert prior is not None
    with torch.no_grad():
        prior.popularity.fill_(100.0)
    counts = np.bincount(platform().interactions.rows, minlength=50)
    first = [int(item.id[1:]) for item in recommender.recommend(["i4"], k=5)]
    assert sorted(counts[first]) == sorted(np.sort(np.delete(counts, 4))[-5:])
    rare = [int(item.id[1:]) for item in recommender.recommend(["i4"], k=5, popularity=0.0)]
    assert rare != first
    with pytest.raises(DataError, match="popularity is -1"):
        recommender.recommend(["i4"], popularity=-1)


def test_times_count_where_the_model_reads_them() -> None:
    case = timed_case()
    timed = Recommender.of(case.model, case.dataset)
    history = ["i4", "i9", "x", "i30"]
    told, untold = timed.recommend(history, k=9, times=[0, 60, 70, 1e6]), timed.recommend(history, k=9)
    assert [item.id for item in told] != [item.id for item in untold]
    shifted = timed.recommend(["i4", "i9", "i30"], k=9, times=[100, 160, 1e6 + 100])
    assert shifted.items == told.items, "the time of an unknown id goes with it"
    assert timed.recommend(history, k=9, times=[None] * 4).items == untold.items
    partly = timed.recommend(history, k=9, times=[None, 60, 70, 1e6])
    assert [item.score for item in partly] != [item.score for item in told]


def test_times_are_nothing_to_a_model_that_does_not_read_them(recommender: Recommender) -> None:
    assert recommender.recommend(["i4", "i9"], times=[0, 5]).items == recommender.recommend(["i4", "i9"]).items


def test_times_that_do_not_fit_the_history_are_refused(recommender: Recommender) -> None:
    with pytest.raises(DataError, match="1 times for a history of 2 events"):
        recommender.recommend(["i4", "i9"], times=[0])
    with pytest.raises(DataError, match="go back"):
        recommender.recommend(["i4", "i9", "i2"], times=[5, None, 4])
