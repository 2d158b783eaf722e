"""Amazon Reviews 2023 of the McAuley Lab: per category a file of reviews or of ratings, and one of products."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from transrec.data.reading import jsonlines
from transrec.data.reading.damage import told_of
from transrec.data.reading.recast import Recast
from transrec.data.sources.layout import Layout
from transrec.data.times import numbers
from transrec.errors import DataError

_EVENT = ("user_id", "parent_asin", "rating", "timestamp")
_PRODUCT = (
    "parent_asin", "title", "features", "description", "main_category", "categories", "store", "price", "average_rating",
    "rating_number", "details", "images",
)  # fmt: skip
_NEEDED = ("parent_asin", "title", "features", "description", "images")
_ROLES = {
    "user": "user_id",
    "item": "parent_asin",
    "time": "timestamp",
    "weight": "rating",
    "id": "parent_asin",
    "text": "{title}. {features}. {description}",
}
_WAYS = (("{}.jsonl",), ("{}.csv",), ("{}.train.csv", "{}.valid.csv", "{}.test.csv"))
"""The ways in which the events of a category are published; one is needed, each file plain or with ``.gz``."""
_SIZES = ("large", "hi_res", "thumb")  # large is about 500 pixels wide, hi_res three times that


def amazon2023(folder: Path) -> Layout:
    """Every ``meta_CATEGORY.jsonl`` in a folder or below it, with the events of its category.

    Events are the reviews ``CATEGORY.jsonl``, or the ratings of the benchmark: ``CATEGORY.csv``, or
    ``CATEGORY.train.csv`` with ``valid`` and ``test``. All may end in ``.gz``.

    Raises:
        DataError: there are no products, a category has no events, or a file is there more than once.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.jsonl*")) + sorted(folder.rglob("*.csv*")):
        files.setdefault(path.name.removesuffix(".gz"), []).append(path)
    products = {
        name.removeprefix("meta_").removesuffix(".jsonl"): _only(paths)
        for name, paths in files.items()
        if name.startswith("meta_") and name.endswith(".jsonl")
    }
    if not products:
        raise DataError(
            "this folder holds no meta_CATEGORY.jsonl or .jsonl.gz, so no Amazon Reviews 2023",
            where=str(folder),
            remedy="put the products of a category (meta_All_Beauty.jsonl.gz) beside its reviews (All_Beauty.jsonl.gz)",
        )
    events = tuple(path for category in products for path in _events(category, files, folder))
    items = tuple(products.values())
    return Layout(
        events,
        items,
        roles=_ROLES,
        addresses="photo_address",
        recasts={**dict.fromkeys(events, _RATINGS), **{path: _products(path) for path in items}},
    )


def _events(category: str, files: Mapping[str, list[Path]], folder: Path) -> list[Path]:
    """The files of a category's events."""
    names = [[part.format(category) for part in way] for way in _WAYS]
    there = [way for way in names if any(name in files for name in way)]
    if len(there) > 1:
        raise DataError(
            f"the events of {category} are here {len(there)} times: {' and '.join(way[0] for way in there)}",
            where=str(folder),
            remedy="give a folder in which they are once",
        )
    wanted = there[0] if there else names[0]
    if lacking := [name for name in wanted if name not in files]:
        raise DataError(
            f"the products of {category} are here, but there is no {lacking[0]} or {lacking[0]}.gz",
            where=str(folder),
            remedy="put the reviews or the ratings of the category beside its products",
        )
    return [_only(files[name]) for name in wanted]


def _only(paths: Sequence[Path]) -> Path:
    if len(paths) > 1:
        raise DataError(
            f"{paths[0].name} is here {len(paths)} times",
            where=" and ".join(map(str, paths)),
            remedy="give a folder in which it is once",
        )
    return paths[0]


def _products(path: Path) -> Recast:
    with told_of(path):
        there = jsonlines.columns(path)
    reads = tuple(name for name in _PRODUCT if name in there or name in _NEEDED)
    return Recast(reads, (*(name for name in reads if name != "images"), "photo_address"), _with_photo)


def _with_seconds(ratings: pl.LazyFrame) -> pl.LazyFrame:
    milliseconds = numbers(pl.col("timestamp"))
    return ratings.with_columns(timestamp=pl.coalesce((milliseconds / 1000).cast(pl.String), "timestamp"))


def _with_photo(products: pl.LazyFrame) -> pl.LazyFrame:
    photo = pl.col("images").map_elements(photo_address, return_dtype=pl.String)
    return products.with_columns(photo_address=photo).drop("images")


def photo_address(images: str) -> str | None:
    """The address of a product's main photo, else of its first, from the JSON list of its photos; None where it has none."""
    try:
        listed = json.loads(images)
    except ValueError:
        return None
    photos = [photo for photo in listed if isinstance(photo, dict)] if isinstance(listed, list) else []
    photos.sort(key=lambda photo: photo.get("variant") != "MAIN")
    return next((str(photo[size]) for photo in photos for size in _SIZES if photo.get(size)), None)


_RATINGS = Recast(_EVENT, _EVENT, _with_seconds)
