"""What of a report needs the model: a map of item vectors, and what some users are recommended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F

from transrec.data.counts import Counts
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.splits import Split, Targets, split_of
from transrec.data.store import Progress
from transrec.model import TransRec
from transrec.recipes.reporting.settings import ReportSettings
from transrec.reports.files import RunFiles
from transrec.reports.people import People, Person, shown_items
from transrec.reports.places import Map, by_column, by_popularity, drawn_map
from transrec.retrieval.index import CatalogIndex, encode_histories
from transrec.training.trainer import resolve_device


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A run over the catalog of a dataset, as it is measured: only training events are counted.

    Attributes:
        model: of the run.
        dataset: whose catalog.
        split: of its events.
        index: the catalog under the model.
        tested: whether the test split of the dataset has been opened for this run.
    """

    model: TransRec
    dataset: Dataset
    split: Split
    index: CatalogIndex
    tested: bool

    @classmethod
    def of(cls, run: RunFiles, dataset: Dataset, *, device: str, progress: Progress | None = None) -> Encoded:
        """Encode a catalog under a run.

        Raises:
            TransRecError: the model cannot be read, or it can read nothing of the items.
        """
        model = TransRec.load(run.folder, device=resolve_device(device))
        split = split_of(dataset.interactions, run.record.split)
        counts = None if model.prior is None else Counts.of(split, len(dataset.catalog))
        index = CatalogIndex.of(model, dataset, counts, place=run.record.place_of(dataset), progress=progress)
        return cls(model, dataset, split, index, run.evaluation_on(dataset.fingerprint) is not None)

    def map(self, settings: ReportSettings) -> Map:
        """Item vectors on a plane; items that the model can read nothing of are left out."""
        catalog = self.dataset.catalog
        vectors_VD = self.index.vectors_VD.float()
        if self.model.settings.scorer != "dot":
            vectors_VD = F.normalize(vectors_VD, dim=1)
        readable = np.setdiff1d(np.arange(len(catalog)), self.index.unreadable)
        generator = np.random.default_rng(settings.seed)
        rows = np.sort(generator.permutation(readable)[: settings.points])
        if settings.colour_by:
            colours = by_column(catalog.column(settings.colour_by))
        else:
            colours = by_popularity(self.split.train_counts(len(catalog)))
        titles = dict(zip(rows.tolist(), catalog.titles(rows), strict=True))
        return drawn_map(vectors_VD.cpu().numpy(), titles, colours)

    def people(self, settings: ReportSettings) -> People:
        """Some users, drawn at random from those with a target: the test target only if the test has been opened."""
        targets = self.split.test if self.tested else self.split.validation
        generator = np.random.default_rng(settings.seed)
        drawn = np.sort(generator.permutation(len(targets))[: settings.users])
        own = Targets(targets.users[drawn], targets.positions[drawn])
        histories = Histories.before(self.dataset.interactions, own, times=self.model.users.reads_times)
        queries = encode_histories(self.model, self.index, histories)
        truth = self.dataset.interactions.rows[own.positions]
        ranks = self.index.rank(queries, truth, histories)
        best = self.index.search(queries, settings.recommended, histories).rows_BK.cpu().numpy()
        persons = [
            self._person(user, histories.rows[start:end], int(row), float(rank), [int(r) for r in found if r >= 0], settings)
            for user, start, end, row, rank, found in zip(
                own.users, histories.offsets[:-1], histories.offsets[1:], truth, ranks, best, strict=True
            )
        ]
        return People(persons, "test" if self.tested else "validation", len(targets), len(self.dataset.catalog))

    def _person(
        self, user: int, history: np.ndarray, truth: int, rank: float, best: Sequence[int], settings: ReportSettings
    ) -> Person:
        catalog, last = self.dataset.catalog, history[len(history) - min(len(history), settings.history) :]
        return Person(
            id=str(self.dataset.interactions.users[int(user)]),
            events=len(history),
            history=shown_items(catalog, last.tolist()),
            truth=shown_items(catalog, [truth])[0],
            rank=rank,
            recommended=shown_items(catalog, best),
        )
