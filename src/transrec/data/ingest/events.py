"""Events: rows of interaction tables become interactions, column by column; whatever is wrong is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from transrec.data.ingest import ordering
from transrec.data.ingest.choices import EventColumns, EventSettings
from transrec.data.ingest.ordering import Filter, by_code, distinct_ids, gathered, with_file_names
from transrec.data.interactions import Interactions
from transrec.data.reading import tables
from transrec.data.reading.damage import told_of
from transrec.data.reading.findings import Findings, Reason
from transrec.data.reading.tables import LINE, ROW, Table
from transrec.data.times import numbers, seconds


@dataclass(frozen=True, slots=True)
class Events:
    """What the interaction tables held.

    Attributes:
        interactions: the events that are left, those of an earlier ingest among them.
        read: rows in the tables.
        present: rows that only repeat an event of an earlier ingest.
        filters: what removed events, in the order in which it was applied.
        disorder: events that stand directly below a later one of the same user; None where it was not asked for.
    """

    interactions: Interactions
    read: int
    present: int
    filters: list[Filter]
    disorder: int | None = None


def read_events(  # noqa: PLR0913 - the parts of one reading
    found: Sequence[Table],
    columns: EventColumns,
    settings: EventSettings,
    item_ids: Sequence[str],
    findings: Findings,
    *,
    before: Interactions | None = None,
    count_disorder: bool = False,
) -> Events:
    """Read, check, merge, sort and filter events.

    Args:
        found: the tables.
        columns: which columns are what.
        settings: which events are wanted.
        item_ids: the catalog's ids, in the order of its rows.
        findings: what is wrong; extended.
        before: the events of an earlier ingest, to which new ones are added.
        count_disorder: also count the events that stand below a later one of the same user.

    Raises:
        DataError: weights were given now but not before or the other way round, or a file is damaged.
    """
    vocabulary = _Vocabulary(pl.Categories.random(), pl.Categories.random())
    parts: list[pl.DataFrame] = []
    for at, own in enumerate(found):
        with told_of(own.path):
            parts += _load(own, at, columns, vocabulary, findings)
    raw = pl.concat(parts or [_EMPTY])
    read = len(raw)
    files = [str(table.path) for table in found]
    raw = _sound(raw, files, item_ids, findings)
    users, table = ordering.ranked(raw, before)
    del raw
    disorder = ordering.count_disorder(table) if count_disorder else None
    if not ordering.is_sorted(table):
        table = table[ordering.sorting(table)]
    table, present = ordering.without_duplicates(table, files, users, item_ids, findings)
    table, filters = ordering.filtered(table, settings)
    return Events(ordering.as_interactions(table, users), read, present, filters, disorder)


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """Ids become codes of these categories while they are read: four bytes an event instead of a string."""

    users: Any  # pl.Categories, which Polars does not export as a type for annotations in all versions
    items: Any


_EMPTY = pl.DataFrame(
    schema={
        "file": pl.Int32, "row": pl.UInt32, "line": pl.UInt32, "user": pl.UInt32, "item": pl.UInt32, "time": pl.Float64,
        "weight": pl.Float32, "raw_time": pl.String, "raw_weight": pl.String,
    }
)  # fmt: skip


def _load(table: Table, at: int, columns: EventColumns, vocabulary: _Vocabulary, findings: Findings) -> list[pl.DataFrame]:
    user, item, time = (str(choice.column) for choice in (columns.user, columns.item, columns.time))
    weight = columns.weight.column
    wanted = [user, item, time, *([weight] if weight else [])]
    parts = []
    for frame in tables.lazy_frames(table, wanted, what="interactions", findings=findings):
        kinds = frame.collect_schema()
        sample = frame.head(1000).select(numbers(pl.col(time)).is_null().any()) if kinds[time] == pl.String else None
        plain = sample is not None and not sample.collect().item()
        when = numbers(pl.col(time)) if plain else seconds(time, kinds[time])
        selected = frame.select(
            pl.lit(at, pl.Int32).alias("file"),
            pl.col(ROW).cast(pl.UInt32).alias("row"),
            pl.col(LINE).cast(pl.UInt32).alias("line"),
            _ids(user, kinds[user]).cast(pl.Categorical(vocabulary.users)).alias("user"),
            _ids(item, kinds[item]).cast(pl.Categorical(vocabulary.items)).alias("item"),
            when.cast(pl.Float64).alias("time"),
            (numbers(pl.col(weight), pl.Float32) if weight else pl.lit(None, pl.Float32)).alias("weight"),
            _where_null(when, time).alias("raw_time"),
            (_where_null(numbers(pl.col(weight), pl.Float32), weight) if weight else pl.lit(None, pl.String)).alias(
                "raw_weight"
            ),
        )
        part = selected.collect(engine="streaming")
        if plain and part["raw_time"].null_count() < len(part):  # dates among numbers, after the sample
            part = part.with_columns(pl.coalesce("time", seconds("raw_time", pl.String())).alias("time"))
        parts.append(part)
    return parts


def _ids(column: str, kind: pl.DataType) -> pl.Expr:
    ids = pl.col(column)
    if kind.is_float():  # pandas turns whole numbers into floats where one is missing
        ids = (
            pl.when(ids == ids.floor()).then(ids.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(ids.cast(pl.String))
        )
    strings = ids.cast(pl.String)
    return pl.when(strings != "").then(strings)


def _where_null(converted: pl.Expr, column: str) -> pl.Expr:
    return pl.when(converted.is_null()).then(pl.col(column).cast(pl.String))


def _sound(raw: pl.DataFrame, files: list[str], item_ids: Sequence[str], findings: Findings) -> pl.DataFrame:
    """The rows with user, known item, time and weight; the others are recorded, each with the first thing that is wrong."""
    weighted = raw["weight"].null_count() < len(raw) or raw["raw_weight"].null_count() < len(raw)
    known = pl.DataFrame({"id": item_ids, "known": np.arange(len(item_ids))}, schema={"id": pl.String, "known": pl.Int32})
    items = distinct_ids(raw["item"]).join(known, on="id", how="left")
    # by code, since joining ten million rows takes longer than all the rest
    raw = raw.with_columns(catalog_row=gathered(by_code(items["item"], items["known"], fill=-1), raw["item"]))
    zeros = [_with_zero_byte(raw[name]) for name in ("user", "item")]
    wrong: list[tuple[Reason, pl.Expr, pl.Expr]] = [
        (Reason.NO_USER, pl.col("user").is_null(), pl.lit("the user is empty")),
        (Reason.NO_ITEM, pl.col("item").is_null(), pl.lit("the item is empty")),
        (Reason.BAD_TIME, pl.col("time").is_null(), pl.col("raw_time").fill_null("the time is empty")),
        (Reason.UNKNOWN_ITEM, pl.col("catalog_row") < 0, pl.col("item").cast(pl.String)),
    ]
    if any(len(codes) for codes in zeros):
        inside = [pl.col(name).to_physical().is_in(codes) for name, codes in zip(("user", "item"), zeros, strict=True)]
        wrong.insert(0, (Reason.NUL_BYTE, pl.any_horizontal(inside).fill_null(False), pl.lit("in an id")))
    if weighted:
        wrong.insert(
            -1, (Reason.BAD_WEIGHT, pl.col("weight").is_null(), pl.col("raw_weight").fill_null("the weight is empty"))
        )
    for reason, is_wrong, detail in wrong:
        mask = raw.select(is_wrong.alias("wrong"))["wrong"]
        if not mask.any():
            continue
        findings.add_frame(
            "interactions", reason, with_file_names(raw.filter(mask), files).with_columns(detail.alias("detail"))
        )
        raw = raw.filter(~mask)
    keep = ["file", "row", "line", "user", "catalog_row", "time", *(["weight"] if weighted else [])]
    return raw.select(keep)


def _with_zero_byte(codes: pl.Series) -> list[int]:
    distinct = distinct_ids(codes)
    return distinct.filter(pl.col("id").str.contains("\0", literal=True))[codes.name].to_physical().to_list()
