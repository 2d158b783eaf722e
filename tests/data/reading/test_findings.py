"""Findings are counted, listed with their rows, and each has a remedy."""

import polars as pl
import pytest

from transrec.data.reading.findings import REMEDIES, SCHEMA, Findings, Place, Reason, Trouble
from transrec.errors import DataError


@pytest.fixture
def findings() -> Findings:
    found = Findings()
    found.add(Place("items", "i.csv", 7, 8), Trouble(Reason.BAD_PICTURE, "[broken]"), kept=True)
    found.add_frame(
        "interactions",
        Reason.BAD_TIME,
        pl.DataFrame({"file": ["e.csv"] * 2, "row": [4, 2], "line": [5, 3], "detail": ["x", "y"]}),
    )
    return found


def test_every_reason_has_a_remedy() -> None:
    assert set(REMEDIES) == set(Reason)


def test_counts_and_rows(findings: Findings) -> None:
    assert len(findings) == 3
    assert [(t.table, t.reason, t.dropped, t.kept) for t in findings.tallies()] == [
        ("interactions", Reason.BAD_TIME, 2, 0),
        ("items", Reason.BAD_PICTURE, 0, 1),
    ]
    frame = findings.frame()
    assert dict(frame.schema) == SCHEMA
    assert frame.select("file", "row", "line").rows() == [("e.csv", 2, 3), ("e.csv", 4, 5), ("i.csv", 7, 8)]
    assert Findings.of(frame).frame().equals(frame)


def test_strict_tells_all_reasons_and_a_place(findings: Findings) -> None:
    with pytest.raises(DataError, match=r"3 findings.*bad or missing time \(2\).*unreadable picture \(1\).*e.csv, row 4: x"):
        findings.raise_if_any()
    Findings().raise_if_any()


def test_nothing_found_is_an_empty_table_of_the_same_columns() -> None:
    assert dict(Findings().frame().schema) == SCHEMA
    assert Findings().tallies() == []
