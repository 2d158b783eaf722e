"""Platform: a dataset made ready to learn from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from rich.console import Console

from transrec.data.counts import Counts
from transrec.data.dataset import Dataset
from transrec.data.splits import Split, SplitSettings, split_of
from transrec.data.store import ContentStore
from transrec.model import TransRec
from transrec.recipes.showing import progress_bar
from transrec.retrieval.prefix import Keeping, with_states
from transrec.retrieval.vectors import with_vectors
from transrec.training.settings import FrozenStates


@dataclass(frozen=True, slots=True, eq=False)
class Platform:
    """A dataset made ready to learn from.

    Attributes:
        dataset: as it was given.
        split: of its events.
        store: its items' content.
        counts: of its training events, for a model with a prior; else None.
    """

    dataset: Dataset
    split: Split
    store: ContentStore
    counts: Counts | None = None

    @classmethod
    def ready(
        cls, dataset: Dataset, split: SplitSettings, model: TransRec, *, place: int = 0, console: Console | None = None
    ) -> Platform:
        """Split the events and prepare the content.

        Args:
            dataset: to learn from.
            split: how its events are split.
            model: what its encoders read is prepared.
            place: of the platforms that the model learns from, which one this is.
            console: where progress goes.
        """
        say = partial(console.print, markup=False) if console else None
        encoders, folder = model.items.preparers(), dataset.store_folder
        with progress_bar(console) as progress:
            store = ContentStore.prepare(dataset.catalog, encoders, folder, progress=progress, say=say)
            store.require_readable(model.items.encoders, dataset.name)
        if len(store.unreadable) and console:
            console.print(
                f"{len(store.unreadable):,} items of {dataset.name} have nothing that the model reads; they rank last"
            )
        parts = split_of(dataset.interactions, split)
        store = store.of_platform(place)
        return cls(dataset, parts, store, None if model.prior is None else Counts.of(parts, len(dataset.catalog)))

    def encoded(
        self, model: TransRec, frozen_states: FrozenStates, *, device: torch.device, console: Console | None = None
    ) -> Platform:
        """The same, with the encoders that learn nothing, and the lower blocks that do not, run over the content once."""
        folder = self.dataset.store_folder
        with progress_bar(console) as progress:
            store = with_vectors(model, self.store, folder, training=True, device=device, progress=progress)
            if frozen_states != "none":
                say = partial(console.print, markup=False) if console else None
                store = with_states(model, store, Keeping(folder, frozen_states, device, progress, say))
        return replace(self, store=store)
