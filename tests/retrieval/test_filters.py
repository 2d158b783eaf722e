"""Filters: what they let through is what Python says, and nothing but comparisons goes through."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transrec.data.catalog import Catalog, Item
from transrec.errors import DataError
from transrec.retrieval.filters import allowed_by

PRICES = [1.0, None, 60.0, 49.5, float("nan")]
STOCK = [True, False, None, True, True]
NAMES = ["a", "lamp x", "it's", None, "Lamp"]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    items = [Item(id=f"i{n}", text="t") for n in range(5)]
    columns = {"price": PRICES, "in_stock": STOCK, "name": NAMES, "a b": [1, 2, 3, 4, 5], "tags": [["x"]] * 5}
    return Catalog.from_items(items, columns)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("in_stock = true and price < 50", [0, 3]),
        ("IN_STOCK = true", None),
        ("in_stock", [0, 3, 4]),
        ("not in_stock", [1]),
        ("price is null", [1, 4]),
        ("price is not null", [0, 2, 3]),
        ("price in (1, 60)", [0, 2]),
        ("price not in (1, 60)", [3]),
        ("price between 2 and 50", [3]),
        ("price > 5", [2, 3]),
        ("name like 'lamp%'", [1]),
        ("name ilike 'lamp%'", [1, 4]),
        ("name = 'it''s'", [2]),
        ("\"a b\" >= 4 or id = 'i0'", [0, 3, 4]),
        ("price>-5", [0, 2, 3]),
        ("(name = 'a' or price = 49.5) and not (in_stock = false)", [0, 3]),
        ("true", [0, 1, 2, 3, 4]),
        ("null", []),
    ],
)
def test_what_goes_through(catalog: Catalog, where: str, rows: list[int] | None) -> None:
    if rows is None:
        with pytest.raises(DataError, match="no column 'IN_STOCK'"):
            allowed_by(where, catalog)
    else:
        assert np.flatnonzero(allowed_by(where, catalog)).tolist() == rows


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("colour = 'red'", "no column 'colour'.*columns are id, price, in_stock, name, a b"),
        ("lower(name) = 'a'", "no column 'lower'"),
        ("price(1) = 1", "functions cannot be called"),
        ("read_csv('secrets.csv')", "no column 'read_csv'"),
        ("name in (select name from t)", "no column 'select'"),
        ("price - 5 < 3", "cannot stand in a filter"),
        ("price -5 < 3", "'-5' follows"),
        ("price < 5 5", "'5' follows"),
        ("price; drop", "cannot stand"),
        ("", "empty"),
        ("price <", "cannot be used"),
        ("(price < 5", "cannot be used"),
        ("price", "not true or false"),
        ("name < 5", "cannot be used.*name holds String"),
        ("tags = 1", "cannot be used.*tags holds List"),
        ("name like name", "cannot be used"),
        ("(" * 40 + "true" + ")" * 40, "deep"),
        ("true or " * 1000 + "true", "characters"),
        ("'open", "cannot stand"),
    ],
)
def test_what_is_refused(catalog: Catalog, where: str, said: str) -> None:
    with pytest.raises(DataError, match="(?s)" + said):
        allowed_by(where, catalog)


def test_columns_of_items_that_came_later_count(catalog: Catalog) -> None:
    assert allowed_by("price < 2", catalog).sum() == 1
    more = catalog.append([Item(id="new", text="t"), Item(id="bare", text="t")], {"price": [0.5, None]})
    assert np.flatnonzero(allowed_by("price < 2", more)).tolist() == [0, 5]
    assert len(allowed_by("price < 2", catalog)) == 5


_COMPARISONS = st.builds(
    lambda op, value: (f"price {op} {value}", lambda p: p is not None and p == p and _compare(op, p, value)),
    st.sampled_from(["<", "<=", ">", ">=", "=", "<>"]),
    st.integers(-3, 70),
)


def _compare(op: str, left: float, right: float) -> bool:
    return {
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
        "=": left == right,
        "<>": left != right,
    }[op]


def _joined(two: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(
        st.builds(lambda a, b: (f"({a[0]} and {b[0]})", lambda p: a[1](p) and b[1](p)), two, two),
        st.builds(lambda a, b: (f"({a[0]} or {b[0]})", lambda p: a[1](p) or b[1](p)), two, two),
    )


@settings(max_examples=60)
@given(st.recursive(_COMPARISONS, _joined, max_leaves=6))
def test_any_filter_says_what_python_says(condition: tuple) -> None:
    where, holds = condition
    items = [Item(id=f"i{n}", text="t") for n in range(5)]
    found = allowed_by(where, Catalog.from_items(items, {"price": PRICES}))
    assert found.tolist() == [bool(holds(price)) for price in PRICES]


@settings(max_examples=300)
@given(st.text(alphabet="price in_stock()'\"<>=!,.-0123456789andornotlikebetweenisnull%;*/\\", max_size=60))
def test_any_text_is_a_filter_or_a_plain_error(where: str) -> None:
    items = [Item(id=f"i{n}", text="t") for n in range(5)]
    catalog = Catalog.from_items(items, {"price": PRICES, "in_stock": STOCK})
    with contextlib.suppress(DataError):
        assert len(allowed_by(where, catalog)) == 5
