from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from transrec.data.histories import Histories
from transrec.data.interactions import Interactions
from transrec.data.splits import leave_one_out
from transrec.data.times import UNKNOWN_TIME

LISTS = st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=6)


def as_lists(histories: Histories) -> list[list[int]]:
    pairs = zip(histories.offsets[:-1], histories.offsets[1:], strict=True)
    return [histories.rows[start:stop].tolist() for start, stop in pairs]


@given(LISTS, st.integers(1, 4), st.integers(0, 6), st.integers(0, 6))
def test_views_of_histories_are_those_of_lists(lists: list[list[int]], length: int, start: int, stop: int) -> None:
    histories = Histories.from_lists(lists)
    start, stop = sorted((min(start, len(lists)), min(stop, len(lists))))
    assert as_lists(histories) == lists
    assert as_lists(histories.last(length)) == [rows[-length:] for rows in lists]
    assert as_lists(histories.block(start, stop)) == lists[start:stop]
    assert as_lists(histories.block(start, stop).last(length)) == [rows[-length:] for rows in lists[start:stop]]
    assert histories.owners.tolist() == [user for user, rows in enumerate(lists) for _ in rows]


@given(LISTS)
def test_padding_keeps_order_and_stands_on_the_right(lists: list[list[int]]) -> None:
    rows_BL, mask_BL = Histories.from_lists(lists).padded()
    assert rows_BL.shape == mask_BL.shape == (len(lists), max([len(rows) for rows in lists] + [1]))
    for rows, row, mask in zip(lists, rows_BL, mask_BL, strict=True):
        assert row[mask].tolist() == rows
        assert mask.tolist() == sorted(mask.tolist(), reverse=True)
        assert not row[~mask].any()


def test_the_history_of_a_target_is_what_its_user_did_before() -> None:
    table = pl.DataFrame({"user": ["a"] * 4 + ["b"] * 2 + ["c"] * 3, "row": [3, 1, 4, 1, 5, 9, 2, 6, 5], "time": range(9)})
    split = leave_one_out(Interactions.from_columns(table.with_columns(pl.col("time").cast(pl.Float64))))
    assert as_lists(Histories.before(split.interactions, split.validation)) == [[3, 1], [2]]
    assert as_lists(Histories.before(split.interactions, split.test)) == [[3, 1, 4], [2, 6]]
    assert np.array_equal(split.interactions.rows[split.test.positions], [1, 5])


def test_times_go_where_their_rows_go() -> None:
    table = pl.DataFrame({"user": ["a"] * 4 + ["b"] * 2 + ["c"] * 3, "row": [3, 1, 4, 1, 5, 9, 2, 6, 5], "time": range(9)})
    split = leave_one_out(Interactions.from_columns(table.with_columns(pl.col("time").cast(pl.Float64) + 0.5)))
    histories = Histories.before(split.interactions, split.test, times=True)
    assert histories.times is not None and histories.times.tolist() == [0, 1, 2, 6, 7], "and not those of the targets"
    assert np.array_equal(histories.rows, Histories.before(split.interactions, split.test).rows)
    newest, second = histories.last(2), histories.block(1, 2)
    assert newest.times is not None and newest.times.tolist() == [1, 2, 6, 7]
    assert second.times is not None and second.times.tolist() == [6, 7]
    padded = histories.padded_times()
    assert padded is not None and padded.tolist() == [[0, 1, 2], [6, 7, UNKNOWN_TIME]]


def test_nobody_has_times_who_did_not_ask() -> None:
    histories = Histories.from_lists([[1, 2], [3]])
    parts = (histories, histories.last(1), histories.block(0, 1))
    assert all(part.times is None and part.padded_times() is None for part in parts)
