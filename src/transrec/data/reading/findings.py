"""Findings: what is wrong with the input, row by row, counted by reason, each reason with its remedy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, final

import polars as pl
from rich.markup import escape
from rich.table import Table as RichTable

from transrec.errors import DataError

TableName = Literal["interactions", "items"]

SCHEMA = {
    "table": pl.String,
    "file": pl.String,
    "row": pl.Int64,
    "line": pl.Int64,
    "reason": pl.String,
    "kept": pl.Boolean,
    "detail": pl.String,
}
_BUFFER = 50_000


class Reason(StrEnum):
    """Why a row, or a part of it, could not be used."""

    NUL_BYTE = "NUL byte"
    ENCODING = "wrong encoding"
    RAGGED = "ragged row"
    BAD_JSON = "not a JSON object"
    NO_USER = "missing user"
    NO_ITEM = "missing item"
    BAD_TIME = "bad or missing time"
    BAD_WEIGHT = "bad or missing weight"
    UNKNOWN_ITEM = "unknown item"
    DUPLICATE_EVENT = "duplicate event"
    NO_ID = "missing id"
    NO_CONTENT = "item without content"
    EMPTY_TEXT = "empty text"
    DUPLICATE_ID = "duplicate id with different content"
    BAD_VECTOR = "bad vector"
    NO_PICTURE = "picture not found"
    BAD_PICTURE = "unreadable picture"
    PICTURE_BOMB = "picture bomb"
    OUTSIDE = "path leaves the folder"
    NOT_FETCHED = "picture is an address"
    FETCH_FAILED = "picture not fetched"
    FETCH_LIMIT = "fetch limit reached"


REMEDIES: dict[Reason, str] = {
    Reason.NUL_BYTE: "remove the zero bytes: tr -d '\\000' < FILE > CLEAN",
    Reason.ENCODING: "save the file as UTF-8, or name its encoding: --encoding latin-1",
    Reason.RAGGED: "quote fields that hold the separator or a quotation mark; every row needs as many fields as the header",
    Reason.BAD_JSON: "write one JSON object a line",
    Reason.NO_USER: "fill in the user, or name another column: --user COLUMN",
    Reason.NO_ITEM: "fill in the item, or name another column: --item COLUMN",
    Reason.BAD_TIME: "write times as numbers or ISO dates (2020-09-16T12:30:00+02:00), or choose another column: --time",
    Reason.BAD_WEIGHT: "write weights as finite numbers, or leave them out: --weight none",
    Reason.UNKNOWN_ITEM: "add them to the items, or check that both tables write ids alike (leading zeros, '1' and '1.0')",
    Reason.DUPLICATE_EVENT: "nothing, if the same event was logged twice; else give the repeats their own times",
    Reason.NO_ID: "fill in the id, or name another column: --id COLUMN",
    Reason.NO_CONTENT: "give the item a text, a picture or a vector; without any it cannot be recommended from content",
    Reason.EMPTY_TEXT: "fill in the text columns, or leave the item to its other modalities",
    Reason.DUPLICATE_ID: "keep one row an id (the first was kept); to change an item, ingest into a new folder",
    Reason.BAD_VECTOR: "give every vector the same width and finite numbers",
    Reason.NO_PICTURE: "check the path column; paths start from --images, else from the folder of the item table",
    Reason.BAD_PICTURE: "replace the file; JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF are read",
    Reason.PICTURE_BOMB: "shrink the picture, or raise --max-pixels if you trust the file",
    Reason.OUTSIDE: "keep all pictures below one folder and point --images at it",
    Reason.NOT_FETCHED: "fetch addresses with --fetch-images, or download the pictures first",
    Reason.FETCH_FAILED: "try again: pictures that came are kept and not fetched twice",
    Reason.FETCH_LIMIT: "raise --fetch-number or --fetch-bytes; pictures that came are kept and not fetched twice",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong with one value."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row is.

    Attributes:
        table: ``"interactions"`` or ``"items"``.
        file: the file as it was named.
        row: the data row, counted from 1, the header not counted.
        line: the line in a text file, counted from 1, the header counted; None for Parquet.
    """

    table: TableName
    file: str
    row: int
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a reason occurred in a table."""

    table: str
    reason: Reason
    dropped: int
    kept: int
    example: str


@final
class Findings:
    """Collects what is wrong while tables are read; holds a value a finding, never the row itself."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, int, int | None, str, bool, str]] = []
        self._frames: list[pl.DataFrame] = []

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Findings:
        """Those that :meth:`frame` gave, and a file kept."""
        findings = cls()
        if len(frame):
            findings._frames.append(frame.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items()))
        return findings

    def add(self, place: Place, trouble: Trouble, *, kept: bool = False) -> None:
        """Record one finding; ``kept`` says that the row stays, without the part that is wrong."""
        detail = trouble.detail[:300]
        self._rows.append((place.table, place.file, place.row, place.line, trouble.reason.value, kept, detail))
        if len(self._rows) >= _BUFFER:
            self._flush()

    def add_frame(self, table: TableName, reason: Reason, frame: pl.DataFrame) -> None:
        """Record many dropped rows at once, from the columns file, row, line and detail."""
        if len(frame):
            constant = [pl.lit(table).alias("table"), pl.lit(reason.value).alias("reason"), pl.lit(False).alias("kept")]
            self._frames.append(
                frame.with_columns(constant).select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
            )

    def __len__(self) -> int:
        return len(self._rows) + sum(map(len, self._frames))

    def frame(self) -> pl.DataFrame:
        """All findings, one a row, with the columns of :data:`SCHEMA`."""
        self._flush()
        if not self._frames:
            return pl.DataFrame(schema=SCHEMA)
        return pl.concat(self._frames).sort("table", "file", "row", maintain_order=True)

    def tallies(self) -> list[Tally]:
        """The findings counted by table and reason, in the order of :class:`Reason`."""
        self._flush()
        if not self._frames:
            return []
        order = {reason.value: place for place, reason in enumerate(Reason)}
        first = pl.format("{}, row {}: {}", "file", "row", "detail").first()
        counted = (
            pl.concat(self._frames)
            .group_by("table", "reason", maintain_order=True)
            .agg((~pl.col("kept")).sum().alias("dropped"), pl.col("kept").sum().alias("parts"), first.alias("example"))
        )
        tallies = [Tally(t, Reason(r), d, k, e) for t, r, d, k, e in counted.iter_rows()]
        return sorted(tallies, key=lambda tally: (tally.table, order[tally.reason]))

    def raise_if_any(self) -> None:
        """Turn findings into an error, for ``--strict``.

        Raises:
            DataError: there is at least one; names every reason with its count, and the first row.
        """
        if not len(self):
            return
        tallies = self.tallies()
        listed = "; ".join(f"{t.table}: {t.reason.value} ({t.dropped + t.kept:,})" for t in tallies)
        raise DataError(
            f"{len(self):,} findings, and --strict allows none: {listed}",
            where=tallies[0].example,
            remedy=REMEDIES[tallies[0].reason] + "; or leave --strict out to set such rows aside and go on",
        )

    def shown(self) -> RichTable:
        """The findings as a table for a person: reason, counts, the first place, the remedy."""
        table = RichTable(title="Findings", title_justify="left", show_lines=True)
        table.add_column("what")
        table.add_column("rows dropped", justify="right")
        table.add_column("kept without it", justify="right")
        table.add_column("first, and what to do")
        for tally in self.tallies():
            advice = f"{tally.example}\n-> {REMEDIES[tally.reason]}"
            table.add_row(f"{tally.table}:\n{tally.reason.value}", f"{tally.dropped:,}", f"{tally.kept:,}", escape(advice))
        return table

    def _flush(self) -> None:
        if self._rows:
            self._frames.append(pl.DataFrame(self._rows, schema=SCHEMA, orient="row"))
            self._rows = []


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where there is not one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
