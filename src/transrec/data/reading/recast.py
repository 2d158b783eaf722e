"""Recast: how the rows of a file become plain ones, where a public format does not write one event or item a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Recast:
    """What is made of the rows of one file while it is read.

    Attributes:
        reads: the columns of the file that are needed; the others are not read.
        columns: the columns that are made.
        step: frames of the file's rows, as strings where it is a text file, to frames of plain rows. It may be given the
            file in parts. It keeps ``__row`` and ``__line``, so that whatever is wrong is found in the file as it is.
    """

    reads: tuple[str, ...]
    columns: tuple[str, ...]
    step: Callable[[pl.LazyFrame], pl.LazyFrame]
