"""Delimited text: what separates its fields, whether every row is well-formed, and its records read with care."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

import numpy as np

from transrec.data.reading.findings import Reason, Trouble
from transrec.errors import DataError

SEPARATORS = (",", ";", "\t", "|")
_BLOCK = 1 << 22
_NEWLINE, _QUOTE, _RETURN = 10, 34, 13
_LONGEST_RECORD = 1000  # lines; a quotation mark that is not closed by then is a stray one


@dataclass(frozen=True, slots=True)
class Format:
    """How a delimited file is written.

    Attributes:
        separator: between fields, one or more characters; empty: found out from the header.
        header: the names of the columns; empty: the first line holds them.
        headless: whether the first line is data.
        quoted: whether fields may stand in quotation marks.
        encoding: of the text; UTF-8 is read fastest.
    """

    separator: str = ""
    header: tuple[str, ...] = ()
    headless: bool = False
    quoted: bool = True
    encoding: str = "utf-8"

    @property
    def is_utf8(self) -> bool:
        """Whether the text is UTF-8, perhaps with a byte order mark."""
        return self.encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"}


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its values, or what is wrong with it.

    Attributes:
        row: counted from 1, the header not counted.
        line: the line it begins in, counted from 1.
        values: one a column; empty fields are None.
        trouble: what is wrong; then the values mean nothing.
    """

    row: int
    line: int
    values: list[str | None]
    trouble: Trouble | None = None


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, decompressed where its name ends in ``.gz``."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def sniff(path: Path, format: Format) -> Format:
    """The format with separator and header filled in from the file's first line.

    Raises:
        DataError: the file is empty, is UTF-16, or its header cannot be used.
        OSError: it cannot be read.
    """
    with open_bytes(path) as file:
        first = file.readline(1 << 20)
    if first.startswith((b"\xff\xfe", b"\xfe\xff")) and format.is_utf8:
        raise DataError("this file is UTF-16", where=str(path), remedy="save it as UTF-8, or pass --encoding utf-16")
    if not first.strip():
        remedy = "copy the file again" if format.headless else "begin with the names of the columns"
        raise DataError("the file is empty or begins with an empty line", where=str(path), remedy=remedy)
    if not format.is_utf8 and format.encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
        with path.open(encoding=format.encoding) as text:
            line = text.readline()
    else:
        line = first.decode("utf-8-sig" if format.is_utf8 else format.encoding, errors="replace")
    separator = format.separator or max(SEPARATORS, key=line.count)
    if format.headless:
        return replace(format, separator=separator)
    if "\0" in line:
        raise DataError("the header holds a zero byte", where=str(path), remedy="remove it: tr -d '\\000' < FILE > CLEAN")
    header = _split(line.rstrip("\r\n"), replace(format, separator=separator)) or []
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice or not all(name.strip() for name in header):
        wrong = f"names {', '.join(map(repr, twice))} more than once" if twice else "has a column without a name"
        raise DataError(f"the header {wrong}", where=str(path), remedy="give every column its own name")
    return replace(format, separator=separator, header=tuple(header))


def is_tidy(path: Path, format: Format) -> bool:
    """Whether a fast reader can be trusted: UTF-8, no zero byte, on every line as many fields as there are columns.

    One pass over the bytes in blocks, without decoding fields. A line break inside quotation marks counts as untidy.
    """
    if not format.is_utf8 or len(format.separator.encode()) != 1:
        return False
    separator, width, rest = ord(format.separator), len(format.header), b""
    with open_bytes(path) as file:
        while block := file.read(_BLOCK):
            block = rest + block
            cut = block.rfind(b"\n") + 1
            if not _tidy_lines(block[:cut], separator, width, quoted=format.quoted):
                return False
            rest = block[cut:]
    return not rest or _tidy_lines(rest + b"\n", separator, width, quoted=format.quoted)


def _tidy_lines(block: bytes, separator: int, width: int, *, quoted: bool) -> bool:
    if b"\0" in block or (not block.isascii() and not _is_utf8(block)):
        return False
    if width == 1 and (block.startswith((b"\n", b"\r\n")) or any(e in block for e in (b"\n\n", b"\n\r\n", b'""'))):
        return False  # an empty line is no row, also where it has as many fields as a row, and not everyone tells it from ""
    codes = np.frombuffer(block, np.uint8)
    if b"\r" in block:
        returns = np.flatnonzero(codes == _RETURN)
        if not (codes[returns + 1] == _NEWLINE).all():  # the block ends in a newline, so there is a next byte
            return False
    breaks, fields = codes == _NEWLINE, codes == separator
    if quoted and b'"' in block:
        inside = np.bitwise_xor.accumulate((codes == _QUOTE).view(np.uint8)).view(bool)
        if (breaks & inside).any() or not _quotes_are_around(codes, inside, separator):
            return False
        fields &= ~inside
    ends = np.flatnonzero(breaks[np.flatnonzero(breaks | fields)])
    return bool((np.diff(ends, prepend=-1) == width).all())


