"""The exported folder: graphs, assets, vectors and the manifest, each graph checked against PyTorch before it stays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from transrec.data.batches import ItemBatch, ItemPart
from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.store import ContentStore, Progress
from transrec.data.times import whole_seconds
from transrec.errors import ExportError
from transrec.export.assets import picture_reading, text_reading, write_assets
from transrec.export.graphs import FusionGraph, Graph, UserGraph, item_graph
from transrec.export.manifest import (
    GraphRecord,
    Manifest,
    ModalityRecord,
    PriorRecord,
    ScorerRecord,
    UsersRecord,
    VectorType,
    model_fingerprint,
)
from transrec.export.onnx import OnnxFile, write_graph
from transrec.export.parity import Case, measured
from transrec.export.vectors import write_vectors
from transrec.items.fusion import Fusion
from transrec.model import TransRec
from transrec.retrieval.index import CatalogIndex, encode_histories
from transrec.views import ItemViews

CHECKED = 32
"""Items of each modality, and users, on which graphs are checked."""


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """What is exported.

    Attributes:
        model: on the CPU, in evaluation mode; its items are centred as the dataset's are.
        dataset: whose items and users they are.
        index: its catalog under the model.
        platform: whose mean is folded into the graphs.
        run: name of the run.
    """

    model: TransRec
    dataset: Dataset
    index: CatalogIndex
    platform: int
    run: str


def require_vectors(model: TransRec) -> None:
    """Say so, before any work, when a vector is not all that a model reads of an item.

    Raises:
        ExportError: its scorer or its user tower reads views.
    """
    readers = [type(part).__name__ for part in (model.scorer, model.users) if part.reads_views]
    if readers:
        raise ExportError(
            f"{' and '.join(readers)} read the views of items too, and what is exported is one vector an item",
            remedy="serve it with transrec serve, or export a model with the scorer cosine or dot and the user encoder "
            "transformer, gated or lru",
        )


@final
class FolderWriter:
    """Writes what is exported into a folder.

    Args:
        exported: what.
        folder: where to; it is there and empty.
        progress: told how far it is.
    """

    def __init__(self, exported: Exported, folder: Path, progress: Progress | None = None) -> None:
        self.exported = exported
        self.folder = folder
        self.progress = progress
        self._done = 0
        self.items, self.batch = _sample(exported)

    @torch.no_grad()
    def write(self, vectors: VectorType) -> Manifest:
        """Write everything and say what it is.

        Args:
            vectors: type of the numbers of item vectors.

        Raises:
            ExportError: the fusion or the user tower cannot be translated, or a graph answers otherwise than PyTorch.
        """
        model, dataset = self.exported.model, self.exported.dataset
        views = model.items(self.batch)
        manifest = Manifest(
            run=self.exported.run,
            fingerprint=model_fingerprint(model),
            dataset=dataset.name,
            dataset_fingerprint=dataset.fingerprint,
            items={name: self._modality(name, views) for name in model.items.preparers()},
            fusion=self._fusion(views),
            users=self._users(),
            scorer=ScorerRecord.of(model.scorer),
            prior=None if self.exported.index.known is None else PriorRecord.of(self.exported.index.known.prior),
            vectors=write_vectors(
                dataset.catalog, self.exported.index, self.folder / "items.parquet", vectors, progress=self.progress
            ),
        )
        manifest.write(self.folder)
        return manifest

    def _modality(self, name: str, views: ItemViews) -> ModalityRecord:
        """One encoder's graph and assets; one that PyTorch cannot translate is left out, with the reason."""
        encoder = self.exported.model.items.preparers()[name]
        assets = self.folder / "items" / name
        write_assets(encoder, assets)
        graph, reason = None, ""
        try:
            graph = self._item_graph(name, views)
        except _Untranslatable as error:
            reason = error.what
        return ModalityRecord(
            graph=graph,
            reason=reason,
            assets=f"items/{name}",
            text=text_reading(encoder, assets, self.items),
            picture=picture_reading(encoder, assets),
        )

    def _item_graph(self, name: str, views: ItemViews) -> GraphRecord:
        part = self.batch.parts.get(name)
        if part is None or not len(part.index_n) or isinstance(part.content, Tensor):
            raise _Untranslatable("no item of the dataset has it, so there is nothing to check it with")
        try:
            graph = item_graph(self.exported.model.items, name, part.content, self.exported.platform)
        except ExportError as error:
            raise _Untranslatable(error.what) from error
        case = Case(graph.of_prepared(part.content), views.views[name][_first_of_each(part)])
        return self._graph(graph, f"items/{name}.onnx", [case], optional=True)

    def _fusion(self, views: ItemViews) -> GraphRecord:
        tower = self.exported.model.items
        names = tuple(views.views)
        assert isinstance(tower.fusion, Fusion)
        views_NMD = torch.stack([views.views[name] for name in names], dim=1)
        present_NM = torch.stack([views.present[name] for name in names], dim=1)
        graph = FusionGraph(tower.fusion, names, tower.width)
        return self._graph(graph, "fusion.onnx", [Case((views_NMD, present_NM), views.fused_UD)])

    def _users(self) -> UsersRecord:
        users, index = self.exported.model.users, self.exported.index
        histories = _histories(self.exported)
        rows_BL, mask_BL = (torch.from_numpy(array) for array in histories.padded())
        inputs: tuple[Tensor, ...] = (index.vectors.take(rows_BL), mask_BL)
        times_BL = histories.padded_times()
        if times_BL is not None:
            inputs = (*inputs, torch.from_numpy(times_BL))
        expected = encode_histories(self.exported.model, index, histories).vectors
        record = self._graph(UserGraph(users), "users.onnx", [Case(inputs, expected)] if len(histories) else [])
        return UsersRecord(graph=record, window=users.window, reads_times=users.reads_times)

    def _graph(self, graph: Graph, file: str, cases: list[Case], *, optional: bool = False) -> GraphRecord:
        """Write and check a graph.

        Raises:
            _Untranslatable: PyTorch cannot translate it, and it is optional.
            ExportError: the same of one that is not; or its answers are not those of PyTorch.
        """
        path = self.folder / file
        total = len(self.exported.model.items.encoders) + 2
        try:
            write_graph(graph.eval(), path)
            opened = OnnxFile(path)
        except ExportError as error:
            if not optional:
                raise
            path.unlink(missing_ok=True)
            raise _Untranslatable(error.what) from error
        record = GraphRecord.of(graph, file, measured(graph, opened, cases))
        self._done += 1
        if self.progress:
            self.progress("translating to ONNX", self._done, total)
        return record


