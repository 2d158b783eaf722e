"""Interactions: grouped by user, oldest first, equal however they came."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transrec.data.catalog import Catalog, Item
from transrec.data.interactions import Interactions
from transrec.errors import DataError

CATALOG = Catalog.from_items([Item(name, text=name) for name in "xyz"])
DATA = {"user_id": ["b", "a", "b", "a"], "item_id": ["x", "y", "z", "x"], "timestamp": [5, 2, 5, 1]}


@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame])
def test_groups_by_user_oldest_first_ties_as_they_came(make) -> None:
    found = Interactions.from_frame(make(DATA), CATALOG)
    assert found.users.to_list() == ["a", "b"]
    assert found.rows.tolist() == [0, 1, 0, 2]
    assert (found.offsets.tolist(), found.lengths.tolist()) == ([0, 2, 4], [2, 2])
    assert found.history(1).tolist() == [0, 2]
    assert (len(found), found.weights) == (4, None)


def test_arrays_cannot_be_changed() -> None:
    found = Interactions.from_frame(pl.DataFrame(DATA), CATALOG)
    for array in (found.rows, found.times, found.offsets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 9


@pytest.mark.parametrize("times", [["1970-01-01T01:00:05+01:00"], [datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)], ["5"], [5.0]])
def test_times_are_numbers_or_dates(times: list[object]) -> None:
    frame = pl.DataFrame({"user_id": ["a"], "item_id": ["x"], "timestamp": times})
    assert Interactions.from_frame(frame, CATALOG).times.tolist() == [5.0]


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("user_id", None, "no usable user"),
        ("timestamp", "soon", "no usable time"),
        ("timestamp", float("nan"), "no usable time"),
        ("item_id", "q", "'q'"),
    ],
)
def test_a_bad_value_is_an_error_not_a_loss(column: str, value: object, told: str) -> None:
    data = {"user_id": ["a", "a"], "item_id": ["x", "y"], "timestamp": ["1", "2"] if value == "soon" else [1.0, 2.0]}
    data[column] = [data[column][0], value]
    with pytest.raises(DataError, match=told):
        Interactions.from_frame(pl.DataFrame(data), CATALOG)
    with pytest.raises(DataError, match="no column 'when'"):
        Interactions.from_frame(pl.DataFrame(data), CATALOG, time="when")


events = st.lists(st.tuples(st.sampled_from("aBcé"), st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=20)


@given(events)
def test_sorting_is_stable_and_left_out_only_when_needless(rows: list[tuple[str, int, int]]) -> None:
    table = pl.DataFrame(rows, schema={"user": pl.String, "row": pl.Int64, "time": pl.Float64}, orient="row")
    expected = sorted(rows, key=lambda row: (row[0].encode(), row[2]))
    for given_rows in (table, table.sort("user", "time", maintain_order=True)):
        found = Interactions.from_columns(given_rows)
        assert found.to_frame().rows() == [(user, row, float(time)) for user, row, time in expected]


def test_saved_and_opened_is_the_same(tmp_path: Path) -> None:
    frame = pl.DataFrame(DATA).with_columns(rating=pl.Series([1.0, 2.0, 3.0, 4.5]))
    found = Interactions.from_frame(frame, CATALOG, weight="rating")
    found.save(tmp_path / "i.parquet")
    again = Interactions.open(tmp_path / "i.parquet")
    assert again.fingerprint() == found.fingerprint()
    assert again.weights is not None
    assert again.weights.dtype == np.float32
    assert again.weights.tolist() == [4.5, 2, 1, 3]
    with pytest.raises(DataError, match="no interactions"):
        Interactions.open(tmp_path / "none.parquet")


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": ["b", "a", "b", "c"]},
        {"item_id": ["x", "y", "z", "y"]},
        {"timestamp": [5, 2, 5, 0]},
        {"rating": [1, 2, 3, 5]},
    ],
)
def test_the_fingerprint_changes_with_any_event(change: dict[str, list[object]]) -> None:
    data = {**DATA, "rating": [1, 2, 3, 4]}
    prints = [
        Interactions.from_frame(pl.DataFrame(d), CATALOG, weight="rating").fingerprint() for d in (data, {**data, **change})
    ]
    assert prints[0] != prints[1]


def test_none_at_all() -> None:
    empty = Interactions.from_columns(pl.DataFrame(schema={"user": pl.String, "row": pl.Int64, "time": pl.Float64}))
    assert (len(empty), empty.offsets.tolist(), empty.to_frame().height) == (0, [0], 0)
