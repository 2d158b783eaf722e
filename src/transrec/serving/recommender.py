"""Recommender: history in, recommendations out; new items the moment they exist."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from transrec.data.catalog import Catalog, Item
from transrec.data.counts import Counts
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.store import ContentStore, Progress
from transrec.data.times import whole_seconds
from transrec.errors import DataError, UnknownItemError
from transrec.model import TransRec
from transrec.retrieval.index import CatalogIndex, encode_histories
from transrec.retrieval.ranking import TopK
from transrec.runs import open_run_data, place_in


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One recommended item.

    Attributes:
        id: the platform's own name for it.
        title: what to show a person.
        score: higher is better; comparable within one list only.
    """

    id: str
    title: str
    score: float


@dataclass(frozen=True, slots=True)
class Recommendations:
    """A ranked list, best first.

    Attributes:
        items: the recommendations.
        used: ids of the history that were read, oldest first.
        unknown: ids of the history that the catalog does not hold; they had no influence.
    """

    items: tuple[Recommendation, ...]
    used: tuple[str, ...]
    unknown: tuple[str, ...]

    def __iter__(self) -> Iterator[Recommendation]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Recommender:
    """A model, a catalog, and the catalog's vectors under the model.

    Make one with :meth:`load` from a run folder, or with :meth:`of` from parts in memory.

    Args:
        model: in evaluation mode.
        catalog: what can be recommended.
        index: the catalog under the model.
    """

    def __init__(self, model: TransRec, catalog: Catalog, index: CatalogIndex) -> None:
        self.model = model
        self.catalog = catalog
        self.index = index

    @classmethod
    def load(
        cls,
        run: str | Path,
        data: str | Path | Dataset | None = None,
        *,
        device: str | torch.device = "cpu",
        progress: Progress | None = None,
    ) -> Recommender:
        """A recommender from a run folder.

        Args:
            run: the run folder.
            data: the dataset to recommend from: a folder, or in memory; the one that the run learned from when None.
            device: where the model runs.
            progress: told how far the encoding of the catalog is.

        Raises:
            RunError: the folder is not a run, or its dataset has moved or changed.
        """
        model = TransRec.load(run, device=device)
        dataset = data if isinstance(data, Dataset) else open_run_data(run, data)
        place = 0 if data is None else place_in(run, dataset)
        return cls.of(model, dataset, place=place, progress=progress)

    @classmethod
    def of(
        cls, model: TransRec, dataset: Dataset, *, place: int | None = 0, progress: Progress | None = None
    ) -> Recommender:
        """A recommender from a model and a dataset; a prior is given the counts of all events that there are.

        Args:
            model: the model.
            dataset: what to recommend from.
            place: which of the model's platforms it is, None: none; see :meth:`~transrec.retrieval.index.CatalogIndex.of`.
            progress: told how far the encoding of the catalog is.
        """
        model.eval()
        counts = None
        if model.prior is not None:
            events = dataset.interactions
            counts = Counts.of_histories(Histories(events.rows, events.offsets), len(dataset.catalog))
        index = CatalogIndex.of(model, dataset, counts, place=place, progress=progress)
        return cls(model, dataset.catalog, index)

    def recommend(
        self,
        history: Sequence[str],
        k: int = 10,
        *,
        times: Sequence[float | None] | None = None,
        seen: bool = False,
        popularity: float = 1.0,
    ) -> Recommendations:
        """The ``k`` items that fit best what the user did so far.

        Args:
            history: item ids, oldest first. Ids that the catalog does not hold are named in the result and left out.
            k: how many; fewer come back when the catalog has no more.
            times: when the events of the history were, in the unit of the dataset's (seconds, where it had dates), None for
                those of which nobody knows. For models that read times; without any they do as well as they can.
            seen: whether items of the history may be recommended again.
            popularity: how much of what popularity is worth counts: 1 as it was weighed after training; with less, rare
                and new items come up; 0 for none.

        Raises:
            DataError: ``k`` is below 1, ``popularity`` below 0, or ``times`` do not fit the history.
            UnknownItemError: no id of the history is known.
        """
        if k < 1:
            raise DataError(f"k is {k}", remedy="ask for at least one recommendation")
        if not 0 <= popularity < math.inf:
            raise DataError(f"popularity is {popularity}", remedy="0 for none, 1 for as much as was learned")
        when = None if times is None else _checked(times, history)
        rows = self.catalog.rows(history)
        unknown = tuple(item for item, row in zip(history, rows, strict=True) if row < 0)
        used = tuple(item for item, row in zip(history, rows, strict=True) if row >= 0)
        if not used:
            raise UnknownItemError(
                f"none of the {len(history)} ids in the history is in the catalog"
                + (f", for example {unknown[0]!r}" if unknown else ""),
                remedy=f"ids look like {', '.join(map(repr, self.catalog.ids[:3]))}",
            )
        histories = Histories.from_lists([rows[rows >= 0]])
        if when is not None:
            histories = replace(histories, times=whole_seconds(when[rows >= 0]))
        hidden = Histories.from_lists([[]]) if seen else histories
        queries = encode_histories(self.model, self.index, histories)
        found = self.index.weighing(popularity).search(queries, k, hidden)
        return Recommendations(self._named(found), used, unknown)

    def similar(self, item_id: str, k: int = 10) -> tuple[Recommendation, ...]:
        """The ``k`` items nearest to one, by the cosine of their vectors; the score is the cosine.

        Raises:
            UnknownItemError: the catalog does not hold the id.
        """
        if k < 1:
            raise DataError(f"k is {k}", remedy="ask for at least one item")
        return self._named(self.index.similar(self.catalog.row(item_id), k))

    def add(self, items: Sequence[Item]) -> None:
        """Add new items by their content alone; they can be recommended at once.

        The model is not trained: an item is placed by what it is. The dataset on disk stays as it is.

        Raises:
            DataError: an id is there already, or no encoder of the model can read an item.
        """
        if not items:
            return
        with_new = self.catalog.append(items)
        store = ContentStore.prepare(Catalog.from_items(items), self.model.items.preparers())
        if len(store.unreadable):
            item = items[int(store.unreadable[0])]
            raise DataError(
                f"{len(store.unreadable)} items have nothing that this model reads, for example {item.id!r}",
                remedy=f"the model reads {', '.join(self.model.items.encoders)}",
            )
        new = CatalogIndex.encode(self.model, store)
        self.catalog, self.index = with_new, self.index.add(new.vectors_VD)

    def _named(self, found: TopK) -> tuple[Recommendation, ...]:
        rows, scores = found.rows_BK[0].cpu().numpy(), found.scores_BK[0].cpu().numpy()
        rows, scores = rows[rows >= 0], scores[rows >= 0]
        titles = self.catalog.titles(rows) if len(rows) else []
        return tuple(
            Recommendation(self.catalog.ids[row], title, float(score))
            for row, title, score in zip(np.asarray(rows).tolist(), titles, scores, strict=True)
        )


def _checked(times: Sequence[float | None], history: Sequence[str]) -> np.ndarray:
    """The times of a history as float64, NaN where they are not known.

    Raises:
        DataError: there are not as many as events, or they go back.
    """
    if len(times) != len(history):
        raise DataError(
            f"there are {len(times)} times for a history of {len(history)} events", remedy="give one for each, or None"
        )
    when = np.array(times, dtype=np.float64)
    known = when[~np.isnan(when)]
    if (np.diff(known) < 0).any():
        raise DataError("the times of the history go back", remedy="give the history oldest first")
    return when
