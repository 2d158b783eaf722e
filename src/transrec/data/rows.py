"""Rows: where a catalog's rows are: in memory, in a Lance dataset, or one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, final

import lance
import numpy as np
import pyarrow as pa


class Rows(Protocol):
    """The rows of a catalog, by number and by column."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        ...

    def take(self, rows: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Some rows, in the order asked for."""
        ...

    def read(self, columns: Sequence[str]) -> pa.Table:
        """All rows."""
        ...


@final
class InMemory:
    """Rows of a table in memory."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @property
    def schema(self) -> pa.Schema:
        return self._table.schema

    def take(self, rows: Sequence[int], columns: Sequence[str]) -> pa.Table:
        return self._table.select(list(columns)).take(pa.array(rows, pa.int64()))

    def read(self, columns: Sequence[str]) -> pa.Table:
        return self._table.select(list(columns))


@final
class OnDisk:
    """Rows of a Lance dataset, read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._dataset = lance.dataset(str(folder))

    @property
    def schema(self) -> pa.Schema:
        return self._dataset.schema

    def take(self, rows: Sequence[int], columns: Sequence[str]) -> pa.Table:
        return self._dataset.take(list(rows), columns=list(columns))

    def read(self, columns: Sequence[str]) -> pa.Table:
        return self._dataset.to_table(columns=list(columns))


@final
class Appended:
    """Rows with others after them; nothing of the former is read or copied for it.

    A column that only one of the two has is null in the rows of the other.
    """

    def __init__(self, first: Rows, count: int, then: Rows) -> None:
        self._first, self._count, self._then = first, count, then
        self._schema = pa.unify_schemas([first.schema, then.schema], promote_options="permissive")

    @property
    def schema(self) -> pa.Schema:
        return self._schema

    def take(self, rows: Sequence[int], columns: Sequence[str]) -> pa.Table:
        wanted = np.asarray(rows, dtype=np.int64)
        early, late = np.flatnonzero(wanted < self._count), np.flatnonzero(wanted >= self._count)
        parts = [
            self._first.take(wanted[early].tolist(), _those_of(self._first, columns)),
            self._then.take((wanted[late] - self._count).tolist(), _those_of(self._then, columns)),
        ]
        place = np.empty(len(wanted), dtype=np.int64)
        place[np.concatenate([early, late])] = np.arange(len(wanted))
        return self._together(parts, columns).take(pa.array(place))

    def read(self, columns: Sequence[str]) -> pa.Table:
        return self._together([part.read(_those_of(part, columns)) for part in (self._first, self._then)], columns)

    def _together(self, parts: Sequence[pa.Table], columns: Sequence[str]) -> pa.Table:
        return pa.concat_tables(parts, promote_options="permissive").select(list(columns))


def _those_of(rows: Rows, columns: Sequence[str]) -> list[str]:
    """The columns that there are; any one where there is none of them, for a table without columns forgets its length."""
    return [name for name in columns if name in rows.schema.names] or rows.schema.names[:1]
