"""Ordering: events with codes for users become interactions, merged, sorted, without duplicates, filtered by wishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from transrec.data.ingest.choices import EventSettings
from transrec.data.interactions import Interactions
from transrec.data.reading.findings import Findings, Reason
from transrec.errors import DataError

_OLD = -1  # the file number of events that the dataset holds already


@dataclass(frozen=True, slots=True)
class Filter:
    """A wish that removed events: what it was, and how many it removed."""

    name: str
    removed: int


def distinct_ids(codes: pl.Series) -> pl.DataFrame:
    """The distinct ids of a column with their codes."""
    distinct = codes.drop_nulls().unique()
    return pl.DataFrame({codes.name: distinct, "id": distinct.cast(pl.String)})


def by_code(codes: pl.Series, values: pl.Series, *, fill: int) -> np.ndarray:
    """A table from code to value, int32, ``fill`` where a code has none: gathering from it is much faster than a join."""
    physical = codes.to_physical().to_numpy()
    table = np.full(int(physical.max(initial=0)) + 1, fill, dtype=np.int32)
    table[physical] = values.fill_null(fill).to_numpy()
    return table


def gathered(table: np.ndarray, codes: pl.Series) -> pl.Series:
    """What :func:`by_code` made, for each code of a column; a null counts as code 0."""
    return pl.Series(table[codes.to_physical().fill_null(0).to_numpy()])


def with_file_names(rows: pl.DataFrame, files: list[str]) -> pl.DataFrame:
    """The rows with the file's name in place of its number."""
    return rows.with_columns(file=pl.Series(files, dtype=pl.String).gather(rows["file"].cast(pl.UInt32)))


def ranked(raw: pl.DataFrame, before: Interactions | None) -> tuple[pl.Series, pl.DataFrame]:
    """All user ids in order, and the events with the user as its place in that order; old events stand first."""
    fresh = distinct_ids(raw["user"])
    users = pl.concat([fresh["id"], *([before.users.cast(pl.String)] if before else [])]).unique().sort().alias("user")
    rank = pl.DataFrame(
        {"id": users, "rank": np.arange(len(users), dtype=np.int32)}, schema={"id": pl.String, "rank": pl.Int32}
    )
    codes = fresh.join(rank, on="id", how="left")
    ranks = by_code(codes["user"], codes["rank"], fill=0)
    table = raw.with_columns(user=gathered(ranks, raw["user"]))
    if before is None:
        return users, table
    has_weights = "weight" in table.columns
    if not len(table):
        table, has_weights = table.select("file", "user", "catalog_row", "time"), before.weights is not None
    if has_weights != (before.weights is not None):
        raise DataError(
            "the dataset has "
            + ("weights, these events have none" if before.weights is not None else "no weights, these events have some"),
            remedy="choose the column with --weight COLUMN, or leave it out with --weight none; or ingest into a new folder",
        )
    old_ranks = (
        pl.DataFrame({"id": before.users.cast(pl.String)})
        .join(rank, on="id", how="left", maintain_order="left")["rank"]
        .to_numpy()
    )
    old = {
        "file": np.full(len(before), _OLD, np.int32),
        "user": np.repeat(old_ranks, before.lengths),
        "catalog_row": before.rows.astype(np.int32),
        "time": before.times,
        **({"weight": before.weights} if before.weights is not None else {}),
    }
    return users, pl.concat([pl.DataFrame(old), table], how="diagonal")


def count_disorder(table: pl.DataFrame) -> int:
    """How many events stand directly below a later one of the same user."""
    earlier = pl.col("time") < pl.col("time").shift(1).over("user")
    return int(table.select(earlier.sum()).item())


def is_sorted(table: pl.DataFrame) -> bool:
    """Whether events ascend by user, and each user's by time."""
    user, time = table["user"].to_numpy(), table["time"].to_numpy()
    same, later = user[1:] == user[:-1], user[1:] > user[:-1]
    return bool((later | (same & (time[1:] >= time[:-1]))).all())


def sorting(table: pl.DataFrame) -> np.ndarray:
    """The order by user and time in which equal ones stay as they are, as indices into the table.

    Sorted by time, then counted into users by the conversion between sparse formats, which keeps the order within a row:
    half the time of a sort by two columns.
    """
    users = table["user"].to_numpy()
    by_time = np.argsort(table["time"].to_numpy(), kind="stable").astype(np.int64)
    place = np.arange(len(users), dtype=np.int64)
    shape = (int(users.max(initial=0)) + 1, max(len(users), 1))
    order: np.ndarray = sparse.coo_array((by_time, (users[by_time], place)), shape=shape).tocsr().data
    return order


def without_duplicates(
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
    again = among.with_columns(first_file=pl.col("file").first().over("user", "time", "catalog_row")).filter(
        ~key.is_first_distinct()
    )
    if not len(again):
        return table, 0
    old = (pl.col("first_file") == _OLD) & (pl.col("file") != _OLD)
    present = again.filter(old)
    twice = again.filter(~old & (pl.col("file") != _OLD))
    at = pl.format(
        "user {} and item {} at {}",
        users.gather(twice["user"]).alias("u"),
        pl.Series("i", item_ids, pl.String).gather(twice["catalog_row"]),
        "time",
    )
    findings.add_frame("interactions", Reason.DUPLICATE_EVENT, with_file_names(twice, files).with_columns(detail=at))
    keep = np.ones(len(table), dtype=bool)
    keep[again.filter(pl.col("file") != _OLD)["at"].to_numpy()] = False
    return table.filter(pl.Series(keep)), len(present)


def filtered(table: pl.DataFrame, settings: EventSettings) -> tuple[pl.DataFrame, list[Filter]]:
    """The events that are wanted, and what removed the others; minimum lengths are applied in turns until all hold."""
    filters = []

    def note(name: str, left: pl.DataFrame) -> pl.DataFrame:
        filters.append(Filter(name, len(table) - len(left)))
        return left

    if settings.min_weight is not None:
        table = note(
            f"weight at least {settings.min_weight:g}",
            table.filter(pl.col("weight") >= pl.lit(settings.min_weight, pl.Float32)),
        )
    if settings.repeats == "first":
        pair = pl.col("user").cast(pl.Int64) * (1 << 32) + pl.col("catalog_row").cast(pl.Int64)
        table = note("only the first event of a user with an item", table.filter(pair.is_first_distinct()))
    while settings.min_user_events > 1 or settings.min_item_events > 1:
        size = len(table)
        for column, least, what in (
            ("user", settings.min_user_events, "users"),
            ("catalog_row", settings.min_item_events, "items"),
        ):
            if least > 1 and len(table):
                counts = np.bincount(table[column].to_numpy())
                enough = pl.Series(counts[table[column].to_numpy()] >= least)
                table = note(f"{what} with at least {least} events", table.filter(enough))
        if len(table) == size:
            break
    return table, _summed(filters)


def _summed(filters: list[Filter]) -> list[Filter]:
    """One entry a filter, however often it was applied."""
    sums: dict[str, int] = {}
    for own in filters:
        sums[own.name] = sums.get(own.name, 0) + own.removed
    return [Filter(name, removed) for name, removed in sums.items()]


def as_interactions(table: pl.DataFrame, users: pl.Series) -> Interactions:
    """Sorted events as interactions; users without any are left out."""
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
