from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.growth import held_back, new_events, shared_items
from transrec.data.interactions import Interactions
from transrec.data.splits import leave_one_out
from transrec.errors import DataError

Events = list[tuple[str, str, int]]


def catalog(ids: str) -> Catalog:
    return Catalog.from_items([Item(own, vectors={"given": np.ones(2)}) for own in ids])


EARLIER, LATER = catalog("abcdef"), catalog("gfedcbhi")  # "a" is gone, rows are others, and there are new ones


def dataset(events: Events, items: Catalog) -> Dataset:
    table = pl.DataFrame(events, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Dataset(items, Interactions.from_frame(table, items))


def told(data: Dataset, chosen: np.ndarray) -> Events:
    """The chosen events by their ids."""
    table = data.interactions.to_frame().filter(pl.Series(chosen))
    return [(user, data.catalog.ids[row], int(time)) for user, row, time in table.iter_rows()]


@st.composite
def two_states(draw: st.DrawFn) -> tuple[Dataset, Dataset]:
    """A platform before and now: some earlier events are gone, some came late, most are new or were there."""
    line = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30)), min_size=3, max_size=7)
    before = [(user, item, time) for user in "xyz" for item, time in draw(line)]
    kept = [event for event in before if event[1] != "a" and draw(st.integers(0, 9))]
    since = draw(st.lists(st.tuples(st.sampled_from("wxyz"), st.sampled_from("bcghi"), st.integers(0, 60)), max_size=12))
    extra = [("always", item, time) for time, item in enumerate("bcdefg")]  # somebody is there to validate
    return dataset(before, EARLIER), dataset([*kept, *since, *extra], LATER)


@given(two_states())
def test_an_event_is_new_unless_it_has_trained_before(states: tuple[Dataset, Dataset]) -> None:
    before, now = states
    trained = leave_one_out(before.interactions)
    learned = set(told(before, trained.train_mask()))
    new_N = new_events(before, trained, now)
    assert [event not in learned for event in told(now, np.ones(len(new_N), dtype=bool))] == new_N.tolist()


@given(two_states(), st.sets(st.integers(0, 2)))
def test_who_is_kept_back_teaches_what_they_taught_before_and_no_more(
    states: tuple[Dataset, Dataset], users: set[int]
) -> None:
    before, now = states
    trained, split = leave_one_out(before.interactions), leave_one_out(now.interactions)
    held = held_back(split, now.catalog, before, trained, np.array(sorted(users), dtype=np.int64))
    names = set(before.interactions.users.gather(sorted(users)).to_list())
    learned = told(before, trained.train_mask())
    for user in now.interactions.users.to_list():
        ours = [item for name, item, _ in told(now, held.train_mask()) if name == user]
        whole = [item for name, item, _ in told(now, split.train_mask()) if name == user]
        taught = [item for name, item, _ in learned if name == user]
        if user not in names:
            assert ours == whole
        else:  # the longest beginning that the two lines share
            assert ours == taught[: len(ours)] == whole[: len(ours)]
            assert len(ours) == min(len(whole), len(taught)) or whole[len(ours)] != taught[len(ours)]
    validating = set(now.interactions.users.gather(held.validation.users).to_list())
    assert validating == set(now.interactions.users.gather(split.validation.users).to_list()) - names
    assert np.array_equal(held.test.positions, split.test.positions)


def test_somebody_has_to_validate() -> None:
    data = dataset([("x", "b", 1), ("x", "c", 2), ("x", "d", 3)], LATER)
    split = leave_one_out(data.interactions)
    with pytest.raises(DataError, match="all 1 users who validate are kept out"):
        held_back(split, data.catalog, data, split, np.array([0]))


def test_shared_items_are_those_of_the_smaller_catalog() -> None:
    assert shared_items(EARLIER, LATER) == pytest.approx(5 / 6)
    assert shared_items(catalog("xyz"), EARLIER) == 0
    assert shared_items(catalog("ab"), EARLIER) == 1
