"""Tables in memory: taken from Polars or pandas, their columns required, their text rendered from a template."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import polars as pl

from transrec.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def as_polars(frame: pl.DataFrame | pd.DataFrame) -> pl.DataFrame:
    """The table as Polars, whichever of the two it came as.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(frame, pl.DataFrame):
        return frame
    if type(frame).__module__.partition(".")[0] == "pandas":
        return pl.from_pandas(frame)
    raise TypeError(f"a Polars or pandas DataFrame is needed, not {type(frame).__name__}")


def require_columns(frame: pl.DataFrame, wanted: Iterable[str], *, what: str) -> None:
    """Raise a DataError that names the columns that are missing and those that are there."""
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise DataError(
            f"{what} has no column {', '.join(map(repr, missing))}",
            remedy=f"its columns are {', '.join(map(repr, frame.columns))}; say which one is meant",
        )


def render_text(frame: pl.DataFrame, template: str) -> pl.Series:
    """The text of every row: a column's name, or a template with columns in braces.

    A literal that stands before a column goes with it, and so do closing brackets after it: where the column is empty, all
    are left out. So with ``"{title} ({year}). {description}"`` an item with only a title reads ``"Toy Story"``, not
    ``"Toy Story (). "``. Rows in which every column is empty give null.

    Returns:
        strings of shape (rows,), stripped, null where there is nothing.

    Raises:
        DataError: the template names a column that is not there, or no column at all.
    """
    if template in frame.columns:
        template = "{" + template + "}"
    parts = re.split(r"\{([^{}]+)\}", template)
    literals, names = parts[0::2], parts[1::2]
    if not names:
        raise DataError(
            f"the text template {template!r} names no column of the table",
            remedy=f"write a column or a template such as '{{{frame.columns[0]}}}'; "
            f"the columns are {', '.join(map(repr, frame.columns))}",
        )
    require_columns(frame, names, what="the table of items")
    so_far = pl.lit("")
    for place, name in enumerate(names):
        closing, before = _closing(literals[place + 1])[0], _closing(literals[place])[1] if place else literals[0]
        value = pl.col(name).cast(pl.String).str.strip_chars().fill_null("")
        opening = before if place == 0 else _bracket(before)  # a separator has nothing to separate at the beginning
        glue = pl.when(so_far == "").then(pl.lit(opening)).otherwise(pl.lit(before))
        so_far = pl.when(value == "").then(so_far).otherwise(pl.concat_str([so_far, glue, value, pl.lit(closing)]))
    text = pl.when(so_far == "").then(None).otherwise(pl.concat_str([so_far, pl.lit(_closing(literals[-1])[1])]))
    return frame.select(text.str.strip_chars().alias("text"))["text"]


def _closing(literal: str) -> tuple[str, str]:
    """The closing brackets that a literal begins with, which belong to the column before it, and the rest."""
    rest = literal.lstrip(")]}>\N{RIGHT DOUBLE QUOTATION MARK}")
    return literal[: len(literal) - len(rest)], rest


def _bracket(literal: str) -> str:
    """The opening brackets that a literal ends with, which belong to the column after it."""
    return literal[len(literal.rstrip("([{<\N{LEFT DOUBLE QUOTATION MARK}")) :]
