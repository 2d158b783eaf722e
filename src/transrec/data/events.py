"""Events: rows of interaction tables become interactions, column by column; whatever is wrong is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from transrec.data import tables
from transrec.data.columns import ITEM, TIME, USER, WEIGHT, Choice, choose, require
from transrec.data.findings import Findings, Reason
from transrec.data.interactions import Interactions
from transrec.data.tables import LINE, ROW, Table
from transrec.data.times import numbers, seconds
from transrec.errors import DataError
from transrec.settings import Settings

_OLD = -1  # the file number of events that the dataset holds already


class EventSettings(Settings):
    """Which columns of the interaction tables are what, and which events are wanted."""

    user: str | None = None
    """the column of user ids"""
    item: str | None = None
    """the column of item ids"""
    time: str | None = None
    """the column of times: numbers, or ISO dates (without a zone: UTC)"""
    weight: str | None = None
    """the column of ratings, counts or other strengths; "none" for no weights"""
    min_weight: float | None = None
    """leave out events with a smaller weight"""
    repeats: Literal["all", "first"] = "all"
    """what a user's later events with the same item are: kept, or left out"""
    min_user_events: int = Field(default=0, ge=0)
    """leave out users with fewer events"""
    min_item_events: int = Field(default=0, ge=0)
    """leave out the events of items with fewer events; the items stay in the catalog"""


@dataclass(frozen=True, slots=True)
class EventColumns:
    """The columns that were chosen, and how."""

    user: Choice
    item: Choice
    time: Choice
    weight: Choice

    @property
    def choices(self) -> list[Choice]:
        """All of them, to be shown."""
        return [self.user, self.item, self.time, self.weight]


@dataclass(frozen=True, slots=True)
class Filter:
    """A wish that removed events: what it was, and how many it removed."""

    name: str
    removed: int


@dataclass(frozen=True, slots=True)
class Events:
    """What the interaction tables held.

    Attributes:
        interactions: the events that are left, those of an earlier ingest among them.
        read: rows in the tables.
        present: rows that only repeat an event of an earlier ingest.
        filters: what removed events, in the order in which it was applied.
    """

    interactions: Interactions
    read: int
    present: int
    filters: list[Filter]


def choose_columns(found: Sequence[Table], settings: EventSettings) -> EventColumns:
    """Choose the columns of the interaction tables from settings and names.

    Raises:
        DataError: a column is not there, or none looks like user, item or time.
    """
    columns, where = found[0].columns, str(found[0].path)
    user = choose("user", settings.user, USER, columns, flag="--user")
    item = choose("item", settings.item, ITEM, columns, flag="--item")
    time = choose("time", settings.time, TIME, columns, flag="--time")
    weight = choose("weight", settings.weight, WEIGHT, columns, flag="--weight")
    needed = [require(choice, columns, where=where) for choice in (user, item, time)]
    if settings.min_weight is not None:
        needed.append(require(weight, columns, where=where))
    if weight.column:
        needed.append(weight.column)
    for table in found[1:]:
        if missing := [name for name in needed if name not in table.columns]:
            raise DataError(
                f"there is no column {missing[0]!r}, which {where} has",
                where=str(table.path),
                remedy="give all tables the same columns, or ingest them one after the other",
            )
    return EventColumns(user, item, time, weight)


