"""Given vectors, from lists and from text."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from transrec.data.ingest.vectors import parse_vector, vector_widths
from transrec.data.reading.findings import Reason, Trouble
from transrec.data.reading.tables import find_tables
from transrec.errors import DataError


@pytest.mark.parametrize("value", [[1, 2.5], "1 2.5", "1, 2.5", "[1, 2.5]", "1;2.5", np.array([1, 2.5])])
def test_lists_and_text(value: object) -> None:
    vector = parse_vector(value)
    assert isinstance(vector, np.ndarray)
    assert (vector.dtype, vector.tolist()) == (np.float32, [1, 2.5])


@pytest.mark.parametrize("value", ["a b", [[1], [2]], [], "[1,", [float("inf")], "nan 1", ["x"], {"a": 1}])
def test_what_is_no_vector(value: object) -> None:
    found = parse_vector(value)
    assert isinstance(found, Trouble)
    assert found.reason is Reason.BAD_VECTOR


@pytest.mark.parametrize("value", [None, "", "  "])
def test_nothing_is_no_vector_and_no_trouble(value: object) -> None:
    assert parse_vector(value) is None


def test_the_first_vector_decides_the_width(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a", "b", "c"], "v": [None, [1.0, 2.0], [1.0]], "w": [None, None, None]}).write_parquet(
        tmp_path / "t.parquet"
    )
    found = find_tables([tmp_path / "t.parquet"], what="items")
    assert vector_widths(found, {"own": "v"}) == {"own": 2}
    with pytest.raises(DataError, match="'w' holds no vector"):
        vector_widths(found, {"own": "w"})
