"""Items that cannot be added to a recommender are refused, and neither its catalog nor its journal knows of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from corruption.broken import digests

from transrec.data.item import Item
from transrec.errors import DataError
from transrec.serving.recommender import Recommender

GOOD = Item(id="good", vectors={"given": np.ones(4)})


@pytest.mark.parametrize(
    ("item", "columns", "told"),
    [
        (Item(id="n", vectors={"given": np.ones(7)}), {}, r"'given' have the shapes \[\(4,\), \(7,\)\] \[item 'n'\]"),
        (Item(id="n", vectors={"given": np.ones((2, 2))}), {}, r"'given' have the shapes .* \[item 'n'\]"),
        (Item(id="n", vectors={"given": np.array([1, 2, np.nan, 4])}), {}, "'given' of item 'n' holds nan at place 2"),
        (Item(id="n", vectors={"given": np.array([1, 2, np.inf, 4])}), {}, "'given' of item 'n' holds inf at place 2"),
        (Item(id="n", vectors={"colours": np.ones(3)}), {}, "'n'"),
        (Item(id="n", image=b"no picture"), {}, "'n'"),
        (Item(id="i0", text="another thing"), {}, "in the catalog already, for example 'i0'"),
        (GOOD, {}, "more than once, for example 'good'"),
        (Item(id="n", text="a thing"), {"price": ["1", [2]]}, "the column 'price' cannot be kept"),
        (Item(id="n", text="a thing"), {"price": ["1"]}, "'price' has 1 values"),
    ],
)
def test_none_is_added(item: Item, columns: dict[str, list[object]], told: str, folder: Path) -> None:
    recommender = Recommender.load(folder / "run")
    before = digests(folder)
    with pytest.raises(DataError, match=told) as refused:
        recommender.add([GOOD, item], columns)
    assert refused.value.remedy
    recommender.close()
    assert "good" not in Recommender.load(folder / "run").catalog
    assert digests(folder) == before
