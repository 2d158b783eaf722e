"""What the page shows, without a page."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from cases import SETTINGS, platform
from drawn import drawn
from serving_ground import PictureRun

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.item import Item
from transrec.errors import DataError, ServingError
from transrec.model import TransRec
from transrec.retrieval.explaining import Reason
from transrec.serving.playground.cards import Card, Line, message, plain_cards, ranked_cards
from transrec.serving.playground.desk import Desk, Side, Wishes
from transrec.serving.recommender import Recommender


def desk_of(dataset: Dataset, *seeds: int) -> Desk:
    sides = []
    for seed in seeds:
        recommender = Recommender.of(TransRec.build(SETTINGS, [dataset.catalog], seed=seed).eval(), dataset)
        sides.append(Side(f"run {seed}", lambda recommender=recommender: recommender))  # type: ignore[misc]
    return Desk(sides, dataset)


def items_in(page: str) -> list[str]:
    return re.findall(r'data-item="([^"]*)"', page)


def test_lists_are_what_the_recommender_says_and_common_items_are_marked() -> None:
    dataset = platform()
    desk = desk_of(dataset, 0, 1)
    history = desk.history_of("7")
    first, second = desk.lists(history, Wishes(k=5))
    expected = [[item.id for item in side.recommender().recommend(history, 5)] for side in desk.sides]
    assert [items_in(first), items_in(second)] == expected
    assert expected[0] != expected[1]
    common = set(expected[0]) & set(expected[1])
    assert first.count("in both") == second.count("in both") == len(common)
    assert "run 0" in first
    assert "run 1" in second
    assert first.count("given 100%") == 5, "the only view has all of it"


def test_what_came_next_is_marked_or_said_to_be_missing() -> None:
    desk = desk_of(platform(), 0)
    history = ["i1", "i2"]
    best = items_in(desk.lists(history, Wishes(k=3))[0])[1]
    assert "It stands at place 2." in desk.lists(history, Wishes(k=3), best)[0]
    assert desk.lists(history, Wishes(k=3), best)[0].count('class="tr-mark">next<') == 1
    (without,) = desk.lists(history, Wishes(k=1), best)
    assert "It is not among these 1." in without
    assert "tr-mark" not in without


def test_histories_are_those_of_the_dataset_and_others_are_refused() -> None:
    dataset = platform()
    desk = desk_of(dataset, 0)
    events = dataset.interactions
    rows = events.rows[events.offsets[3] : events.offsets[4]]
    assert desk.history_of(f" {events.users[3]} ") == [f"i{row}" for row in rows]
    assert desk.somebody() in set(events.users)
    with pytest.raises(ServingError, match="no user 'nobody'"):
        desk.history_of("nobody")


def test_items_are_found_by_all_words_of_the_title_and_else_by_events() -> None:
    dataset = platform()
    desk = desk_of(dataset, 0)
    assert [card.key for card in desk.found("THING 4")] == [f"i{n}" for n in range(50) if "4" in str(n)]
    assert {card.key for card in desk.found("1 thing 2")} == {"i12", "i21"}
    assert desk.found("(.*") == []
    counts = np.bincount(dataset.interactions.rows, minlength=50)
    assert counts[int(desk.found(" ")[0].key[1:])] == counts.max()
    desk.sides[0].recommender().remove(["i4"])
    assert "i4" not in [card.key for card in desk.found("thing 4")]
    desk.sides[0].recommender().add([Item("late", vectors={"given": np.ones(8)})], {"title": ["thing 4, late"]})
    assert desk.found("thing 4")[-1].key == "late"


def test_a_history_of_ids_and_pictures_can_be_taken_apart(tmp_path: Path) -> None:
    seen = PictureRun(tmp_path)
    recommender = seen.held().recommender
    desk = Desk([Side("run", lambda: recommender)], seen.dataset)
    own = Item("your item 1", image=drawn(50))
    page = desk.strip(["i3", own, "gone", "i5"])
    assert items_in(page) == ["0", "1", "3"], "places; what the catalog does not hold is not shown"
    assert page.count('data-do="drop"') == 3
    assert 'src="v1/items/i3/thumbnail?side=256"' in page
    assert page.count("data:image/jpeg;base64,") == 1
    assert "i5" in items_in(desk.lists(["i3", own], Wishes(k=12))[0])


def test_a_new_item_has_neighbours_and_an_audience(tmp_path: Path) -> None:
    seen = PictureRun(tmp_path)
    recommender = seen.held().recommender
    desk = Desk([Side("run", lambda: recommender)], seen.dataset)
    (page,) = desk.nearest(Item("x", image=drawn(4)))
    assert items_in(page)[0] == "i4", "its own picture is nearest"
    (who,) = desk.audience(Item("x", image=drawn(4)))
    assert "Of 10 users it would be among the first 10 for" in who
    assert "there are 13 items" in who
    assert who.count("their last items") == 6
    with pytest.raises(DataError):
        desk.nearest(Item("x", text="a model that reads no text"))


def test_everything_from_data_is_escaped() -> None:
    evil = '<img src=x onerror="alert(1)">&\'"'
    card = Card(evil, evil, 'v1/"x', evil)
    reason = Reason(1.0, 0.5, {evil: 1.0}, ((evil, 0.5),))
    pages = [
        plain_cards([card, Card(evil, evil, "", evil)], do="add", label=evil, empty=""),
        ranked_cards([card], [Line(1, 0.5, reason, [evil], [evil])], empty=""),
        plain_cards([], do="", label="", empty=evil),
        message(evil),
    ]
    for page in pages:
        assert "<img src=x" not in page
        assert "onerror=" in page, "it is there, as text"
        assert 'onerror="' not in page
        assert 'v1/"' not in page


def test_ids_with_slashes_and_spaces_keep_their_pictures() -> None:
    catalog = Catalog.from_items([Item("a/b c?", image=drawn(1))])
    card = Card.of(catalog.items([0])[0], "x")
    assert card.picture == "v1/items/a%2Fb%20c%3F/thumbnail?side=256"


def test_reasons_say_shares_counts_and_what_is_near() -> None:
    card = Card("i1", "one", "", "words")
    mixed = Reason(1.0, -0.25, {"text": 0.3, "image": 0.7}, (("i9", 0.876),))
    page = ranked_cards([card], [Line(1, 0.5, mixed, ["nine"])], empty="")
    assert "image 70% · text 30% · counts -0.25" in page
    assert "near “nine” (0.88)" in page
    assert 'class="tr-image" style="width:70.0%"' in page
    assert "nothing of it could be read" in ranked_cards([card], [Line(1, 0.5, Reason(0, 0, {}, ()))], empty="")
