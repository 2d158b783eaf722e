"""Recommender: history in, recommendations out; new items the moment they exist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.store import Progress
from transrec.errors import DataError
from transrec.model import TransRec
from transrec.retrieval.encoding import encode_given
from transrec.retrieval.filters import allowed_by
from transrec.retrieval.index import CatalogIndex
from transrec.retrieval.kept import Precision
from transrec.retrieval.live import Columns, LiveCatalog, Snapshot
from transrec.retrieval.opening import open_live
from transrec.retrieval.queries import served_counts
from transrec.runs import index_folder, open_run_data, place_in
from transrec.serving.answering import answer, named
from transrec.serving.request import Recommendation as Recommendation
from transrec.serving.request import Recommendations as Recommendations
from transrec.serving.request import Request as Request


class Recommender:
    """A model, a catalog, and the catalog's vectors under the model.

    Make one with :meth:`load` from a run folder, or with :meth:`of` from parts in memory. Any number of threads may ask
    while one changes items: every answer is of one state of the catalog.

    Args:
        model: in evaluation mode.
        live: what can be recommended.
    """

    def __init__(self, model: TransRec, live: LiveCatalog) -> None:
        self.model = model
        self.live = live

    @classmethod
    def load(
        cls,
        run: str | Path,
        data: str | Path | Dataset | None = None,
        *,
        keep: bool = True,
        precision: Precision = "float32",
        device: str | torch.device = "cpu",
        progress: Progress | None = None,
    ) -> Recommender:
        """A recommender from a run folder.

        The vectors of the catalog are kept in ``RUN/index/<dataset>/`` and brought up to date: only items that are new or
        have changed are encoded. That items are added, updated and removed is written down there, too, and is so again with
        the next loading.

        Args:
            run: the run folder.
            data: the dataset to recommend from: a folder, or in memory; the one that the run learned from when None.
            keep: whether anything is read or written beside the run; a run that cannot be written to is never.
            precision: of the vectors that are kept; ``"float16"`` takes half the room.
            device: where the model runs.
            progress: told how far the encoding of the catalog is.

        Raises:
            RunError: the folder is not a run, its dataset has moved or changed, or what was written down is damaged.
        """
        model = TransRec.load(run, device=device)
        dataset = data if isinstance(data, Dataset) else open_run_data(run, data)
        place = 0 if data is None else place_in(run, dataset)
        folder = index_folder(run, dataset)
        if not keep or folder is None:
            return cls.of(model, dataset, place=place, progress=progress)
        live, _ = open_live(model, dataset, folder, place=place, precision=precision, progress=progress)
        return cls(model, live)

    @classmethod
    def of(
        cls, model: TransRec, dataset: Dataset, *, place: int | None = 0, progress: Progress | None = None
    ) -> Recommender:
        """A recommender from a model and a dataset, in memory; a prior is given the counts of all events that there are.

        Args:
            model: the model.
            dataset: what to recommend from.
            place: which of the model's platforms it is, None: none; see :meth:`~transrec.retrieval.index.CatalogIndex.of`.
            progress: told how far the encoding of the catalog is.
        """
        model.eval()
        index = CatalogIndex.of(model, dataset, served_counts(model, dataset), place=place, progress=progress)
        return cls(model, LiveCatalog(model, Snapshot(dataset.catalog, index), platform=place or 0))

    @property
    def now(self) -> Snapshot:
        """Catalog and index as they are at this moment: take it once where two readings have to agree."""
        return self.live.now

    @property
    def catalog(self) -> Catalog:
        """What can be recommended, and what was removed."""
        return self.live.now.catalog

    @property
    def index(self) -> CatalogIndex:
        """The catalog under the model."""
        return self.live.now.index

    def holds(self, item_id: str) -> bool:
        """Whether an item can be recommended: it is there and was not removed."""
        return self.live.now.holds(item_id)

    # ---- asking -------------------------------------------------------------------------------------------------------

    def recommend(  # noqa: PLR0913  (the wishes of a Request, each with its default)
        self,
        history: Sequence[str | Item],
        k: int = 10,
        *,
        times: Sequence[float | None] | None = None,
        seen: bool = False,
        popularity: float = 1.0,
        where: str | None = None,
        exclude: Sequence[str] = (),
        diversity: float = 0.0,
        explain: bool = False,
    ) -> Recommendations:
        """The ``k`` items that fit best what the user did so far.

        Args:
            history: items, oldest first: ids, or an :class:`~transrec.data.item.Item` for what the catalog does not hold.
                Ids that it does not hold are named in the result and left out.
            k: how many; fewer come back when no more may be shown.
            times: when the events of the history were, in the unit of the dataset's (seconds, where it had dates), None for
                those of which nobody knows. For models that read times; without any they do as well as they can.
            seen: whether items of the history may be recommended again.
            popularity: how much of what popularity is worth counts: 1 as it was weighed after training; with less, rare
                and new items come up; 0 for none.
            where: only items of which this is true: ``"in_stock = true and price < 50"``; see
                :func:`~transrec.retrieval.filters.allowed_by`.
            exclude: ids that must not be recommended.
            diversity: from 0, the best items, to 1, items as far from each other as may be.
            explain: whether to say why, with every recommendation.

        Raises:
            DataError: a value is out of its range, ``times`` do not fit the history, ``where`` is no filter over columns of
                the catalog, or an item in the history cannot be read.
            UnknownItemError: no id of the history is known.
        """
        asked = Request(history, k, times, seen, popularity, where, exclude, diversity, explain)
        return self.answer([asked])[0]

    def answer(self, requests: Sequence[Request]) -> list[Recommendations]:
        """The answers to several questions, of one state of the catalog; questions that ask alike are answered together.

        Raises:
            DataError, UnknownItemError: as :meth:`recommend`, for the first question that cannot be answered.
        """
        return answer(self.model, self.live.now, requests, platform=self.live.platform)

    def similar(
        self, item: str | Item, k: int = 10, *, where: str | None = None, exclude: Sequence[str] = ()
    ) -> tuple[Recommendation, ...]:
        """The ``k`` items nearest to one, by the cosine of their vectors; the score is the cosine.

        Args:
            item: the id of one in the catalog, or what it is.
            k: how many; fewer come back when no more may be shown.
            where: only items of which this is true; see :meth:`recommend`.
            exclude: ids that must not be listed.

        Raises:
            DataError: ``k`` is below 1, ``where`` is no filter, or the item cannot be read.
            UnknownItemError: the catalog does not hold the id.
        """
        if k < 1:
            raise DataError(f"k is {k}", remedy="ask for at least one item")
        now = self.live.now
        rows = now.catalog.rows(exclude)
        if isinstance(item, str):
            own = now.row(item)
            direction_1D = now.index.vectors.take(torch.tensor([own], device=now.index.device))
            rows = np.append(rows, own)
        else:
            direction_1D = encode_given(self.model, [item], self.live.platform)[:, : now.index.vectors.width]
        allowed = None if where is None else allowed_by(where, now.catalog)
        found = now.index.nearest(direction_1D, k, Histories.from_lists([rows[rows >= 0]]), allowed)
        return named(now.catalog, found)

    def search(
        self,
        k: int = 10,
        *,
        text: str | None = None,
        image: bytes | None = None,
        where: str | None = None,
        exclude: Sequence[str] = (),
    ) -> tuple[Recommendation, ...]:
        """The ``k`` items most like a text, a picture (an encoded file), or both; see :meth:`similar`.

        Raises:
            DataError: neither is given, the model reads no such content, or as :meth:`similar`.
        """
        if text is None and image is None:
            raise DataError("there is nothing to search for", remedy="give a text, a picture, or both")
        return self.similar(Item(id="what is searched for", text=text, image=image), k, where=where, exclude=exclude)

    # ---- changing -----------------------------------------------------------------------------------------------------

    def add(self, items: Sequence[Item], columns: Columns | None = None) -> None:
        """Add new items by their content alone; they can be recommended at once.

        The model is not trained: an item is placed by what it is. The dataset on disk stays as it is. All items are added or
        none.

        Args:
            items: the new ones. One that was removed comes back as what it is now.
            columns: further columns for titles and filters, each as long as the items.

        Raises:
            DataError: an id is there already, no encoder of the model can read an item, or a value does not fit its column.
        """
        self.live.add(items, columns)

    def update(self, items: Sequence[Item | str], columns: Columns | None = None) -> None:
        """Make items what they are now; what counts say of them stays.

        Args:
            items: the new content, or the id of an item that stays what it is and has new columns.
            columns: new values, each column as long as the items; other columns stay as they are.

        Raises:
            UnknownItemError: the catalog does not hold an id.
            DataError: no encoder of the model can read an item, or a value does not fit its column.
        """
        self.live.update(items, columns)

    def remove(self, item_ids: Sequence[str]) -> None:
        """Recommend these items no more; in histories they still say something of their users.

        Raises:
            UnknownItemError: the catalog does not hold an id.
        """
        self.live.remove(item_ids)

    def close(self) -> None:
        """Let others change items of this run: with its first change this became the only one that may. Asking goes on."""
        self.live.close()
