"""Damage: what readers of files raise on a broken one, as one error that says which file and what to do."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa

from transrec.errors import DataError

_TROUBLE = (
    *(EOFError, zlib.error, OSError, UnicodeDecodeError, pa.ArrowException, pl.exceptions.PolarsError),
    pl.exceptions.PanicException,  # names in a Parquet file that are no texts
)
_KINDS = {".gz": "gzip", ".parquet": "Parquet", ".pq": "Parquet"}


@contextmanager
def told_of(path: Path) -> Iterator[None]:
    """Whatever a reader raises meanwhile because of the file is told as a :class:`~transrec.errors.DataError`.

    Raises:
        DataError: the file is cut short, is not what its name says, or cannot be read.
    """
    try:
        yield
    except _TROUBLE as error:
        if isinstance(error, OSError) and error.strerror:  # the disk's own words, not about what the file holds
            raise DataError(
                f"the file cannot be read: {error.strerror}", where=str(path), remedy="check that it may be read"
            ) from None
        kind = _KINDS.get(path.suffix.lower())
        what = f"this is not a {kind} file, or a damaged one" if kind else "the file cannot be read"
        raise DataError(
            f"{what}: {str(error).partition(chr(10))[0]}",
            where=str(path),
            remedy="copy the file again, or write it anew; what it holds must agree with how its name ends",
        ) from None
