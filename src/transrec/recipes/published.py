"""What a run's encoders made of items before they learned anything: what similarity of content compares."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from transrec.data.dataset import Dataset
from transrec.data.store import ContentStore, Progress
from transrec.model import ModelSettings, TransRec
from transrec.retrieval.vectors import with_vectors

ROWS_AT_ONCE = 4096
"""Items that are gathered at a time."""


def published_vectors(
    model: TransRec, dataset: Dataset, *, settings: ModelSettings | None = None, progress: Progress | None = None
) -> Mapping[str, np.ndarray]:
    """The vectors of a catalog under the encoders that a model was built from, as they were published.

    The encoders are loaded again by the names in the model's settings and run over the catalog once; what they make is kept
    in the dataset's store. A pooling that is learned would be noise without its training, so that texts take the mean of
    their tokens in its place. Given vectors are as they came, standardised; an identity table is no content.

    Args:
        model: says which encoders, and where they run.
        dataset: whose catalog.
        settings: say where the encoders are read from; the model's own when None.
        progress: told how far it is.

    Returns:
        by modality that model and catalog share, (V, width) float32; zeros for an item without it.

    Raises:
        ModelError: an encoder cannot be found, or cannot be built from settings.
    """
    whole, catalog = settings or model.settings, dataset.catalog
    items = whole.items
    known = {*catalog.modalities, *items.custom}
    names = tuple(name for name in model.items.encoders if name in known and name != "identity")
    if not names:
        return {}
    pooling = "mean" if items.text.pooling == "attention" else items.text.pooling
    text = items.text.updated({"pooling": pooling, "padding": "masked"})
    items = items.model_copy(update={"modalities": names, "text": text})
    # only its encoders are wanted, and they may be fewer than a scorer of views needs
    alone = whole.model_copy(update={"items": items, "scorer": "cosine"})
    published = TransRec.build(alone, [catalog]).to(model.device)
    encoders = published.items.preparers()
    store = ContentStore.prepare(catalog, encoders, dataset.store_folder, progress=progress)
    store = with_vectors(published, store, dataset.store_folder, progress=progress)
    found = {name: np.zeros((len(catalog), encoder.width), dtype=np.float32) for name, encoder in encoders.items()}
    for start in range(0, len(catalog), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(catalog)))
        for name, part in store.gather(rows).parts.items():
            found[name][rows[part.index_n.numpy()]] = encoders[name].encode(part).numpy()
    return found
