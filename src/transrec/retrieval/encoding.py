"""Items as vectors under a model: all of a store, or a few that are given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.store import ContentStore, Progress
from transrec.errors import DataError, EvaluationError
from transrec.model import TransRec
from transrec.retrieval.vectors import with_vectors

BATCH = 256
"""Items at a time."""
SORTED_TOGETHER = 8
"""Batches of items that are put in order of length together."""
CENTRED_BY = 2048
"""Items by whose mean a platform is centred that a model has not learned from."""


@torch.no_grad()
def encode_items(
    model: TransRec, store: ContentStore, *, batch_size: int = BATCH, progress: Progress | None = None
) -> Tensor:
    """What is kept of every item of a store, (V, W), where the model is; see :meth:`~transrec.views.ItemViews.read_by`.

    Args:
        model: is put into evaluation mode meanwhile.
        store: the prepared content.
        batch_size: items at a time.
        progress: told how far it is.

    Raises:
        EvaluationError: the store is empty.
    """
    if not len(store):
        raise EvaluationError("the catalog has no items, so there is nothing to rank")
    vectors_VD = torch.empty(0)
    order = store.in_order(SORTED_TOGETHER * batch_size)
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(store), batch_size):
            rows = np.sort(order[start : start + batch_size])
            made = model.items(store.gather(rows).to(model.device)).read_by(model.scorer, model.users)
            if start == 0:
                vectors_VD = made.new_empty(len(store), made.shape[1])
            vectors_VD[torch.from_numpy(rows).to(made.device)] = made
            if progress:
                progress("encoding the catalog", start + len(rows), len(store))
    finally:
        model.train(was_training)
    return vectors_VD


def prepared_for(
    model: TransRec, dataset: Dataset, *, place: int | None = 0, progress: Progress | None = None
) -> ContentStore:
    """The content of a dataset's items as a model reads it; what was read before is found in the dataset's store.

    Args:
        model: as it is now, its encoders too.
        dataset: whose catalog.
        place: which of the platforms that the model has learned from it is; None: none of them, then its items are first
            centred on their own mean, which changes the model.
        progress: told how far it is.

    Raises:
        DataError: the model can read nothing of what the items have.
    """
    folder = dataset.store_folder
    store = ContentStore.prepare(dataset.catalog, model.items.preparers(), folder, progress=progress)
    store.require_readable(model.items.encoders, dataset.name)
    store = with_vectors(model, store, folder, progress=progress).of_platform(place or 0)
    if place is None:
        model.items.centre(batch.to(model.device) for batch in store.sample(CENTRED_BY, seed=0))
    return store


def attune_elsewhere(model: TransRec, kept_VW: Tensor) -> None:
    """Let the user encoder look at the items of a platform that the model has not learned from, where it attunes.

    Args:
        model: what its user encoder finds among items is of these from now on.
        kept_VW: what is kept of every item.
    """
    if model.users.attunes:
        model.users.attune(kept_VW.float(), generator=torch.Generator().manual_seed(0))


def encode_given(model: TransRec, items: Sequence[Item], platform: int) -> Tensor:
    """What is kept of items that are given by their content, (n, W), where the model is.

    Args:
        model: is put into evaluation mode meanwhile.
        items: at least one.
        platform: which of the model's platforms they are of.

    Raises:
        DataError: no encoder of the model can read one of them, or its content is damaged.
    """
    store = _in_memory(model, items, platform)
    if len(store.unreadable):
        item = items[int(store.unreadable[0])]
        raise DataError(
            f"{len(store.unreadable)} items have nothing that this model reads, for example {item.id!r}",
            remedy=f"the model reads {', '.join(model.items.encoders)}",
        )
    return encode_items(model, store)


def encode_rows(model: TransRec, catalog: Catalog, rows: np.ndarray, platform: int) -> tuple[Tensor, np.ndarray]:
    """The vectors of some rows of a catalog from their content alone, and which of them the model can read.

    Nothing is read from the dataset's store or kept there.

    Args:
        model: is put into evaluation mode meanwhile.
        catalog: whose rows.
        rows: int64 of shape (n,).
        platform: which of the model's platforms it is.

    Returns:
        float32 of shape (n, D) on the CPU, and bool of shape (n,).
    """
    store = _in_memory(model, catalog.items(rows), platform)
    return encode_items(model, store).float().cpu(), ~np.isin(np.arange(len(rows)), store.unreadable)


def _in_memory(model: TransRec, items: Sequence[Item], platform: int) -> ContentStore:
    return ContentStore.prepare(Catalog.from_items(items), model.items.preparers()).of_platform(platform)
