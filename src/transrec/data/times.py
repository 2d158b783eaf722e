"""Times: numbers stay numbers, dates become seconds since 1970 in UTC."""

from __future__ import annotations

import numpy as np
import polars as pl

UNKNOWN_TIME = int(np.iinfo(np.int64).min)
"""Stands for a time that is not known, where times are whole seconds."""
LARGEST_TIME = 1 << 61
"""Whole seconds are kept between minus this and this, so that the time between two of them fits into 64 bits."""

# a zone as Z, UTC, +02, +0200 or +02:00; a time without one is taken as UTC
_ISO = (
    r"^\s*(\d{4}-\d{2}-\d{2})(?:[T ]+(\d{2}:\d{2})(?::(\d{2}(?:[.,]\d{1,9})?))?)?\s*(Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?\s*$"
)


def numbers(column: pl.Expr, kind: type[pl.Float32] | type[pl.Float64] = pl.Float64) -> pl.Expr:
    """Strings or numbers as floats of a kind, null where they are not finite numbers of it."""
    number = column.cast(kind, strict=False)
    return pl.when(number.is_finite()).then(number)


def seconds(column: str, kind: pl.DataType) -> pl.Expr:
    """An expression for float64 seconds from a column of numbers, strings or dates; null where it is neither.

    Strings hold numbers or ISO 8601 dates, also mixed, with or without a time of day and a zone. NaN and infinity
    count as null.
    """
    value = pl.col(column)
    if kind.is_temporal():
        if kind == pl.Time or kind == pl.Duration:
            return value.cast(pl.Int64).replace_strict({}, default=None, return_dtype=pl.Float64)
        return value.cast(pl.Datetime("us")).dt.epoch("us") / 1e6
    if kind.is_numeric():
        return numbers(value)
    return pl.coalesce(numbers(value.cast(pl.String).str.strip_chars()), _iso(value.cast(pl.String)))


def whole_seconds(times: np.ndarray) -> np.ndarray:
    """Float seconds as what user encoders read: int64, rounded down; NaN becomes :data:`UNKNOWN_TIME`."""
    known = np.clip(np.floor(np.nan_to_num(times)), -LARGEST_TIME, LARGEST_TIME).astype(np.int64)
    return np.where(np.isnan(times), UNKNOWN_TIME, known)


def _iso(value: pl.Expr) -> pl.Expr:
    part = value.str.extract_groups(_ISO).struct
    day = part.field("1").str.to_date("%Y-%m-%d", strict=False).cast(pl.Int64) * 86_400
    clock = part.field("2")
    hours, minutes = clock.str.slice(0, 2).cast(pl.Float64), clock.str.slice(3, 2).cast(pl.Float64)
    rest = part.field("3").str.replace(",", ".", literal=True).cast(pl.Float64)
    in_range = (hours.fill_null(0) < 24) & (minutes.fill_null(0) < 60) & (rest.fill_null(0) < 61)
    within = hours.fill_null(0) * 3600 + minutes.fill_null(0) * 60 + rest.fill_null(0)
    digits = part.field("4").str.replace_all(r"[^0-9]", "")
    away = digits.str.slice(0, 2).cast(pl.Float64, strict=False).fill_null(0) * 3600
    away = away + digits.str.slice(2, 2).cast(pl.Float64, strict=False).fill_null(0) * 60
    sign = pl.when(part.field("4").str.starts_with("-")).then(-1.0).otherwise(1.0)
    return pl.when(in_range).then(day + within - sign * away)
