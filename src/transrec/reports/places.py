"""The map: item vectors on a plane, each a dot with its title, coloured by a column of the catalog or by popularity.

Axes: V items, D width, n items that are drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.linalg import eigh

KINDS = 8
"""Values of a column that have a colour of their own; the rarer ones share one."""
OTHER = "other"
STEPS = 5
"""Colours of numbers, from few to many."""
POPULARITY = ((0, "0 training events"), (1, "1-4"), (5, "5-19"), (20, "20-99"), (100, "100 and more"))
"""Lower ends of the steps of popularity, and what they are called."""
WIDTH, HEIGHT, MARGIN = 900.0, 600.0, 14.0
"""Of the drawing."""


@dataclass(frozen=True, slots=True)
class Dot:
    """An item on the map.

    Attributes:
        x: place from the left.
        y: place from the top.
        colour: the place of its colour in the legend.
        title: what people are shown.
    """

    x: float
    y: float
    colour: int
    title: str


@dataclass(frozen=True, slots=True)
class Map:
    """Item vectors on a plane.

    Attributes:
        dots: the items that are drawn.
        legend: what the colours mean, in order.
        ordered: whether the colours go from few to many.
        by: what they are the colours of.
        items: how many items there are, drawn or not.
        share: of the variance, that the plane shows.
    """

    dots: Sequence[Dot]
    legend: Sequence[str]
    ordered: bool
    by: str
    items: int
    share: float
    width: float = WIDTH
    height: float = HEIGHT


@dataclass(frozen=True, slots=True)
class Colours:
    """What items are coloured by.

    Attributes:
        codes_V: the place of each item's colour in the legend, int64.
        legend: what the colours mean.
        ordered: whether they go from few to many.
        by: what it is.
    """

    codes_V: np.ndarray
    legend: Sequence[str]
    ordered: bool
    by: str


def flattened(vectors_nD: np.ndarray) -> tuple[np.ndarray, float]:
    """Vectors on the plane of their two principal components, and the share of the variance that it shows.

    Args:
        vectors_nD: at least one.

    Returns:
        places of shape (n, 2), and a share; each axis points where the largest of its loadings is positive.
    """
    centred_nD = vectors_nD.astype(np.float64) - vectors_nD.mean(axis=0, dtype=np.float64)
    width = centred_nD.shape[1]
    covariance_DD = centred_nD.T @ centred_nD
    first = max(width - 2, 0)
    _, axes_D2 = eigh(covariance_DD, subset_by_index=(first, width - 1))
    axes_D2 = axes_D2[:, ::-1]
    axes_D2 = axes_D2 * np.sign(axes_D2[np.abs(axes_D2).argmax(axis=0), np.arange(axes_D2.shape[1])])
    places_n2 = centred_nD @ axes_D2
    if width == 1:
        places_n2 = np.column_stack([places_n2, np.zeros(len(places_n2))])
    whole = float(np.trace(covariance_DD))
    return places_n2, float((places_n2**2).sum() / whole) if whole > 0 else 1.0


def by_popularity(counts_V: np.ndarray) -> Colours:
    """Items by how often training saw them."""
    edges = [edge for edge, _ in POPULARITY]
    codes_V = np.searchsorted(edges, counts_V, side="right") - 1
    return Colours(codes_V.astype(np.int64), [name for _, name in POPULARITY], True, "training events")


def by_column(values: pl.Series) -> Colours:
    """Items by a column: numbers in steps that hold equally many, other values by themselves as far as they are frequent.

    Args:
        values: one for each item, null where it has none.
    """
    if values.dtype.is_numeric() and values.n_unique() > KINDS:
        return _by_number(values)
    told = values.cast(pl.String, strict=False) if not values.dtype.is_nested() else values.map_elements(str, pl.String)
    told = told.fill_null("none")
    counts = told.value_counts(name="count").sort(["count", told.name], descending=[True, False])
    named = counts[told.name].to_list()[:KINDS]
    legend = [*named, *([OTHER] if len(counts) > KINDS else [])]
    place = {name: code for code, name in enumerate(named)}
    codes = np.array([place.get(name, len(named)) for name in told.to_list()], dtype=np.int64)
    return Colours(codes, legend, False, values.name)


def _by_number(values: pl.Series) -> Colours:
    numbers_V = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    known = numbers_V[np.isfinite(numbers_V)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, STEPS + 1)))
    steps = max(len(edges) - 1, 1)
    codes_V = np.clip(np.searchsorted(edges, numbers_V, side="right") - 1, 0, steps - 1)
    legend = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)] or [f"{edges[0]:.4g}"]
    unknown = ~np.isfinite(numbers_V)
    if unknown.any():
        legend.append("none")
        codes_V[unknown] = steps
    return Colours(codes_V.astype(np.int64), legend, True, values.name)


def drawn_map(vectors_VD: np.ndarray, titles: Mapping[int, str], colours: Colours) -> Map:
    """Some items on a plane that all of them decide.

    Args:
        vectors_VD: of all items.
        titles: by row, of those to draw.
        colours: of all items.
    """
    places_V2, share = flattened(vectors_VD)
    rows = np.fromiter(titles, dtype=np.int64)
    own_n2 = places_V2[rows]
    low, high = own_n2.min(axis=0), own_n2.max(axis=0)
    reach = np.where(high > low, high - low, 1.0)
    scaled_n2 = (own_n2 - low) / reach
    dots = [
        Dot(
            round(MARGIN + float(x) * (WIDTH - 2 * MARGIN), 1),
            round(HEIGHT - MARGIN - float(y) * (HEIGHT - 2 * MARGIN), 1),
            int(colours.codes_V[row]),
            titles[row],
        )
        for row, (x, y) in zip(rows.tolist(), scaled_n2, strict=True)
    ]
    return Map(dots, colours.legend, colours.ordered, colours.by, len(vectors_VD), share)
