"""The MovieLens folders of GroupLens: ``ratings.csv`` (2015 and later), ``ratings.dat`` (1M, 10M) and ``u.data`` (100K)."""

from __future__ import annotations

from pathlib import Path

from transrec.data.reading.delimited import Format
from transrec.data.sources.layout import Layout
from transrec.errors import DataError

_RATING = ("user_id", "movie_id", "rating", "timestamp")
_GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
_ROLES = {"user": "user_id", "item": "movie_id", "time": "timestamp", "weight": "rating", "id": "movie_id"}


def movielens(folder: Path) -> Layout:
    """One of the three layouts in which GroupLens publishes MovieLens.

    Raises:
        DataError: the folder holds none of them.
    """
    for needed, layout in (
        (("ratings.csv", "movies.csv"), _csv),
        (("ratings.dat", "movies.dat"), _dat),
        (("u.data", "u.item"), _100k),
    ):
        if all((folder / name).is_file() for name in needed):
            return layout(folder)
    raise DataError(
        "this folder holds no MovieLens data",
        where=str(folder),
        remedy="it should hold ratings.csv and movies.csv, or ratings.dat and movies.dat, or u.data and u.item",
    )


def _csv(folder: Path) -> Layout:
    roles = {"user": "userId", "item": "movieId", "time": "timestamp", "weight": "rating", "id": "movieId"}
    return Layout(
        (folder / "ratings.csv",),
        (folder / "movies.csv",),
        roles={**roles, "text": "{title}. {genres}"},
        lists={"genres": "|"},
    )


def _dat(folder: Path) -> Layout:
    # 1M is Latin-1, 10M is UTF-8, and nothing in the folder says which: the bytes do
    movies = folder / "movies.dat"
    try:
        movies.read_bytes().decode()
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = "latin-1"
    ratings = Format(separator="::", header=_RATING, headless=True, quoted=False)
    items = Format(separator="::", header=("movie_id", "title", "genres"), headless=True, quoted=False, encoding=encoding)
    return Layout(
        (folder / "ratings.dat",),
        (movies,),
        ratings,
        items,
        {**_ROLES, "text": "{title}. {genres}"},
        lists={"genres": "|"},
    )


def _100k(folder: Path) -> Layout:
    ratings = Format(separator="\t", header=_RATING, headless=True, quoted=False)
    names = ("movie_id", "title", "release_date", "video_release_date", "imdb_url", *_GENRES_100K)
    items = Format(separator="|", header=names, headless=True, quoted=False, encoding="latin-1")
    return Layout((folder / "u.data",), (folder / "u.item",), ratings, items, {**_ROLES, "text": "title"})
