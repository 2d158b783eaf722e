"""What is asked beside a history: filters, exclusions, spread lists, reasons, items given by what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import SETTINGS, platform
from hypothesis import given, settings
from hypothesis import strategies as st

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.errors import DataError, UnknownItemError
from transrec.model import TransRec
from transrec.retrieval.explaining import view_shares, views_of
from transrec.retrieval.index import encode_histories
from transrec.serving.recommender import Recommender, Request


def two_views() -> Dataset:
    """The small platform, whose items have a second view, a few lack one of them, and there are columns to filter by."""
    plain = platform()
    generator = np.random.default_rng(7)
    items = []
    for n, item in enumerate(plain.catalog.items(range(50))):
        both = {"given": item.vectors["given"], "other": generator.normal(size=4)}
        items.append(Item(id=item.id, vectors={"given": both["given"]} if n % 10 == 3 else both))
    columns = {
        "title": [f"thing {n}" for n in range(50)],
        "price": list(range(50)),
        "stock": [n % 3 == 0 for n in range(50)],
    }
    return Dataset(Catalog.from_items(items, columns), plain.interactions, "two views")


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    dataset = two_views()
    model = TransRec.build(SETTINGS, [dataset.catalog], seed=1)
    assert model.prior is not None
    with torch.no_grad():
        for parameter in (*model.prior.weights.values(), model.prior.popularity):
            parameter.fill_(0.3)
    return Recommender.of(model, dataset)


@settings(max_examples=60)
@given(
    k=st.integers(1, 60),
    cheap=st.integers(-1, 52),
    exclude=st.lists(st.integers(0, 55), max_size=30),
    history=st.lists(st.integers(0, 49), min_size=1, max_size=9),
    diversity=st.sampled_from([0.0, 0.4, 1.0]),
)
def test_k_come_whenever_k_may_be_shown(
    recommender: Recommender, k: int, cheap: int, exclude: list[int], history: list[int], diversity: float
) -> None:
    found = recommender.recommend(
        [f"i{n}" for n in history],
        k,
        where=f"price < {cheap} and stock = true",
        exclude=[f"i{n}" for n in exclude],
        diversity=diversity,
    )
    may = {n for n in range(50) if n < cheap and n % 3 == 0} - set(exclude) - set(history)
    shown = [int(item.id[1:]) for item in found]
    assert len(shown) == len(set(shown)) == min(k, len(may))
    assert set(shown) <= may


def test_a_filter_leaves_the_order_and_scores_of_what_goes_through(recommender: Recommender) -> None:
    everything = recommender.recommend(["i4", "i9"], 50)
    cheap = recommender.recommend(["i4", "i9"], 5, where="price < 20")
    assert cheap.items == tuple(item for item in everything if int(item.id[1:]) < 20)[:5]


def test_many_questions_have_the_answers_that_each_has_alone(recommender: Recommender) -> None:
    inline = Item(id="mine", vectors={"given": np.ones(8)})
    requests = [
        Request(["i4"], k=3),
        Request(["i1", "i2", inline], k=7, where="price > 10", explain=True),
        Request([replace(inline, vectors={"given": -np.ones(8)}), "i8"], k=4, explain=True),
        Request(["i9", "nothing"], k=60, where="price > 10", exclude=["i11"], diversity=0.5),
        Request(["i9", "i9", "i3"], popularity=0.0, seen=True, times=[None, 5, 6]),
    ]
    for together, request in zip(recommender.answer(requests), requests, strict=True):
        [alone] = recommender.answer([request])
        assert [item.id for item in together] == [item.id for item in alone]
        assert [item.score for item in together] == pytest.approx([item.score for item in alone], abs=1e-4)
        assert (together.used, together.unknown) == (alone.used, alone.unknown)
        if request.explain:
            ours, theirs = ([item.reason for item in each] for each in (together, alone))
            assert [[name for name, _ in r.nearest] for r in ours] == [[name for name, _ in r.nearest] for r in theirs]
    assert recommender.answer([]) == []


def test_an_item_given_by_its_content_is_read_as_if_the_catalog_held_it(recommender: Recommender) -> None:
    twin = recommender.catalog.items([12])[0]
    by_id = recommender.recommend(["i4", "i12"], 50, seen=True, popularity=0.0)
    given_whole = recommender.recommend(["i4", replace(twin, id="mine")], 50, seen=True, popularity=0.0)
    assert given_whole.used == ("i4", "mine")
    prior = recommender.model.prior
    assert prior is not None
    now = recommender.now
    beside = encode_histories(
        recommender.model, now.index, Histories.from_lists([[4, 50]]), now.index.vectors.take(torch.tensor([12]))
    )
    inside = encode_histories(recommender.model, now.index, Histories.from_lists([[4, 12]]))
    assert torch.allclose(beside.vectors, inside.vectors, atol=1e-6)
    assert beside.histories.rows.tolist() == [4], "counts know nothing of it"
    assert len(by_id) == len(given_whole) == 50
    alone = recommender.recommend([replace(twin, id="i12")], 50)
    assert "i12" not in [item.id for item in alone], "an item that the user brings is not recommended to him"


def test_what_cannot_be_read_in_a_history_is_said(recommender: Recommender) -> None:
    with pytest.raises(DataError, match="nothing that this model reads"):
        recommender.recommend([Item(id="w", text="words")])
    with pytest.raises(UnknownItemError, match="none of the 1 ids"):
        recommender.recommend(["x"])


@pytest.mark.parametrize(
    ("wishes", "said"),
    [({"k": 0}, "k is 0"), ({"diversity": 1.5}, "diversity is 1.5"), ({"popularity": -1}, "popularity is -1"),
     ({"exclude": "i4"}, "a text is given"), ({"where": "colour = 1"}, "no column 'colour'")],
)  # fmt: skip
def test_wishes_that_cannot_be_had_are_said(recommender: Recommender, wishes: dict, said: str) -> None:
    with pytest.raises(DataError, match=said):
        recommender.recommend(["i4"], **wishes)


def test_spread_lists_are_less_alike_and_begin_with_the_best(recommender: Recommender) -> None:
    def alikeness(diversity: float) -> float:
        found = recommender.recommend(["i4", "i9"], 8, diversity=diversity)
        vectors = recommender.index.vectors.take(torch.from_numpy(recommender.catalog.rows([item.id for item in found])))
        units = torch.nn.functional.normalize(vectors, dim=1)
        return float((units @ units.T).triu(1).sum())

    assert alikeness(0.9) < alikeness(0.0)
    first = {recommender.recommend(["i4", "i9"], 8, diversity=d).items[0].id for d in (0.0, 0.3, 1.0)}
    assert len(first) == 1


def test_reasons_add_up_and_name_what_is_near(recommender: Recommender) -> None:
    found = recommender.recommend(["i4", "i9", "i4", "i30", "i12"], 50, explain=True)
    units = torch.nn.functional.normalize(recommender.index.vectors_VD, dim=1)
    for item in found:
        reason, row = item.reason, int(item.id[1:])
        assert reason is not None
        assert reason.content + reason.counts == pytest.approx(item.score, abs=1e-4)
        assert set(reason.views) == ({"given"} if row % 10 == 3 else {"given", "other"})
        assert sum(reason.views.values()) == pytest.approx(1.0)
        cosines = {f"i{other}": float(units[row] @ units[other]) for other in (4, 9, 30, 12)}
        best = sorted(cosines, key=cosines.__getitem__, reverse=True)[:3]
        assert [name for name, _ in reason.nearest] == best
        assert dict(reason.nearest) == pytest.approx({name: cosines[name] for name in best}, abs=1e-5)
    assert any(abs(item.reason.counts) > 1e-3 for item in found if item.reason)
    assert recommender.recommend(["i4"], 1).items[0].reason is None


@torch.no_grad()
def test_the_share_of_a_view_is_what_the_score_loses_without_it(recommender: Recommender) -> None:
    model = recommender.model
    items = recommender.catalog.items([0, 1, 2, 3])
    user = torch.randn(1, 16, generator=torch.Generator().manual_seed(0))
    shares = view_shares(model, user, views_of(model, items, 0))
    whole = model.scorer(user, views_of(model, items, 0).fused_UD)[0]
    for place, item in enumerate(items[:3]):
        lost = {}
        for name in ("given", "other"):
            rest = Item(id="rest", vectors={other: v for other, v in item.vectors.items() if other != name})
            lost[name] = max(0.0, float(whole[place] - model.scorer(user, views_of(model, [rest], 0).fused_UD)[0, 0]))
        total = sum(lost.values())
        expected = {name: lost[name] / total if total else 0.5 for name in lost}
        assert shares[place] == pytest.approx(expected, abs=1e-4)
    assert shares[3] == {"given": 1.0}


def test_similar_items_of_what_is_given_and_of_what_is_there(recommender: Recommender) -> None:
    twin = recommender.catalog.items([12])[0]
    given_whole = recommender.similar(replace(twin, id="mine"), 5)
    assert given_whole[0].id == "i12" and given_whole[0].score == pytest.approx(1.0, abs=1e-5)
    assert [item.id for item in given_whole[1:]] == [item.id for item in recommender.similar("i12", 4)]
    some = recommender.similar("i12", 50, where="price < 30", exclude=["i3", "x"])
    assert {item.id for item in some} == {f"i{n}" for n in range(30)} - {"i3", "i12"}
    with pytest.raises(DataError, match="nothing to search for"):
        recommender.search()
    with pytest.raises(DataError, match="nothing that this model reads"):
        recommender.search(text="words")


def test_new_items_are_centred_on_the_platform_that_they_are_of() -> None:
    first, second = platform(), platform(seed=5)
    model = TransRec.build(SETTINGS, [first.catalog, second.catalog], seed=1).eval()
    with torch.no_grad():
        model.items.projections["given"].means[1] += 3.0
    recommender = Recommender.of(model, second, place=1)
    twin = recommender.catalog.items([7])[0]
    recommender.add([replace(twin, id="twin")])
    vectors = recommender.index.vectors_VD
    assert torch.allclose(vectors[-1], vectors[7], atol=1e-5)
