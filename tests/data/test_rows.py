"""Rows that are appended read as one table, wherever they are."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transrec.data.catalog import Catalog, Item
from transrec.data.rows import Appended, InMemory

FIRST = pa.table({"id": ["a", "b", "c"], "n": [1, 2, 3], "only_first": [True, False, True]})
THEN = pa.table({"id": ["d", "e"], "n": [4, 5], "only_then": ["x", "y"]})
COLUMNS = ["id", "n", "only_first", "only_then"]


@given(rows=st.lists(st.integers(0, 4), max_size=8), columns=st.lists(st.sampled_from(COLUMNS), min_size=1, unique=True))
@settings(max_examples=60)
def test_reads_as_one_table(rows: list[int], columns: list[str]):
    both = Appended(InMemory(FIRST), 3, InMemory(THEN))
    whole = pa.concat_tables([FIRST, THEN], promote_options="permissive")
    assert both.schema.names == whole.schema.names
    assert both.read(columns).to_pydict() == whole.select(columns).to_pydict()
    assert both.take(rows, columns).to_pydict() == whole.select(columns).take(pa.array(rows, pa.int64())).to_pydict()


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_catalog_grows_without_reading_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_disk: bool):
    catalog = Catalog.from_items([Item(id=f"i{n}", text=f"text {n}") for n in range(4)], {"title": list("wxyz")})
    if on_disk:
        catalog.save(tmp_path / "catalog.lance")
        catalog = Catalog.open(tmp_path / "catalog.lance")
    read = []
    inner = catalog._rows.read
    monkeypatch.setattr(catalog._rows, "read", lambda columns: read.append(set(columns)) or inner(columns))
    grown = catalog.append([Item(id="new", vectors={"clip": np.ones(2)})]).append([Item(id="newer", text="newest")])
    assert not any("text" in columns or "image" in columns for columns in read)
    assert grown.ids == ["i0", "i1", "i2", "i3", "new", "newer"]
    assert [item.text for item in grown.items([5, 0, 4])] == ["newest", "text 0", None]
    assert grown.items([4])[0].vectors["clip"].tolist() == [1.0, 1.0]
    assert grown.presence["clip"].tolist() == [False] * 4 + [True, False]
    assert grown.presence["text"].tolist() == [True] * 4 + [False, True]
    assert grown.column("title").to_list() == ["w", "x", "y", "z", None, None]
    grown.save(tmp_path / "grown.lance")
    assert Catalog.open(tmp_path / "grown.lance").fingerprint == grown.fingerprint
