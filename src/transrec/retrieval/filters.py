"""Filters: what may be recommended, said of catalog columns in text: ``in_stock = true and price < 50``.

Polars parses and evaluates them. Before that every word is looked at: only columns that there are, literals and comparisons
go through, so that a text from outside calls no function and reads no file.
"""

from __future__ import annotations

import re

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from transrec.data.catalog import Catalog
from transrec.errors import DataError

LONGEST = 4000
"""Characters of a filter."""
DEEPEST = 32
"""Parentheses inside each other."""

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<number>-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?!\w)
    | (?P<word>[^\W\d]\w*)
    | (?P<comparison><=|>=|<>|!=|=|<|>)
    | (?P<mark>[(),])
    | (?P<end>$)
    )""",
    re.VERBOSE,
)
_LITERALS = {"true", "false", "null"}
_WORDS = {"and", "or", "not", "in", "between", "is", "like", "ilike"}
_SAYS = "a filter compares columns: = <> < <= > >=, and, or, not, in (...), between ... and ..., is null, like '...%'"


def allowed_by(where: str, catalog: Catalog) -> np.ndarray:
    """Which rows of a catalog a filter lets through, bool of shape (V,); what cannot be said of a row (null) does not.

    Args:
        where: comparisons of columns with literals or with each other, joined by ``and``, ``or``, ``not`` and parentheses;
            text in single quotes, a column whose name is no plain word in double quotes.
        catalog: whose columns.

    Raises:
        DataError: it is no such filter, names a column that there is not, or compares what cannot be compared.
    """
    names = _columns_of(catalog)
    tokens, used = _checked(where, names)
    frame = pl.DataFrame([_column(catalog, name) for name in used]).fill_nan(None)
    try:
        condition = pl.sql_expr(" ".join(tokens))
        found = (frame if used else pl.DataFrame({"": [0]})).select(condition.alias("found"))["found"]
    except PolarsError as error:
        types = catalog.column_types()
        raise DataError(
            f"the filter {where!r} cannot be used: {str(error).splitlines()[0]}",
            where="; ".join(f"{name} holds {types.get(name, 'String')}" for name in used) or None,
            remedy=_SAYS,
        ) from None
    if found.dtype not in (pl.Boolean, pl.Null):
        raise DataError(f"the filter {where!r} is not true or false of an item, it is {found.dtype}", remedy=_SAYS)
    allowed_V: np.ndarray = found.cast(pl.Boolean).fill_null(value=False).to_numpy()
    return np.broadcast_to(allowed_V, len(catalog)).copy() if not used else allowed_V.copy()


def _column(catalog: Catalog, name: str) -> pl.Series:
    return pl.Series("id", catalog.ids) if name == "id" and "id" not in catalog.columns else catalog.column(name)


def _columns_of(catalog: Catalog) -> tuple[str, ...]:
    return ("id", *catalog.columns)


def _checked(where: str, names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The filter in words that polars reads in one way only, and the columns in it.

    Raises:
        DataError: something in it is none of what a filter may hold.
    """
    if len(where) > LONGEST:
        raise DataError(f"the filter has {len(where):,} characters, {LONGEST:,} are the most", remedy="make it shorter")
    tokens: list[str] = []
    used: list[str] = []
    at, depth, after_operand = 0, 0, False
    while True:
        match = _TOKEN.match(where, at)
        if match is None:
            raise _refused(where, at, f"{where[at:].strip()[:20]!r} cannot stand in a filter", names)
        kind, token = str(match.lastgroup), match[str(match.lastgroup)]
        if kind == "end":
            break
        joins = kind == "comparison" or (kind == "word" and token.lower() in _WORDS) or token in (",", ")")
        depth += (token == "(") - (token == ")")
        if after_operand and not joins:
            said = "functions cannot be called" if token == "(" else f"{token!r} follows what it is not compared with"
            raise _refused(where, match.start(kind), said, names)
        if depth > DEEPEST:
            raise _refused(where, match.start(kind), f"parentheses are more than {DEEPEST} deep", names)
        operand = not joins and token != "("
        tokens.append(_operand(where, match, names, used) if operand else token.lower())
        after_operand = operand or token == ")"
        at = match.end()
    if not tokens:
        raise DataError("the filter is empty", remedy="leave it out, or " + _SAYS)
    return tokens, used


def _operand(where: str, match: re.Match[str], names: tuple[str, ...], used: list[str]) -> str:
    """A literal as it is, or a column in quotes, which is noted."""
    kind, token = str(match.lastgroup), match[str(match.lastgroup)]
    if kind in ("text", "number") or (kind == "word" and token.lower() in _LITERALS and token not in names):
        return token
    name = token[1:-1].replace('""', '"') if kind == "quoted" else token
    if name not in names:
        raise _refused(where, match.start(kind), f"the catalog has no column {name!r}", names)
    if name not in used:
        used.append(name)
    return '"' + name.replace('"', '""') + '"'


def _refused(where: str, at: int, what: str, names: tuple[str, ...]) -> DataError:
    return DataError(
        f"{what}, in the filter {where[:200]!r}",
        where=f"character {at + 1}",
        remedy=f"{_SAYS}; the columns are {', '.join(names)}",
    )
