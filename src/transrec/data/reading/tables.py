"""Tables on disk: which files are meant, of what kind, with which columns; read whole and fast, or row by row with care."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl
import pyarrow.parquet as pq

from transrec.data.reading import delimited, jsonlines
from transrec.data.reading.damage import told_of
from transrec.data.reading.delimited import Format
from transrec.data.reading.findings import Findings, Place, TableName
from transrec.data.reading.recast import Recast
from transrec.errors import DataError

ROW, LINE = "__row", "__line"
KINDS: dict[str, Literal["delimited", "parquet", "jsonl"]] = {
    ".csv": "delimited", ".tsv": "delimited", ".tab": "delimited", ".txt": "delimited", ".dat": "delimited",
    ".parquet": "parquet", ".pq": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """One file of rows.

    Attributes:
        path: the file.
        kind: how it is read.
        format: separator, header and encoding of a delimited file; the encoding of JSON lines.
        columns: the names of its columns; with a recast, of those that it makes.
        recast: what is made of its rows; None: they are taken as they are.
    """

    path: Path
    kind: Literal["delimited", "parquet", "jsonl"]
    format: Format
    columns: tuple[str, ...]
    recast: Recast | None = None

    def place(self, table: TableName, row: int, line: int | None) -> Place:
        """Where one of its rows is."""
        return Place(table, str(self.path), row, line)


def find_tables(
    patterns: Sequence[str | Path],
    *,
    what: TableName,
    format: Format | None = None,
    recasts: Mapping[Path, Recast] | None = None,
) -> list[Table]:
    """The tables that paths and globs name, in the order given, globs sorted.

    Args:
        patterns: file names, some with ``*``, ``?`` or ``**``.
        what: for messages.
        format: of delimited files; found out from each file when not given.
        recasts: by file, what is made of its rows.

    Raises:
        DataError: nothing matches, a file cannot be read, its kind is not known, or it lacks what a recast needs.
    """
    paths: list[Path] = []
    for pattern in map(str, patterns):
        found = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (absolute patterns)
        if not found:
            raise DataError(
                f"there is no file {pattern!r} for the {what}",
                where=str(Path.cwd()),
                remedy="check the spelling; put a pattern such as 'part-*.csv' in quotes",
            )
        paths += [Path(name) for name in found if Path(name) not in paths]
    if not paths:
        raise DataError(f"no file was named for the {what}", remedy=f"--{what} FILE [FILE ...]")
    recasts = recasts or {}
    return [_with_recast(_open(path, format), recasts.get(path)) for path in paths]


def _with_recast(table: Table, recast: Recast | None) -> Table:
    if recast is None:
        return table
    if missing := [name for name in recast.reads if name not in table.columns]:
        raise DataError(
            f"there is no column {missing[0]!r}, which this public format has",
            where=str(table.path),
            remedy=f"its columns are {', '.join(map(repr, table.columns))}; check --source",
        )
    return replace(table, columns=recast.columns, recast=recast)


def _open(path: Path, format: Format | None) -> Table:
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    kind = "delimited" if format else KINDS.get(suffix.lower())
    if path.is_dir() or kind is None:
        raise DataError(
            f"{path} is {'a folder' if path.is_dir() else 'of no kind that is read here'}",
            remedy=f"files end in {', '.join(KINDS)}, and may be compressed (.csv.gz); "
            "folders in a public format are read with --source",
        )
    with told_of(path):
        if kind == "parquet":
            form, columns = Format(), tuple(pq.read_schema(path).names)
        elif kind == "jsonl":
            form, columns = format or Format(), jsonlines.columns(path)
        else:
            form = delimited.sniff(path, format or Format(separator="\t" if suffix in {".tsv", ".tab"} else ""))
            columns = form.header
    _require_plain(path, columns)
    return Table(path, kind, form, columns)


def _require_plain(path: Path, columns: Sequence[str]) -> None:
    """Refuse names by which Polars would understand several columns, or those whose name is like a pattern."""
    patterns = [name for name in columns if name == "*" or (name.startswith("^") and name.endswith("$"))]
    if patterns:
        raise DataError(
            f"a column is called {patterns[0]!r}, which stands for several columns",
            where=str(path),
            remedy="give it another name in the file",
        )


def lazy_frames(table: Table, columns: Sequence[str], *, what: TableName, findings: Findings) -> Iterator[pl.LazyFrame]:
    """The table as lazy frames of some columns, with ``__row`` and ``__line``; fast where every row is well-formed.

    A file in which every row has all its fields, in UTF-8, without zero bytes, is one frame for Polars' own reader; any
    other is read with care, in parts, its bad rows recorded in ``findings``.
    """
    columns = list(dict.fromkeys(columns))
    if table.recast is None:
        yield from _lazy_frames(table, columns, what=what, findings=findings)
        return
    for frame in _lazy_frames(table, list(table.recast.reads), what=what, findings=findings):
        yield table.recast.step(frame).select(ROW, LINE, *columns)


def _lazy_frames(table: Table, columns: list[str], *, what: TableName, findings: Findings) -> Iterator[pl.LazyFrame]:
    """Some columns as the file has them."""
    if table.kind == "parquet":
        frame = pl.scan_parquet(table.path).select(columns).with_row_index(ROW, offset=1)
        yield frame.with_columns(pl.lit(None, pl.UInt32).alias(LINE))
    elif table.kind == "jsonl" and (plain := jsonlines.fast(table.path, columns)) is not None:
        frame = plain.with_row_index(ROW, offset=1)
        yield frame.with_columns(pl.col(ROW).alias(LINE))
    elif table.kind == "delimited" and delimited.is_tidy(table.path, table.format):
        frame = pl.scan_csv(
            table.path,
            separator=table.format.separator,
            has_header=not table.format.headless,
            new_columns=list(table.format.header),
            infer_schema=False,
            quote_char='"' if table.format.quoted else None,
        )
        above = 0 if table.format.headless else 1
        # "" is nothing, as with care
        frame = frame.select(pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in columns)
        yield frame.with_row_index(ROW, offset=1).with_columns((pl.col(ROW) + above).alias(LINE))
    else:
        for part in _frames(table, what=what, findings=findings, size=100_000):
            yield part.select(ROW, LINE, *columns).lazy()


def frames(table: Table, *, what: TableName, findings: Findings, size: int) -> Iterator[pl.DataFrame]:
    """The whole table in parts of at most ``size`` rows, read with care, with ``__row`` and ``__line``.

    Values of delimited files and JSON lines are strings; Parquet keeps its types. Rows that cannot be read are recorded in
    ``findings``.

    Raises:
        DataError: the file is damaged.
    """
    parts = _frames(table, what=what, findings=findings, size=size)
    while True:
        with told_of(table.path):  # not around the yield, behind which others are at work
            if (part := next(parts, None)) is None:
                return
        yield table.recast.step(part.lazy()).collect() if table.recast else part


def _frames(table: Table, *, what: TableName, findings: Findings, size: int) -> Iterator[pl.DataFrame]:
    """The rows as the file has them."""
    if table.kind == "parquet":
        yield from _parquet_parts(table.path, size)
        return
    if table.kind == "delimited":
        names, records = table.format.header, delimited.records(table.path, table.format)
    else:
        names = table.recast.reads if table.recast else table.columns
        records = jsonlines.records(table.path, names, table.format.encoding)
    rows: list[tuple[int, int, list[str | None]]] = []
    for record in records:
        if record.trouble is not None:
            findings.add(table.place(what, record.row, record.line), record.trouble)
            continue
        rows.append((record.row, record.line, record.values))
        if len(rows) == size:
            yield _strings(rows, names)
            rows = []
    if rows:
        yield _strings(rows, names)


def _strings(rows: list[tuple[int, int, list[str | None]]], columns: Sequence[str]) -> pl.DataFrame:
    values = pl.DataFrame([r[2] for r in rows], schema=dict.fromkeys(columns, pl.String), orient="row")
    place = {ROW: pl.Series([r[0] for r in rows], dtype=pl.UInt32), LINE: pl.Series([r[1] for r in rows], dtype=pl.UInt32)}
    return pl.DataFrame(place).hstack(values)


def _parquet_parts(path: Path, size: int) -> Iterator[pl.DataFrame]:
    row = 1
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=size):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield frame.with_row_index(ROW, offset=row).with_columns(pl.lit(None, pl.UInt32).alias(LINE))
            row += len(frame)


def about_rows(table: Table) -> int:
    """About how many rows a table has, for a progress display: exact for Parquet, lines for text."""
    if table.kind == "parquet":
        return int(pq.read_metadata(table.path).num_rows)
    with told_of(table.path), delimited.open_bytes(table.path) as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 22), b""))