def _quotes_are_around(codes: np.ndarray, inside: np.ndarray, separator: int) -> bool:
    """Whether quotation marks stand around whole fields, and inside them in pairs; of others readers make what they like."""
    marks = np.flatnonzero(codes == _QUOTE)
    opening, closing = marks[inside[marks]], marks[~inside[marks]]
    before = np.where(opening > 0, codes[opening - 1], _NEWLINE)
    behind = codes[closing + 1]  # the block ends in a newline
    return bool(
        np.isin(before, (separator, _NEWLINE, _QUOTE)).all()
        and np.isin(behind, (separator, _NEWLINE, _RETURN, _QUOTE)).all()
    )


def _is_utf8(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def records(path: Path, format: Format) -> Iterator[Record]:
    """Every record of the file, the bad ones with what is wrong with them; blank lines are passed over.

    A record may span lines inside quotation marks. Where a quotation mark is never closed, the line that opens it is bad and
    reading goes on with the next.
    """
    lines = _lines(path, format)
    if not format.headless:
        next(lines, None)
    pending: list[tuple[int, str]] = []
    row = 0
    while True:
        if not pending and not (pending := _next(lines)):
            return
        number, text = pending[0]
        if not text.strip("\r\n"):
            pending = pending[1:]
            continue
        row += 1
        while format.quoted and _is_open(pending) and len(pending) < _LONGEST_RECORD and (more := _next(lines)):
            pending += more
        values = _split("".join(t for _, t in pending), format)
        whole = values is not None and len(values) == len(format.header)
        if whole or len(pending) == 1:
            yield _record(row, number, "".join(t for _, t in pending), values, format)
            pending = []
        else:  # a stray quotation mark: give the lines that it swallowed another chance
            yield _record(row, number, text, _split(text, format), format)
            pending = pending[1:]


def _next(lines: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    found = next(lines, None)
    return [] if found is None else [found]


def _is_open(lines: list[tuple[int, str]]) -> bool:
    return bool(sum(text.count('"') for _, text in lines) % 2)


def _lines(path: Path, format: Format) -> Iterator[tuple[int, str]]:
    """Line numbers and lines; bytes that are not of the encoding are kept as surrogates, to be found later."""
    if format.encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
        with path.open(encoding=format.encoding, errors="replace", newline="") as text:
            yield from enumerate(text, start=1)
        return
    encoding = "utf-8" if format.is_utf8 else format.encoding
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            if number == 1 and format.is_utf8:
                line = line.removeprefix(b"\xef\xbb\xbf")
            yield number, line.decode(encoding, errors="surrogateescape" if format.is_utf8 else "replace")


def _split(line: str, format: Format) -> list[str] | None:
    """The fields of a record, or None where quotation marks make no sense."""
    if not format.quoted or len(format.separator) > 1:
        return line.rstrip("\r\n").split(format.separator)
    try:
        parsed = list(csv.reader([line], delimiter=format.separator, strict=True))
    except csv.Error:
        return None
    return parsed[0] if len(parsed) == 1 else None


def _record(row: int, line: int, text: str, values: list[str] | None, format: Format) -> Record:
    start = text.rstrip("\r\n")[:120].encode("utf-8", errors="replace").decode().replace("\0", "\N{SYMBOL FOR NULL}")
    trouble: Trouble | None = None
    if "\0" in text:
        trouble = Trouble(Reason.NUL_BYTE, start)
    elif "\N{REPLACEMENT CHARACTER}" in text if not format.is_utf8 else not text.isascii() and _has_surrogate(text):
        trouble = Trouble(Reason.ENCODING, f"not {format.encoding}: {start}")
    elif values is None:
        trouble = Trouble(Reason.RAGGED, f"a quotation mark that is not closed: {start}")
    elif len(values) != len(format.header):
        trouble = Trouble(Reason.RAGGED, f"{len(values)} fields where the header has {len(format.header)}: {start}")
    return Record(row, line, [value or None for value in values or []], trouble)


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
