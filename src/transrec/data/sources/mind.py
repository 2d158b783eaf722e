"""MIND, Microsoft's news: ``behaviors.tsv`` and ``news.tsv`` of one or more of its folders (train, dev, test)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import polars as pl

from transrec.data.reading.delimited import Format
from transrec.data.reading.recast import Recast
from transrec.data.reading.tables import LINE, ROW
from transrec.data.sources.layout import Layout
from transrec.data.sources.mind_histories import BEHAVIORS, Histories, clicked, seconds
from transrec.errors import DataError

_NEWS = Format(
    separator="\t",
    header=("news_id", "category", "subcategory", "title", "abstract", "url", "title_entities", "abstract_entities"),
    headless=True,
    quoted=False,
)
_READS, _MADE = ("user_id", "time", "history", "impressions"), ("user_id", "news_id", "time")
_ROLES = {
    "user": "user_id",
    "item": "news_id",
    "time": "time",
    "weight": "none",
    "id": "news_id",
    "text": "{title}. {abstract}",
}
_REMEDY = "give a folder with behaviors.tsv and news.tsv, such as MINDsmall_train, or the folder that holds train and dev"


def mind(folder: Path) -> Layout:
    """Every ``behaviors.tsv`` in a folder or below it, each with the ``news.tsv`` beside it.

    Events are the clicks of the impressions (``N1`` of ``N1-1 N2-0``) at the time of the impression, and before them those
    of the histories: see :class:`~transrec.data.sources.mind_histories.Histories`.

    Raises:
        DataError: there is no ``behaviors.tsv``, one has no ``news.tsv`` beside it, or small and large are mixed.
    """
    behaviors = tuple(sorted(folder.rglob("behaviors.tsv")))
    if not behaviors:
        raise DataError("this folder holds no behaviors.tsv, so no MIND data", where=str(folder), remedy=_REMEDY)
    news = tuple(path.with_name("news.tsv") for path in behaviors)
    if lacking := [path.parent for path in news if not path.is_file()]:
        raise DataError("there is no news.tsv beside behaviors.tsv", where=str(lacking[0]), remedy=_REMEDY)
    below = " ".join(path.relative_to(folder).as_posix().lower() for path in behaviors)
    if "small" in below and "large" in below:
        raise DataError(
            "this folder holds the small MIND and the large one, of which the small one is a sample",
            where=str(folder),
            remedy="ingest one of the two",
        )
    histories = Histories(behaviors)
    recasts = {path: Recast(_READS, _MADE, partial(_events, histories=histories, path=path)) for path in behaviors}
    return Layout(behaviors, news, BEHAVIORS, _NEWS, _ROLES, recasts=recasts)


def _events(rows: pl.LazyFrame, *, histories: Histories, path: Path) -> pl.LazyFrame:
    """One event a row: what the histories of these rows add, then the clicks of the impressions."""
    clicks = rows.with_columns(news_id=clicked("impressions"), at=seconds("time")).explode("news_id")
    number = pl.col("news_id").list.len().cast(pl.Int64)
    past = (
        rows.join(histories.of(path).lazy(), on=ROW, how="inner", maintain_order="left")
        .with_columns(news_id=pl.coalesce("added", "history").str.extract_all(r"\S+"))
        # a second apart, the last one a second before the end
        .with_columns(at=pl.int_ranges(-number, 0))
        .explode("news_id", "at")
        .with_columns(at=pl.col("at") + pl.col("end"))
    )
    # as text, so that a time that cannot be read is told as it stands
    unread = pl.format("not like 11/15/2019 9:05:58 AM: {}", "time")
    told = pl.coalesce(pl.col("at").cast(pl.String), unread).alias("time")
    return pl.concat([part.drop_nulls("news_id").select(ROW, LINE, "user_id", "news_id", told) for part in (past, clicks)])
