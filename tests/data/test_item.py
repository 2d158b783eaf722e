"""Items: at least some content, and a key that tells contents apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transrec.data.item import Item, table_of_items
from transrec.errors import DataError


def test_an_item_has_some_content() -> None:
    with pytest.raises(DataError, match="no content"):
        Item("x")


def test_vectors_of_one_name_have_one_width() -> None:
    with pytest.raises(DataError, match="shapes"):
        table_of_items([Item("x", vectors={"v": np.zeros(2)}), Item("y", vectors={"v": np.zeros(3)})])


def test_further_columns_do_not_take_the_names_of_content() -> None:
    table = table_of_items([Item("x", text="t")], {"id": [1], "has_text": [2], "price": [3]})
    assert [table.column(name).to_pylist() for name in ("id", "column_id", "column_has_text", "price")] == [
        ["x"],
        [1],
        [2],
        [3],
    ]


@given(
    st.lists(
        st.tuples(st.none() | st.text(max_size=3), st.none() | st.binary(max_size=3)), unique=True, min_size=2, max_size=8
    )
)
def test_content_keys_differ_where_content_does(contents: list[tuple[str | None, bytes | None]]) -> None:
    items = [Item("x", text=text, image=image) for text, image in contents if text is not None or image is not None]
    assert len({item.content_key() for item in items}) == len(items)
