"""JSON lines: one object a line, read fast where every line is alike, else line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from transrec.data.reading.delimited import Record, open_bytes
from transrec.data.reading.findings import Reason, Trouble

_SAMPLE = 1000
_BLOCK = 1 << 22


def columns(path: Path) -> tuple[str, ...]:
    """The keys of the first lines, in the order of their first appearance.

    Raises:
        OSError: the file cannot be read.
    """
    names: dict[str, None] = {}
    with open_bytes(path) as file:
        for line, _ in zip(file, range(_SAMPLE), strict=False):
            value = _parsed(line)
            if isinstance(value, dict):
                names.update(dict.fromkeys(value))
    return tuple(names)


def fast(path: Path, names: Sequence[str]) -> pl.LazyFrame | None:
    """These keys of every line as strings by Polars' own reader, or None where it cannot be trusted with the file."""
    if path.suffix == ".gz" or not _is_plain(path):
        return None
    frame = pl.scan_ndjson(path, schema=dict.fromkeys(names, pl.String))
    try:
        frame.select(pl.all().count()).collect(engine="streaming")  # parses every value and keeps none
    except pl.exceptions.PolarsError:
        return None
    return frame


def _is_plain(path: Path) -> bool:
    """Whether every line is one object without nested values, in UTF-8; braces inside strings count as nested.

    One pass over the bytes in blocks: as many opening braces as lines, and every line break between two objects.
    """
    rest = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            block = (rest + block).replace(b"\r\n", b"\n")
            cut = block.rfind(b"\n") + 1
            if not _plain_lines(block[:cut]):
                return False
            rest = block[cut:]
    return not rest or _plain_lines(rest + b"\n")


def _plain_lines(block: bytes) -> bool:
    lines = block.count(b"\n")
    if not lines:
        return True  # a line longer than a block: judged when it is whole
    whole = block.startswith(b"{") and block.endswith(b"}\n") and block.count(b"}\n{") == lines - 1
    if not whole or block.count(b"{") != lines or b"[" in block or b"\0" in block or b"\\u0000" in block:
        return False
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def records(path: Path, names: Sequence[str], encoding: str = "utf-8") -> Iterator[Record]:
    """Every line as strings, one a key; blank lines are passed over.

    A list of strings becomes its members joined by spaces; numbers, lists of numbers and objects stay as JSON.
    """
    row = 0
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            row += 1
            start = line.strip()[:120].decode(errors="replace").replace("\0", "\N{SYMBOL FOR NULL}")
            if b"\0" in line:
                yield Record(row, number, [], Trouble(Reason.NUL_BYTE, start))
                continue
            try:
                text = line.decode(encoding)
            except UnicodeDecodeError:
                yield Record(row, number, [], Trouble(Reason.ENCODING, f"not {encoding}: {start}"))
                continue
            value = _parsed(text)
            if isinstance(value, dict):
                yield Record(row, number, [_string(value.get(name)) for name in names])
            else:
                yield Record(row, number, [], Trouble(Reason.BAD_JSON, start))


def _parsed(line: str | bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _string(value: object) -> str | None:
    if value is None or value in ("", []):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " ".join(part for part in value if part) or None
    return json.dumps(value, ensure_ascii=False)