class _Untranslatable(ExportError):
    """An encoder that stays behind."""


def _sample(exported: Exported) -> tuple[list[Item], ItemBatch]:
    """Some items of each modality, over the whole catalog, and their content."""
    catalog, encoders = exported.dataset.catalog, exported.model.items.preparers()
    rows: set[int] = set()
    for name in encoders:
        has_V = catalog.presence.get(name, np.ones(len(catalog), dtype=bool))
        rows.update(_spread(np.flatnonzero(has_V)).tolist())
    items = catalog.items(sorted(rows))
    store = ContentStore.prepare(Catalog.from_items(items), encoders).of_platform(exported.platform)
    batch = store.gather(np.arange(len(items)))
    return items, replace(batch, parts={name: batch.parts[name] for name in encoders if name in batch.parts})


def _histories(exported: Exported) -> Histories:
    """What some users did last, as far as the model reads it."""
    events = exported.dataset.interactions
    users = _spread(np.arange(len(events.users)))
    times = events.times if exported.model.users.reads_times else None
    found = Histories.between(events.rows, events.offsets[users], events.offsets[users + 1], times)
    if found.times is not None:
        found = replace(found, times=whole_seconds(found.times))
    return found.last(exported.model.window)


def _spread(places: np.ndarray) -> np.ndarray:
    """At most :data:`CHECKED` of them, evenly."""
    chosen: np.ndarray = (
        places[np.unique(np.linspace(0, max(len(places) - 1, 0), CHECKED).astype(np.int64))] if len(places) else places
    )
    return chosen


def _first_of_each(part: ItemPart) -> Tensor:
    """For each entry of a part's content, an item of the batch that has it: equal content may stand there once."""
    if part.inverse_n is None:
        return part.index_n
    first = torch.zeros(int(part.inverse_n.max()) + 1, dtype=torch.int64)
    first[part.inverse_n.flip(0)] = part.index_n.flip(0)
    return first