def read_events(
    found: Sequence[Table],
    columns: EventColumns,
    settings: EventSettings,
    item_ids: Sequence[str],
    findings: Findings,
    *,
    before: Interactions | None = None,
) -> Events:
    """Read, check, merge, sort and filter events.

    Args:
        found: the tables.
        columns: which columns are what.
        settings: which events are wanted.
        item_ids: the catalog's ids, in the order of its rows.
        findings: what is wrong; extended.
        before: the events of an earlier ingest, to which new ones are added.

    Raises:
        DataError: weights were given now but not before or the other way round.
    """
    vocabulary = _Vocabulary(pl.Categories.random(), pl.Categories.random())
    raw = pl.concat([part for at, table in enumerate(found) for part in _load(table, at, columns, vocabulary, findings)] or [_EMPTY])
    read = len(raw)
    files = [str(table.path) for table in found]
    raw = _sound(raw, files, vocabulary, item_ids, findings)
    users, table = _ranked(raw, vocabulary, before)
    del raw
    if not _is_sorted(table):
        table = table.sort("user", "time", maintain_order=True)
    table, present = _without_duplicates(table, files, users, item_ids, findings)
    table, filters = _filtered(table, settings)
    return Events(_interactions(table, users), read, present, filters)


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
        sample = frame.select(time).head(1000).collect()[time]
        plain = kinds[time] == pl.String and not bool(numbers(sample).is_null().any())
        when = numbers(pl.col(time)) if plain else seconds(time, kinds[time])
        selected = frame.select(
            pl.lit(at, pl.Int32).alias("file"),
            pl.col(ROW).cast(pl.UInt32).alias("row"),
            pl.col(LINE).cast(pl.UInt32).alias("line"),
            _ids(user, kinds[user]).cast(pl.Categorical(vocabulary.users)).alias("user"),
            _ids(item, kinds[item]).cast(pl.Categorical(vocabulary.items)).alias("item"),
            when.cast(pl.Float64).alias("time"),
            (numbers(pl.col(weight)) if weight else pl.lit(None, pl.Float64)).alias("weight"),
            _where_null(when, time).alias("raw_time"),
            (_where_null(numbers(pl.col(weight)), weight) if weight else pl.lit(None, pl.String)).alias("raw_weight"),
        )
        part = selected.collect(engine="streaming")
        if plain and part["raw_time"].null_count() < len(part):  # dates among numbers, after the sample
            part = part.with_columns(pl.coalesce("time", seconds("raw_time", pl.String())).alias("time"))
        parts.append(part)
    return parts


