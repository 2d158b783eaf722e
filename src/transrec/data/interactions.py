"""Interactions: who touched which item when, each user's events together, oldest first."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from transrec.data.catalog import Catalog
from transrec.data.frames import as_polars, require_columns
from transrec.data.times import seconds
from transrec.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """All events of a platform, grouped by user, oldest first; immutable.

    Attributes:
        users: user ids, one a group.
        rows: the catalog row of each event, int64 of shape (N,).
        times: when, float64 of shape (N,): seconds since 1970 where the input had dates, else the numbers it had.
        offsets: int64 of shape (users + 1,): the events of user ``u`` are ``rows[offsets[u]:offsets[u + 1]]``.
        weights: rating, count or other strength of each event, float32 of shape (N,), or None.
    """

    users: pl.Series
    rows: np.ndarray
    times: np.ndarray
    offsets: np.ndarray
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        assert len(self.offsets) == len(self.users) + 1, "one offset more than users"
        assert self.offsets[-1] == len(self.rows) == len(self.times), "offsets cover the events"
        for array in (self.rows, self.times, self.offsets, self.weights):
            if array is not None:
                array.setflags(write=False)

    @classmethod
    def from_frame(
        cls,
        frame: pl.DataFrame | pd.DataFrame,
        catalog: Catalog,
        *,
        user: str = "user_id",
        item: str = "item_id",
        time: str = "timestamp",
        weight: str | None = None,
    ) -> Interactions:
        """Interactions from a Polars or pandas table with one row an event.

        Events of equal time keep the order of the table.

        Raises:
            DataError: a column is missing, a value is null, or an item is not in the catalog. (`transrec ingest` sets such
                rows aside and goes on; here nothing is dropped, so it is an error.)
        """
        table = as_polars(frame)
        require_columns(table, [user, item, time, *([weight] if weight else [])], what="the table of interactions")
        columns = [
            pl.col(user).cast(pl.String).alias("user"),
            pl.col(item).cast(pl.String).alias("item"),
            seconds(time, table[time].dtype).alias("time"),
            *([pl.col(weight).cast(pl.Float32).alias("weight")] if weight else []),
        ]
        table = table.select(columns)
        for name in table.columns:
            if table[name].null_count():
                raise DataError(
                    f"{table[name].null_count():,} events have no usable {name}",
                    where=f"the table of interactions, first in row {table[name].is_null().arg_true()[0]}",
                    remedy="drop these rows; times must be numbers or dates",
                )
        known = pl.DataFrame(
            {"item": catalog.ids, "row": np.arange(len(catalog))}, schema={"item": pl.String, "row": pl.Int64}
        )
        table = table.join(known, on="item", how="left", maintain_order="left")
        unknown = table.filter(pl.col("row").is_null())["item"].unique(maintain_order=True)
        if len(unknown):
            raise DataError(
                f"{len(unknown):,} items in the interactions are not in the catalog, for example {unknown[0]!r}",
                remedy="add them to the catalog or filter these events out",
            )
        return cls.from_columns(table)

    @classmethod
    def from_columns(cls, table: pl.DataFrame) -> Interactions:
        """Group and sort a table with the columns user, row, time and perhaps weight, all without nulls."""
        runs = _runs(table)
        if not _is_in_order(table, runs):
            table = table.sort("user", "time", maintain_order=True)
            runs = _runs(table)
        offsets = np.zeros(len(runs) + 1, dtype=np.int64)
        np.cumsum(runs["len"].to_numpy(), out=offsets[1:])
        return cls(
            users=runs["value"].alias("user"),
            rows=np.array(table["row"].to_numpy(), dtype=np.int64),
            times=np.array(table["time"].to_numpy(), dtype=np.float64),
            offsets=offsets,
            weights=np.array(table["weight"].to_numpy(), dtype=np.float32) if "weight" in table.columns else None,
        )

    def to_frame(self) -> pl.DataFrame:
        """The events as a table with the columns user, row, time and perhaps weight."""
        repeated = np.repeat(np.arange(len(self.users)), self.lengths)
        columns = {"user": self.users.gather(repeated), "row": self.rows, "time": self.times}
        if self.weights is not None:
            columns["weight"] = self.weights
        return pl.DataFrame(columns)

    @classmethod
    def open(cls, path: str | Path, *, items: int | None = None) -> Interactions:
        """Read what :meth:`save` wrote.

        Args:
            path: the file.
            items: how many the catalog has; whether events are of any of them is not looked at when None.

        Raises:
            DataError: there is no such file, it is damaged, or an event is of no item of the catalog.
        """
        if not Path(path).exists():
            raise DataError(f"there are no interactions at {path}", remedy="`transrec ingest` writes them")
        try:
            events = cls.from_columns(pl.read_parquet(path))
        except (pl.exceptions.PolarsError, OSError, TypeError, ValueError) as error:
            raise DataError(
                f"the interactions are damaged: {error}", where=str(path), remedy="ingest the data again into a new folder"
            ) from None
        if items is not None and len(events) and not 0 <= events.rows.min() <= events.rows.max() < items:
            wrong = events.rows[(events.rows < 0) | (events.rows >= items)]
            raise DataError(
                f"{len(wrong):,} events are of no item of the catalog, which has {items:,}; the first is of {wrong[0]}",
                where=str(path),
                remedy="catalog and interactions must come from the same ingest; ingest the data again into a new folder",
            )
        return events

    def save(self, path: str | Path) -> None:
        """Write one Parquet file, sorted by user and time."""
        self.to_frame().write_parquet(path)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> np.ndarray:
        """The number of events of each user, int64 of shape (users,)."""
        return np.diff(self.offsets)

    def history(self, user: int) -> np.ndarray:
        """All rows of the user with this index, oldest first."""
        return self.rows[self.offsets[user] : self.offsets[user + 1]]

    def fingerprint(self) -> str:
        """32 hexadecimal digits that change when any event changes."""
        digest = hashlib.blake2b(digest_size=16)
        for array in (self.rows, self.times, self.offsets):
            digest.update(np.ascontiguousarray(array).tobytes())
        if self.weights is not None:
            digest.update(np.ascontiguousarray(self.weights).tobytes())
        digest.update("\0".join(self.users.to_list()).encode())
        return digest.hexdigest()


def _runs(table: pl.DataFrame) -> pl.DataFrame:
    """The user of each run of equal users as ``value``, and its ``len``."""
    return table["user"].rle().struct.unnest()


def _is_in_order(table: pl.DataFrame, runs: pl.DataFrame) -> bool:
    """Whether users ascend, and each user's times: then the sort, most of the time of opening a file, can be left out."""
    if not runs["value"].is_sorted():
        return False
    times = table["time"].to_numpy()
    is_new = np.zeros(len(table) + 1, dtype=bool)
    is_new[np.cumsum(runs["len"].to_numpy())] = True
    return bool((is_new[1:-1] | (times[1:] >= times[:-1])).all())
