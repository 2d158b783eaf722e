"""Catalogs: ids and rows, content on demand, in memory and on disk alike."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from transrec.data.catalog import Catalog, Item
from transrec.errors import DataError, UnknownItemError

ITEMS = [
    Item("a", text="A film"),
    Item("b", image=b"picture"),
    Item("c", text="both", image=b"other", vectors={"clip": np.array([1.0, 2.0], dtype=np.float32)}),
]


@pytest.fixture(params=["memory", "disk"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Catalog:
    made = Catalog.from_items(ITEMS, {"title": ["Film", None, None], "text": ["t", "u", "v"]})
    if request.param == "memory":
        return made
    made.save(tmp_path / "catalog.lance")
    return Catalog.open(tmp_path / "catalog.lance")


def test_rows_and_ids(catalog: Catalog) -> None:
    assert (len(catalog), catalog.row("c"), "b" in catalog, "z" in catalog) == (3, 2, True, False)
    assert catalog.rows(["c", "z", "a"]).tolist() == [2, -1, 0]
    with pytest.raises(UnknownItemError, match="'z' among its 3"):
        catalog.row("z")


def test_content_in_the_order_asked_for_also_twice(catalog: Catalog) -> None:
    found = catalog.items([2, 0, 2])
    assert [item.id for item in found] == ["c", "a", "c"]
    assert (found[0].text, found[0].image, found[1].image) == ("both", b"other", None)
    assert found[0].vectors["clip"].tolist() == [1, 2]
    assert found[0].vectors["clip"].dtype == np.float32


def test_presence_columns_and_titles(catalog: Catalog) -> None:
    assert catalog.modalities == ("text", "image", "clip")
    assert {name: present.tolist() for name, present in catalog.presence.items()} == {
        "text": [True, False, True],
        "image": [False, True, True],
        "clip": [False, False, True],
    }
    assert catalog.columns == ("title", "column_text")
    assert catalog.column("title").to_list() == ["Film", None, None]
    assert catalog.titles([0, 1, 2]) == ["Film", "[picture of b]", "both"]
    with pytest.raises(DataError, match="no column 'price'"):
        catalog.column("price")


def test_the_fingerprint_is_that_of_ids_and_content(catalog: Catalog) -> None:
    assert catalog.fingerprint == Catalog.from_items(ITEMS).fingerprint
    assert catalog.fingerprint != Catalog.from_items([*ITEMS[:2], Item("c", text="both")]).fingerprint
    assert catalog.fingerprint != Catalog.from_items([ITEMS[1], ITEMS[0], ITEMS[2]]).fingerprint
    assert catalog.content_keys[0] == ITEMS[0].content_key()


def test_append_keeps_rows_and_takes_new_modalities(catalog: Catalog) -> None:
    more = catalog.append([Item("d", vectors={"sound": np.zeros(3)})])
    assert more.ids == ["a", "b", "c", "d"]
    assert more.presence["clip"].tolist() == [False, False, True, False]
    assert more.presence["sound"].tolist() == [False, False, False, True]
    with pytest.raises(DataError, match="'a'"):
        catalog.append([Item("a", text="again")])


def test_mistakes_are_told() -> None:
    with pytest.raises(DataError, match="more than once"):
        Catalog.from_items([Item("x", text="1"), Item("x", text="2")])
    with pytest.raises(DataError, match="no catalog"):
        Catalog.open("nowhere")


@pytest.mark.parametrize("kind", ["polars", "pandas"])
def test_from_a_frame(tmp_path: Path, kind: str) -> None:
    (tmp_path / "1.jpg").write_bytes(b"picture")
    data = {"item_id": [1, 2], "title": ["One", None], "picture": [None, "1.jpg"], "vec": [[1.0, 2.0], None]}
    frame = pl.DataFrame(data) if kind == "polars" else pd.DataFrame(data)
    catalog = Catalog.from_frame(frame, text="title", image="picture", vectors={"v": "vec"}, image_folder=tmp_path)
    one, two = catalog.items([0, 1])
    assert (one.id, one.text, one.image, one.vectors["v"].tolist()) == ("1", "One", None, [1, 2])
    assert (two.id, two.text, two.image, two.vectors) == ("2", None, b"picture", {})
    assert catalog.columns == ("title",)
    with pytest.raises(DataError, match="cannot be read"):
        Catalog.from_frame(frame, text="title", image="picture", image_folder=tmp_path / "elsewhere")
    with pytest.raises(TypeError):
        Catalog.from_frame([1])  # type: ignore[arg-type]
