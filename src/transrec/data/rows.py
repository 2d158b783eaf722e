"""Rows: where a catalog's rows are: in memory, in a Lance dataset, one after the other, some as newer versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, final

import lance
import numpy as np
import pyarrow as pa

from transrec.errors import DataError

PIECES = 64
"""So many tables in memory may follow each other before they are copied into one."""


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

    def __len__(self) -> int:
        return len(self._table)

    def followed_by(self, table: pa.Table) -> InMemory:
        """The rows with those of another table after them; a column that only one of the two has is null in the other."""
        together = pa.concat_tables([self._table, table], promote_options="permissive")
        pieces = max((column.num_chunks for column in together.columns), default=0)
        # every piece is looked through when rows are taken
        return InMemory(together.combine_chunks() if pieces > PIECES else together)


@final
class OnDisk:
    """Rows of a Lance dataset, read when they are asked for.

    Raises:
        DataError: with anything that is asked, where the files are damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _whole(folder):
            self._dataset = lance.dataset(str(folder))

    @property
    def schema(self) -> pa.Schema:
        return self._dataset.schema

    def take(self, rows: Sequence[int], columns: Sequence[str]) -> pa.Table:
        with _whole(self._folder):
            return self._dataset.take(list(rows), columns=list(columns))

    def read(self, columns: Sequence[str]) -> pa.Table:
        with _whole(self._folder):
            return self._dataset.to_table(columns=list(columns))


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """Lance's own complaints about damaged files as an error that says where and what to do."""
    try:
        yield
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        told = str(error).partition(", /")[0]  # behind it stands where in its own source Lance found out
        raise DataError(
            f"the catalog is damaged: {told}", where=str(folder), remedy="ingest the data again into a new folder"
        ) from None


@final
class Appended:
    """Rows with others after them; nothing of the former is read or copied for it.

    A column that only one of the two has is null in the rows of the other.
    """

    def __init__(self, first: Rows, count: int, then: InMemory) -> None:
        self._first, self._count, self._then = first, count, then
        self._schema = pa.unify_schemas([first.schema, then.schema], promote_options="permissive")

    @property
    def schema(self) -> pa.Schema:
        return self._schema

    def __len__(self) -> int:
        return self._count + len(self._then)

    def followed_by(self, table: pa.Table) -> Appended:
        """The same with the rows of another table after them; what grows row by row does not become a chain."""
        return Appended(self._first, self._count, self._then.followed_by(table))

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


@final
class Versions:
    """Rows of which some have newer versions, which stand somewhere else.

    Args:
        kept: every version of every row, as they were written.
        place_V: where the version of each row is that counts, int64.
    """

    def __init__(self, kept: Rows, place_V: np.ndarray) -> None:
        self.kept, self.place_V = kept, place_V

    @property
    def schema(self) -> pa.Schema:
        return self.kept.schema

    def take(self, rows: Sequence[int], columns: Sequence[str]) -> pa.Table:
        return self.kept.take(self.place_V[np.asarray(rows, dtype=np.int64)].tolist(), columns)

    def read(self, columns: Sequence[str]) -> pa.Table:
        return self.kept.read(columns).take(pa.array(self.place_V))


def with_versions(rows: Rows, count: int, table: pa.Table, replaced: np.ndarray) -> Rows:
    """Rows with a table that brings newer versions of some of them and further ones; nothing is renumbered.

    Args:
        rows: what there is.
        count: how many of them there are.
        table: what comes.
        replaced: the row of which each of the table's is a newer version, int64; from ``count`` on it is a further row.
    """
    kept, place_V = (rows.kept, rows.place_V) if isinstance(rows, Versions) else (rows, np.arange(count))
    written = len(kept) if isinstance(kept, Appended) else count
    appended = kept.followed_by(table) if isinstance(kept, Appended) else Appended(kept, written, InMemory(table))
    if kept is rows and (replaced >= count).all():
        return appended
    grown_V = np.concatenate([place_V, np.zeros(int((replaced >= count).sum()), dtype=np.int64)])
    grown_V[replaced] = written + np.arange(len(replaced))
    return Versions(appended, grown_V)


def _those_of(rows: Rows, columns: Sequence[str]) -> list[str]:
    """The columns that there are; any one where there is none of them, for a table without columns forgets its length."""
    return [name for name in columns if name in rows.schema.names] or rows.schema.names[:1]
