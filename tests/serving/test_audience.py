"""Where a new item would stand: as if it were added, which it is not."""

from __future__ import annotations

import numpy as np
import pytest
from cases import SETTINGS, platform

from transrec.data.item import Item
from transrec.model import TransRec
from transrec.serving.audience import audience_of
from transrec.serving.recommender import Recommender

NEW = Item("new", vectors={"given": np.linspace(-1, 1, 8)})


@pytest.fixture
def recommender() -> Recommender:
    dataset = platform()
    model = TransRec.build(SETTINGS.updated({"prior": "counts"}), [dataset.catalog], seed=0).eval()
    return Recommender.of(model, dataset)


@pytest.mark.parametrize("popularity", [0.0, 1.0])
def test_places_are_those_that_it_has_once_it_is_added(recommender: Recommender, popularity: float) -> None:
    dataset = platform()
    recommender.remove(["i3", "i4"])
    found = audience_of(recommender, dataset, NEW, popularity=popularity)
    assert not recommender.holds("new"), "nothing is added"
    recommender.add([NEW])
    events, expected = dataset.interactions, {}
    for place, user in enumerate(events.users):
        rows = events.rows[events.offsets[place] : events.offsets[place + 1]]
        times = events.times[events.offsets[place] : events.offsets[place + 1]]
        history = [dataset.catalog.ids[row] for row in rows]
        answer = recommender.recommend(history, 51, times=times.tolist(), popularity=popularity)
        expected[str(user)] = 1 + [item.id for item in answer].index("new")
    assert dict(found.places) == expected
    places = [place for _, place in found.places]
    assert places == sorted(places)
    assert len(set(places)) > 1, "users differ"
    assert found.within(10) == sum(place <= 10 for place in expected.values())
    assert (found.users, found.items) == (40, 49)


def test_the_id_of_an_item_that_is_there_makes_no_difference(recommender: Recommender) -> None:
    same = audience_of(recommender, platform(), Item("i0", vectors=NEW.vectors))
    assert same == audience_of(recommender, platform(), NEW)


def test_of_many_users_some_are_drawn_the_same_ones_for_a_seed(recommender: Recommender) -> None:
    whole = dict(audience_of(recommender, platform(), NEW).places)
    some = audience_of(recommender, platform(), NEW, most_users=7, seed=3)
    assert len(some.places) == 7
    assert some.users == 40
    assert dict(some.places).items() <= whole.items()
    assert some == audience_of(recommender, platform(), NEW, most_users=7, seed=3)
    assert {u for u, _ in some.places} != {u for u, _ in audience_of(recommender, platform(), NEW, most_users=7).places}
