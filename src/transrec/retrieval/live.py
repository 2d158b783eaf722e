"""LiveCatalog: a catalog and its index while items come, change and go; readers see one state, whole."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch

from transrec.data.catalog import Catalog, Item
from transrec.errors import DataError, UnknownItemError
from transrec.model import TransRec
from transrec.retrieval.approximate import ApproximateSearch
from transrec.retrieval.encoding import encode_given
from transrec.retrieval.index import CatalogIndex
from transrec.retrieval.journal import Change, Journal

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One state of a catalog; whoever holds it sees no change.

    Attributes:
        catalog: the items, also those that were removed: they may stand in histories.
        index: their vectors, and which were removed.
        approximate: finds candidates where that is wanted; all items are looked at when None.
    """

    catalog: Catalog
    index: CatalogIndex
    approximate: ApproximateSearch | None = None

    def holds(self, item_id: str) -> bool:
        """Whether an item is there and was not removed."""
        return item_id in self.catalog and not np.isin(self.catalog.row(item_id), self.index.removed)

    def row(self, item_id: str) -> int:
        """The row of an item that is there.

        Raises:
            UnknownItemError: it is not, or was removed.
        """
        row = self.catalog.row(item_id)
        if np.isin(row, self.index.removed):
            raise UnknownItemError(f"the item {item_id!r} was removed", remedy="adding it again brings it back")
        return row

    def with_items(self, items: Sequence[Item], columns: Columns, vectors_nD: torch.Tensor) -> Snapshot:
        """The state in which these items are what they are now, whether they were there or not."""
        catalog = self.catalog.with_versions(items, columns)
        index = self.index.with_versions(vectors_nD, catalog.rows([item.id for item in items]))
        return replace(self, catalog=catalog, index=index)

    def without(self, item_ids: Sequence[str]) -> Snapshot:
        """The state in which these items, which are there, are no longer shown."""
        return replace(self, index=self.index.without(self.catalog.rows(item_ids)))


@final
class LiveCatalog:
    """A catalog that changes while it is asked.

    Reading takes :attr:`now` once and needs no lock. One change is made at a time; it is on disk before it is seen.
    An update is a new version in the item's row, so that what counts say of the item stays; a removal leaves a tombstone.

    Args:
        model: encodes what comes; in evaluation mode.
        now: the first state.
        platform: which of the model's platforms it is.
        journal: where changes are written down; they last as long as the process when None.
    """

    def __init__(self, model: TransRec, now: Snapshot, *, platform: int = 0, journal: Journal | None = None) -> None:
        self.model = model
        self.now = now
        """The present state."""
        self.platform = platform
        self._journal = journal
        self._writing = threading.Lock()

    def add(self, items: Sequence[Item], columns: Columns | None = None) -> None:
        """Add items, or bring removed ones back; see :meth:`~transrec.serving.recommender.Recommender.add`."""
        given = _checked(items, columns)
        if not items:
            return
        with self._writing:
            there = [item.id for item in items if self.now.holds(item.id)]
            if there:
                raise DataError(
                    f"{len(there)} items are in the catalog already, for example {there[0]!r}",
                    remedy="to change what an item is, update it",
                )
            self._put(items, given)

    def update(self, items: Sequence[Item | str], columns: Columns | None = None) -> None:
        """Make items what they are now; see :meth:`~transrec.serving.recommender.Recommender.update`."""
        given = _checked(items, columns)
        if not items:
            return
        ids = [_id(item) for item in items]
        with self._writing:
            rows = [self.now.row(item_id) for item_id in ids]
            known = [self.now.catalog.record(row) for row in rows]
            names = dict.fromkeys([*self.now.catalog.columns, *given])
            whole = {name: given.get(name) or [record.get(name) for record in known] for name in names}
            if all(isinstance(item, str) for item in items):
                self._write(self.now, Change.of_columns(ids, given), whole)
                return
            kept = dict(zip(ids, self.now.catalog.items(rows), strict=True))
            self._put([kept[item] if isinstance(item, str) else item for item in items], whole)

    def remove(self, item_ids: Sequence[str]) -> None:
        """Show these items no more; see :meth:`~transrec.serving.recommender.Recommender.remove`."""
        if not item_ids:
            return
        with self._writing:
            for item_id in item_ids:
                self.now.row(item_id)
            after = self.now.without(item_ids)
            self._keep(Change.removal(item_ids))
            self.now = after

    def close(self) -> None:
        """Let another process, or another live catalog of the same run, make changes."""
        with self._writing:
            if self._journal is not None:
                self._journal.close()

    def _put(self, items: Sequence[Item], columns: Columns) -> None:
        vectors_nD = encode_given(self.model, items, self.platform)
        after = self.now.with_items(items, columns, vectors_nD)
        self._keep(Change.of_items(items, columns, vectors_nD.float().cpu().numpy()))
        self.now = after

    def _write(self, before: Snapshot, change: Change, columns: Columns) -> None:
        """New columns of items that stay what they are."""
        rows = before.catalog.rows(change.ids)
        catalog = before.catalog.with_versions(before.catalog.items(rows), columns)
        self._keep(change)
        self.now = replace(before, catalog=catalog)

    def _keep(self, change: Change) -> None:
        if self._journal is not None:
            self._journal.append(change)


def _id(item: Item | str) -> str:
    return item if isinstance(item, str) else item.id


def _checked(items: Sequence[Item | str], columns: Columns | None) -> dict[str, list[Any]]:
    """The columns as lists.

    Raises:
        DataError: a column is not as long as the items, or an item occurs twice.
    """
    given = {name: list(values) for name, values in (columns or {}).items()}
    for name, values in given.items():
        if len(values) != len(items):
            raise DataError(f"the column {name!r} has {len(values)} values for {len(items)} items", remedy="give one each")
    ids = [_id(item) for item in items]
    if len(set(ids)) < len(ids):
        twice = next(own for place, own in enumerate(ids) if own in ids[:place])
        raise DataError(
            f"{len(ids) - len(set(ids))} ids occur more than once, for example {twice!r}", remedy="give each item once"
        )
    return given
