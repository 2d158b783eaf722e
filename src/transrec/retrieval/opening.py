"""Opening a live catalog from what is kept beside a run: vectors, and the changes that were made since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transrec.data.catalog import Item
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.store import Progress
from transrec.model import TransRec
from transrec.retrieval.approximate import ApproximateSearch
from transrec.retrieval.encoding import attune_elsewhere, encode_given
from transrec.retrieval.index import CatalogIndex, encode_histories
from transrec.retrieval.journal import Change, Journal
from transrec.retrieval.kept import Encoding, KeptVectors, Precision, brought_up_to_date
from transrec.retrieval.live import LiveCatalog, Snapshot
from transrec.retrieval.queries import KnownCounts, served_counts

CHANGES = "changes.journal"
MEASURED_BY = 256
"""Users for whom the recall of approximate search is measured."""


def open_live(  # noqa: PLR0913  (whose vectors, how they are kept, and who makes them)
    model: TransRec,
    dataset: Dataset,
    folder: Path,
    *,
    place: int | None = 0,
    precision: Precision = "float32",
    progress: Progress | None = None,
    encoding: Encoding | None = None,
) -> tuple[LiveCatalog, KeptVectors]:
    """A catalog that changes, with everything that was changed before; and what is kept of its vectors.

    What counts add comes from the dataset as it is. A change that was written down counts more than the dataset, also where
    that has been ingested again since: remove the journal to forget changes.

    Args:
        model: in evaluation mode.
        dataset: what there was at first.
        folder: where vectors and changes are kept.
        place: which of the platforms that the model has learned from it is, None: none of them.
        precision: of the vectors that are kept.
        progress: told how far it is.
        encoding: who encodes when no vectors are kept; this process when None.

    Raises:
        DataError: the model can read nothing of what the items have.
        RunError: what was written down is damaged.
    """
    kept = brought_up_to_date(model, dataset, folder, place=place, precision=precision, progress=progress, encoding=encoding)
    first = Snapshot(dataset.catalog, _index(model, dataset, kept, place), ApproximateSearch.open(kept.folder))
    journal = Journal(folder / CHANGES, kept.model)
    now = replayed(model, first, journal.read(), journal.model, platform=place or 0)
    return LiveCatalog(model, now, platform=place or 0, journal=journal), kept


def with_approximate(model: TransRec, dataset: Dataset, kept: KeptVectors, *, place: int | None = 0) -> ApproximateSearch:
    """Make and keep the lists of approximate search over vectors that are kept; recall is measured for some of the users.

    Args:
        model: in evaluation mode.
        dataset: of the vectors.
        kept: the vectors.
        place: which of the platforms that the model has learned from it is, None: none of them.

    Raises:
        MissingExtraError: faiss is not installed.
        ModelError: the model's scorer is no inner product.
    """
    index, events = _index(model, dataset, kept, place), dataset.interactions
    starts, ends = events.offsets[:-1], events.offsets[1:]
    asked = np.random.default_rng(0).permutation(np.flatnonzero(ends > starts))[:MEASURED_BY]
    histories = Histories.between(events.rows, starts[asked], ends[asked])
    search = ApproximateSearch.build(index, encode_histories(model, index, histories))
    search.save(kept.folder)
    return search


def _index(model: TransRec, dataset: Dataset, kept: KeptVectors, place: int | None) -> CatalogIndex:
    if place is None:
        attune_elsewhere(model, kept.vectors.read_by(model.users))
    known = KnownCounts.of(model, served_counts(model, dataset), place)
    return CatalogIndex(kept.vectors, model.scorer, kept.unreadable, known)


def replayed(model: TransRec, before: Snapshot, changes: Iterable[Change], fingerprint: str, *, platform: int) -> Snapshot:
    """The state that changes lead to, as if they were made one after the other.

    Args:
        model: encodes what another model's vectors were written for.
        before: the state that they begin with.
        changes: oldest first.
        fingerprint: of the model.
        platform: which of the model's platforms it is.
    """
    last: dict[str, _Fate] = {}
    for change in changes:
        for place, item_id in enumerate(change.ids):
            fate = last.setdefault(item_id, _Fate())
            if change.kind == "removal":
                fate.removed = True
                continue
            fate.removed = False
            own = {name: values[place] for name, values in (change.columns or {}).items()}
            if change.kind == "columns":
                fate.columns.update(own)
                continue
            fate.item, fate.columns, fate.vector = change.items[place], own, None
            if change.vectors is not None and change.model == fingerprint:
                fate.vector = torch.from_numpy(change.vectors[place].copy())
    after = _with_content(model, before, {key: fate for key, fate in last.items() if fate.item is not None}, platform)
    after = _with_columns(after, {key: fate for key, fate in last.items() if fate.item is None and fate.columns})
    gone = [item_id for item_id, fate in last.items() if fate.removed and item_id in after.catalog]
    return after.without(gone) if gone else after


@dataclass(slots=True, eq=False)
class _Fate:
    """What became of an item: its content, if that was given, its columns, as far as they were, and whether it is gone."""

    item: Item | None = None
    columns: dict[str, Any] = field(default_factory=dict)
    vector: torch.Tensor | None = None
    removed: bool = False


def _with_content(model: TransRec, before: Snapshot, fates: dict[str, _Fate], platform: int) -> Snapshot:
    """Items that were given by their content; those whose vectors are not known are encoded now, all together."""
    if not fates:
        return before
    unknown = [fate for fate in fates.values() if fate.vector is None]
    if unknown:
        made_nD = encode_given(model, [fate.item for fate in unknown if fate.item is not None], platform)
        for fate, vector_D in zip(unknown, made_nD, strict=True):
            fate.vector = vector_D.cpu()
    vectors_nD = torch.stack([fate.vector for fate in fates.values() if fate.vector is not None])
    items = [fate.item for fate in fates.values() if fate.item is not None]
    return before.with_items(items, _columns(before, fates, whole=False), vectors_nD.to(before.index.device))


def _with_columns(before: Snapshot, fates: dict[str, _Fate]) -> Snapshot:
    """Items that are what they are in the dataset, with other columns; those that the dataset no longer has are left out."""
    there = {item_id: fate for item_id, fate in fates.items() if item_id in before.catalog}
    if not there:
        return before
    items = before.catalog.items(before.catalog.rows(list(there)))
    return replace(before, catalog=before.catalog.with_versions(items, _columns(before, there, whole=True)))


def _columns(before: Snapshot, fates: dict[str, _Fate], *, whole: bool) -> dict[str, list[Any]]:
    """The columns of these items, those of the catalog where none were given if ``whole``."""
    catalog = before.catalog
    known = [catalog.record(catalog.row(item_id)) if whole else {} for item_id in fates]
    names = dict.fromkeys([*(catalog.columns if whole else ()), *(name for fate in fates.values() for name in fate.columns)])
    return {
        name: [fate.columns.get(name, own.get(name)) for fate, own in zip(fates.values(), known, strict=True)]
        for name in names
    }
