"""Histories of MIND: each click of a user's histories once, with a time that says no more than its place in order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import final

import polars as pl

from transrec.data.reading import tables
from transrec.data.reading.delimited import Format
from transrec.data.reading.findings import Findings
from transrec.data.reading.tables import ROW, Table

BEHAVIORS = Format(
    separator="\t", header=("impression_id", "user_id", "time", "history", "impressions"), headless=True, quoted=False
)
_FILE = 1 << 32  # a row of a file in one number: the file's number times this, plus the row


def seconds(column: str) -> pl.Expr:
    """Times such as 11/15/2019 9:05:58 AM as whole seconds since 1970, taken as UTC; null where they are none."""
    return pl.col(column).str.to_datetime("%m/%d/%Y %I:%M:%S %p", strict=False).dt.epoch("s")


def clicked(column: str) -> pl.Expr:
    """The news of an impression that were clicked, such as N1 of ``N1-1 N2-0``, as a list."""
    return pl.col(column).str.extract_all(r"\S+-1(?:\s|$)").list.eval(pl.element().str.strip_chars().str.strip_suffix("-1"))


@final
class Histories:
    """What the histories add to the clicks of the impressions.

    Every impression carries the user's whole history anew: ordered clicks without times. Here

    - each history of a user counts once, however many impressions repeat it, in whichever file;
    - that of the user's first impression lies before the first impression of all files;
    - a later, different history adds what the earlier ones lack, right before the impression that first shows it, unless
      the user had clicked that news in an earlier impression, for then it is that click.

    Args:
        paths: the files of behaviours, all of them: a history may be repeated in another file.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._added: pl.DataFrame | None = None

    def of(self, path: Path) -> pl.DataFrame:
        """The rows of one file at which a history adds something.

        All files are read once for it, at the first call; what is wrong in them is not recorded here.

        Returns:
            ``__row``; ``added``, the news that are added, or null for the whole history; ``end``, seconds since 1970, the
            moment before which they were clicked, or null where the impression has no time.
        """
        if self._added is None:
            self._added = self._read()
        at = pl.col("at")
        return self._added.filter(at // _FILE == self._paths.index(path)).select(
            (at % _FILE).cast(pl.UInt32).alias(ROW), "added", "end"
        )

    def _read(self) -> pl.DataFrame:
        found = tables.find_tables(self._paths, what="interactions", format=BEHAVIORS)
        shown = _distinct(found)
        start = shown["time"].min()
        # an empty history counts: what a later one holds was clicked after it, perhaps in an impression
        is_first, several = pl.col("time") == pl.col("time").min().over("user_id"), pl.len().over("user_id") > 1
        shown = shown.with_columns(
            end=pl.when(is_first).then(pl.lit(start, pl.Int64)).otherwise("time"), several=several
        ).drop_nulls("history")
        alone = shown.filter(~pl.col("several")).select("at", pl.lit(None, pl.String).alias("added"), "end")
        grown = shown.filter("several").sort("user_id", "time", "at", nulls_last=True)
        return pl.concat([alone, _added(grown, _clicks(found, grown))]) if len(grown) else alone


def _rows(found: Sequence[Table], columns: list[str]) -> list[pl.LazyFrame]:
    return [
        frame.with_columns(at=pl.col(ROW).cast(pl.Int64) + number * _FILE, time=seconds("time"))
        for number, table in enumerate(found)
        for frame in tables.lazy_frames(table, columns, what="interactions", findings=Findings())
    ]


def _distinct(found: Sequence[Table]) -> pl.DataFrame:
    """Every history of every user once, with the first time and the first row that shows it; null ones too."""
    by = ["user_id", "history"]
    first = [pl.col("time").min(), pl.col("at").min()]
    parts = [part.group_by(by).agg(first).collect(engine="streaming") for part in _rows(found, [*by, "time"])]
    return pl.concat(parts).group_by(by).agg(first)


def _clicks(found: Sequence[Table], users: pl.DataFrame) -> pl.DataFrame:
    """The first time at which each of these users clicked each news in an impression."""
    among = users.select("user_id").unique().lazy()
    parts = [
        part.join(among, on="user_id", how="semi")
        .select("user_id", "time", clicked("impressions").alias("news_id"))
        .explode("news_id")
        .group_by("user_id", "news_id")
        .agg(clicked=pl.col("time").min())
        .collect(engine="streaming")
        for part in _rows(found, ["user_id", "time", "impressions"])
    ]
    return pl.concat(parts).group_by("user_id", "news_id").agg(pl.col("clicked").min())


def _added(grown: pl.DataFrame, clicks: pl.DataFrame) -> pl.DataFrame:
    """What each history adds to those above it of the same user, in its own order; a news may stand in one twice."""
    return (
        grown.select("user_id", "at", "time", "end", pl.col("history").str.extract_all(r"\S+").alias("news_id"))
        .explode("news_id")
        .with_columns(nth=pl.int_range(pl.len()).over("at", "news_id"))
        .unique(["user_id", "news_id", "nth"], keep="first", maintain_order=True)
        .join(clicks, on=["user_id", "news_id"], how="left", maintain_order="left")
        .filter((pl.col("clicked") >= pl.col("time")).fill_null(True))
        .group_by("at", maintain_order=True)
        .agg(pl.col("news_id").str.join(" ").alias("added"), pl.col("end").first())
    )
