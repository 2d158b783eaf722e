"""The map of items: the plane, and what the colours mean."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from transrec.reports.places import KINDS, OTHER, by_column, by_popularity, drawn_map, flattened


def test_the_plane_holds_what_varies_most() -> None:
    generator = np.random.default_rng(0)
    vectors_nD = generator.normal(size=(200, 6)) * np.array([0.1, 5, 0.1, 2, 0.1, 0.1]) + 7
    places_n2, share = flattened(vectors_nD)
    centred_nD = vectors_nD - vectors_nD.mean(axis=0)
    assert share > 0.99
    assert abs(np.corrcoef(places_n2[:, 0], centred_nD[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(places_n2[:, 1], centred_nD[:, 3])[0, 1]) > 0.99
    assert places_n2.var(axis=0) == pytest.approx(np.linalg.svd(centred_nD)[1][:2] ** 2 / 200)


@pytest.mark.parametrize("vectors_nD", [np.ones((1, 4)), np.ones((3, 4)), np.arange(3.0)[:, None]])
def test_little_to_draw_is_drawn(vectors_nD: np.ndarray) -> None:
    found = drawn_map(vectors_nD, {0: "a"}, by_popularity(np.zeros(len(vectors_nD), dtype=np.int64)))
    assert len(found.dots) == 1 and np.isfinite([found.dots[0].x, found.dots[0].y, found.share]).all()


def test_popularity_has_steps() -> None:
    assert by_popularity(np.array([0, 1, 4, 5, 19, 20, 100, 9999])).codes_V.tolist() == [0, 1, 1, 2, 2, 3, 4, 4]


def test_rare_values_of_a_column_share_a_colour() -> None:
    values = pl.Series("kind", [str(n) for n in range(KINDS + 3) for _ in range(KINDS + 3 - n)] + [None])
    found = by_column(values)
    assert found.legend == [*map(str, range(KINDS)), OTHER] and not found.ordered
    assert set(found.codes_V[-7:].tolist()) == {KINDS}


def test_numbers_of_a_column_are_ordered() -> None:
    found = by_column(pl.Series("price", [*map(float, range(100)), None]))
    assert found.ordered and found.legend[-1] == "none" and np.bincount(found.codes_V).tolist() == [20, 20, 20, 20, 20, 1]
