"""Events against a plain Python loop that does the same, one row at a time."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transrec.data.ingest.choices import EventSettings, choose_event_columns
from transrec.data.ingest.events import Events, read_events
from transrec.data.reading.findings import Findings
from transrec.data.reading.tables import find_tables

IDS = ["i0", "i1", "i2"]
ALL = EventSettings()


def read(path: Path, wanted: EventSettings = ALL, **more: object) -> tuple[Events, Findings]:
    found = find_tables([path], what="interactions")
    findings = Findings()
    return read_events(found, choose_event_columns(found, wanted), wanted, IDS, findings, **more), findings  # type: ignore[arg-type]


def by_hand(rows: list[tuple[str, str, str]]) -> tuple[dict[str, list[tuple[float, int]]], list[tuple[int, str]]]:
    """Users with their sorted events, and the rows that are set aside with the reason."""
    users: dict[str, list[tuple[float, int]]] = {}
    rejected, seen = [], set()
    for number, (user, item, time) in enumerate(rows, start=1):
        if not user or not item or not time:
            rejected.append((number, "missing user" if not user else "missing item" if not item else "bad or missing time"))
        elif item not in IDS:
            rejected.append((number, "unknown item"))
        elif (user, item, time) in seen:
            rejected.append((number, "duplicate event"))
        else:
            seen.add((user, item, time))
            users.setdefault(user, []).append((float(time), IDS.index(item)))
    return {user: sorted(events, key=lambda event: event[0]) for user, events in sorted(users.items())}, rejected


row = st.tuples(
    st.sampled_from(["", "a", "b", "B", "é"]), st.sampled_from(["", "x", *IDS]), st.sampled_from(["", "1", "2", "3"])
)


@given(rows=st.lists(row, min_size=1, max_size=30), by_bytes=st.booleans())
def test_agrees_with_a_plain_loop(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], by_bytes: bool
) -> None:
    path = tmp_path_factory.mktemp("events") / "events.csv"
    # a quoted line break in the header's neighbour makes the file untidy, so both readers are tried
    extra = '"two\nlines",i0,1\n' if by_bytes else "two-lines,i0,1\n"
    path.write_text("user,item,time\n" + extra + "".join(",".join(own) + "\n" for own in rows))
    found, findings = read(path)
    users, rejected = by_hand([("two\nlines" if by_bytes else "two-lines", "i0", "1"), *rows])
    interactions = found.interactions
    assert interactions.users.to_list() == sorted(users)
    for at, user in enumerate(interactions.users):
        own = slice(interactions.offsets[at], interactions.offsets[at + 1])
        assert list(zip(interactions.times[own], interactions.rows[own], strict=True)) == users[user]
    assert findings.frame().select("row", "reason").rows() == rejected
    assert found.read == len(rows) + 1


def test_ties_keep_the_order_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("user,item,time\na,i2,5\na,i0,5\na,i1,1\n")
    assert read(path)[0].interactions.rows.tolist() == [1, 2, 0]


def test_dates_after_many_numbers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("user,item,time\n" + "".join(f"a,i0,{n}\n" for n in range(1500)) + "a,i1,1970-01-01T00:00:07Z\n")
    found, findings = read(path)
    assert len(findings) == 0
    assert found.interactions.times[found.interactions.rows == 1].tolist() == [7.0]


def test_disorder_counts_events_below_a_later_one(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("user,item,time\na,i0,2\nb,i0,9\na,i1,1\nb,i1,9\na,i2,3\n")
    assert read(path, count_disorder=True)[0].disorder == 1
    assert read(path)[0].disorder is None


def test_whole_floats_of_pandas_are_ids_without_a_point(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"user": [1.0, None], "item": ["i0", "i0"], "time": [1, 2]}).write_parquet(path)
    found, findings = read(path)
    assert found.interactions.users.to_list() == ["1"]
    assert findings.frame()["reason"].to_list() == ["missing user"]


def test_a_table_with_a_header_only(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("user,item,time\n")
    found, findings = read(path)
    assert (len(found.interactions), found.read, len(findings)) == (0, 0, 0)


def test_a_hundred_thousand_events_in_any_order(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    table = pl.DataFrame(
        {
            "user": [f"u{n}" for n in generator.integers(0, 3000, 100_000)],
            "item": [IDS[n] for n in generator.integers(0, 3, 100_000)],
            "time": generator.random(100_000),
        }
    )
    table.write_csv(tmp_path / "t.csv")
    found, _ = read(tmp_path / "t.csv")
    expected = table.sort("user", "time", maintain_order=True)
    assert found.interactions.users.to_list() == expected["user"].unique(maintain_order=True).to_list()
    assert found.interactions.rows.tolist() == [IDS.index(item) for item in expected["item"]]