def _ids(column: str, kind: pl.DataType) -> pl.Expr:
    ids = pl.col(column)
    if kind.is_float():  # pandas turns whole numbers into floats where one is missing
        ids = pl.when(ids == ids.floor()).then(ids.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(ids.cast(pl.String))
    strings = ids.cast(pl.String)
    return pl.when(strings != "").then(strings)


def _where_null(converted: pl.Expr, column: str) -> pl.Expr:
    return pl.when(converted.is_null()).then(pl.col(column).cast(pl.String))


def _sound(
    raw: pl.DataFrame, files: list[str], vocabulary: _Vocabulary, item_ids: Sequence[str], findings: Findings
) -> pl.DataFrame:
    """The rows with user, known item, time and weight; the others are recorded, each with the first thing that is wrong."""
    weighted = raw["weight"].null_count() < len(raw) or raw["raw_weight"].null_count() < len(raw)
    known = pl.DataFrame({"id": item_ids, "known": np.arange(len(item_ids), dtype=np.int32)}, schema={"id": pl.String, "known": pl.Int32})
    codes = _strings(raw["item"]).join(known, on="id", how="left").select("item", "known", zeros=pl.col("id").str.contains("\0", literal=True))
    zeros = _strings(raw["user"]).select("user", zeros_user=pl.col("id").str.contains("\0", literal=True))
    # gather by code instead of joining ten million rows
    rows = _by_code(codes["item"], codes["known"], fill=-1)
    raw = raw.with_columns(catalog_row=_gather(rows, raw["item"]))
    bad_codes = codes.filter("zeros")["item"]
    bad_users = zeros.filter("zeros_user")["user"]
    del vocabulary
    wrong: list[tuple[Reason, pl.Expr, pl.Expr]] = [
        (Reason.NO_USER, pl.col("user").is_null(), pl.lit("the user is empty")),
        (Reason.NO_ITEM, pl.col("item").is_null(), pl.lit("the item is empty")),
        (Reason.BAD_TIME, pl.col("time").is_null(), pl.col("raw_time").fill_null("the time is empty")),
        (Reason.UNKNOWN_ITEM, pl.col("catalog_row") < 0, pl.col("item").cast(pl.String)),
    ]
    if len(bad_codes) or len(bad_users):
        zero = pl.col("item").is_in(bad_codes.implode()) | pl.col("user").is_in(bad_users.implode())
        wrong.insert(0, (Reason.NUL_BYTE, zero.fill_null(False), pl.lit("in an id")))
    if weighted:
        wrong.insert(3, (Reason.BAD_WEIGHT, pl.col("weight").is_null(), pl.col("raw_weight").fill_null("the weight is empty")))
    for reason, is_wrong, detail in wrong:
        mask = raw.select(is_wrong.alias("wrong"))["wrong"]
        if not mask.any():
            continue
        findings.add_frame("interactions", reason, _named(raw.filter(mask), files).with_columns(detail.alias("detail")))
        raw = raw.filter(~mask)
    keep = ["file", "row", "line", "user", "catalog_row", "time", *(["weight"] if weighted else [])]
    return raw.select(keep)


def _strings(codes: pl.Series) -> pl.DataFrame:
    """The distinct ids of a column with their codes."""
    distinct = codes.drop_nulls().unique()
    return pl.DataFrame({codes.name: distinct, "id": distinct.cast(pl.String)})


def _by_code(codes: pl.Series, values: pl.Series, *, fill: int) -> np.ndarray:
    physical = codes.to_physical().to_numpy()
    table = np.full(int(physical.max(initial=0)) + 1, fill, dtype=np.int32)
    table[physical] = values.fill_null(fill).to_numpy()
    return table


def _gather(table: np.ndarray, codes: pl.Series) -> pl.Series:
    return pl.Series(table[codes.to_physical().fill_null(0).to_numpy()])


def _named(rows: pl.DataFrame, files: list[str]) -> pl.DataFrame:
    return rows.with_columns(file=pl.Series(files, dtype=pl.String).gather(rows["file"].cast(pl.UInt32)))


def _ranked(raw: pl.DataFrame, vocabulary: _Vocabulary, before: Interactions | None) -> tuple[pl.Series, pl.DataFrame]:
    """All user ids in order, and the events with the user as its place in that order; old events stand first."""
    del vocabulary
    fresh = _strings(raw["user"])
    users = pl.concat([fresh["id"], *([before.users.cast(pl.String)] if before else [])]).unique().sort().alias("user")
    rank = pl.DataFrame({"id": users, "rank": np.arange(len(users), dtype=np.int32)}, schema={"id": pl.String, "rank": pl.Int32})
    codes = fresh.join(rank, on="id", how="left")
    ranks = _by_code(codes["user"], codes["rank"], fill=0)
    table = raw.with_columns(user=_gather(ranks, raw["user"]))
    if before is None:
        return users, table
    if "weight" in table.columns and before.weights is None or "weight" not in table.columns and before.weights is not None and len(table):
        raise DataError(
            "the dataset has " + ("weights, these events have none" if before.weights is not None else "no weights, these events have some"),
            remedy="choose the column with --weight COLUMN, or leave it out with --weight none; or ingest into a new folder",
        )
    old_ranks = pl.DataFrame({"id": before.users.cast(pl.String)}).join(rank, on="id", how="left", maintain_order="left")["rank"].to_numpy()
    old = {
        "file": np.full(len(before), _OLD, np.int32),
        "user": np.repeat(old_ranks, before.lengths),
        "catalog_row": before.rows.astype(np.int32),
        "time": before.times,
        **({"weight": before.weights} if before.weights is not None else {}),
    }
    return users, pl.concat([pl.DataFrame(old), table], how="diagonal")


def _is_sorted(table: pl.DataFrame) -> bool:
    user, time = table["user"].to_numpy(), table["time"].to_numpy()
    same, later = user[1:] == user[:-1], user[1:] > user[:-1]
    return bool((later | (same & (time[1:] >= time[:-1]))).all())


def _without_duplicates(
    table: pl.DataFrame, files: list[str], users: pl.Series, item_ids: Sequence[str], findings: Findings
) -> tuple[pl.DataFrame, int]:
    """Without the later of events that agree in user, item and time; how many of them repeat an earlier ingest."""
    user, time = table["user"].to_numpy(), table["time"].to_numpy()
    ties = (user[1:] == user[:-1]) & (time[1:] == time[:-1])
    if not ties.any():
        return table, 0
    tied = np.flatnonzero(np.append(ties, False) | np.insert(ties, 0, False))
    among = table[tied].with_columns(at=pl.Series(tied))
    key = pl.struct("user", "time", "catalog_row")
    again = among.with_columns(first_file=pl.col("file").first().over("user", "time", "catalog_row")).filter(~key.is_first_distinct())
    if not len(again):
        return table, 0
    old = (pl.col("first_file") == _OLD) & (pl.col("file") != _OLD)
    present = again.filter(old)
    twice = again.filter(~old & (pl.col("file") != _OLD))
    detail = pl.format("user {} and item {} at {}", users.gather(twice["user"]).alias("u"), pl.Series("i", item_ids, pl.String).gather(twice["catalog_row"]), "time")
    findings.add_frame("interactions", Reason.DUPLICATE_EVENT, _named(twice, files).with_columns(detail.alias("detail")))
    keep = np.ones(len(table), dtype=bool)
    keep[again.filter(pl.col("file") != _OLD)["at"].to_numpy()] = False
    return table.filter(pl.Series(keep)), len(present)


def _filtered(table: pl.DataFrame, settings: EventSettings) -> tuple[pl.DataFrame, list[Filter]]:
    filters = []

    def note(name: str, left: pl.DataFrame) -> pl.DataFrame:
        filters.append(Filter(name, len(table) - len(left)))
        return left

    if settings.min_weight is not None:
        table = note(f"weight at least {settings.min_weight:g}", table.filter(pl.col("weight") >= settings.min_weight))
    if settings.repeats == "first":
        pair = pl.col("user").cast(pl.Int64) * (1 << 32) + pl.col("catalog_row").cast(pl.Int64)
        table = note("only the first event of a user with an item", table.filter(pair.is_first_distinct()))
    while settings.min_user_events > 1 or settings.min_item_events > 1:
        size = len(table)
        for column, least, what in (("user", settings.min_user_events, "users"), ("catalog_row", settings.min_item_events, "items")):
            if least > 1 and len(table):
                counts = np.bincount(table[column].to_numpy())
                enough = pl.Series(counts[table[column].to_numpy()] >= least)
                table = note(f"{what} with at least {least} events", table.filter(enough))
        if len(table) == size:
            break
    return table, _summed(filters)


def _summed(filters: list[Filter]) -> list[Filter]:
    """One entry a filter: minimum lengths are applied in turns until both hold."""
    sums: dict[str, int] = {}
    for own in filters:
        sums[own.name] = sums.get(own.name, 0) + own.removed
    return [Filter(name, removed) for name, removed in sums.items()]


def _interactions(table: pl.DataFrame, users: pl.Series) -> Interactions:
    counts = np.bincount(table["user"].to_numpy(), minlength=len(users))
    offsets = np.zeros(int((counts > 0).sum()) + 1, dtype=np.int64)
    np.cumsum(counts[counts > 0], out=offsets[1:])
    return Interactions(
        users=users.filter(pl.Series(counts > 0)),
        rows=table["catalog_row"].to_numpy().astype(np.int64),
        times=np.array(table["time"].to_numpy(), dtype=np.float64),
        offsets=offsets,
        weights=np.array(table["weight"].to_numpy(), dtype=np.float32) if "weight" in table.columns else None,
    )
