"""Times as they are written in public tables, against Python's own datetime."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transrec.data.times import UNKNOWN_TIME, seconds, whole_seconds


def converted(values: list[object], kind: pl.DataType | None = None) -> list[float | None]:
    frame = pl.DataFrame({"time": pl.Series(values, dtype=kind)})
    return frame.select(seconds("time", frame.schema["time"]).alias("time"))["time"].to_list()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1260759108", 1260759108.0),
        (" 12.5 ", 12.5),
        ("2020-09-16", 1600214400.0),
        ("2020-09-16 12:30", 1600259400.0),
        ("2020-09-16T12:30:00Z", 1600259400.0),
        ("2020-09-16T12:30:00.250Z", 1600259400.25),
        ("2020-09-16T12:30:00+02:00", 1600252200.0),
        ("2020-09-16T12:30:00-0530", 1600279200.0),
        ("1969-12-31T23:59:59Z", -1.0),
    ],
)
def test_numbers_and_dates_become_seconds_in_utc(written: str, expected: float) -> None:
    assert converted([written]) == [expected]


@pytest.mark.parametrize(
    "written", ["", "soon", "2020-13-01", "2020-02-30", "2020-09-16 25:00", "nan", "inf", "16/09/2020", None]
)
def test_what_is_no_time_is_null(written: str | None) -> None:
    assert converted([written], pl.String()) == [None]


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
)
def test_agrees_with_python_on_any_date_and_zone(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    [found] = converted([aware.isoformat()])
    assert found == pytest.approx(aware.timestamp(), abs=1e-5)


def test_columns_of_dates_and_numbers() -> None:
    moment = datetime(2020, 9, 16, 12, 30, tzinfo=UTC)
    assert converted([moment], pl.Datetime("ms", "Asia/Tokyo")) == [1600259400.0]
    assert converted([moment.date()], pl.Date()) == [1600214400.0]
    assert converted([3, None], pl.Int64()) == [3.0, None]
    assert converted([float("nan"), 2.0]) == [None, 2.0]
    assert converted([timedelta(seconds=3)], pl.Duration()) == [None]


def test_whole_seconds_round_down_and_keep_what_is_unknown() -> None:
    times = np.array([0.0, 1.9, -0.5, np.nan, np.inf, -1e300, 1.6e9 + 0.999])
    largest = 2**61
    assert whole_seconds(times).tolist() == [0, 1, -1, UNKNOWN_TIME, largest, -largest, 1_600_000_000]
    assert whole_seconds(times).dtype == np.int64
