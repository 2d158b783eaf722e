"""Platform: a dataset made ready to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from rich.console import Console

from transrec.data.batches import SequenceBatches
from transrec.data.counts import Counts
from transrec.data.dataset import Dataset
from transrec.data.mixing import MixedBatches
from transrec.data.splits import Split
from transrec.data.store import ContentStore
from transrec.model import TransRec
from transrec.objectives.objective import Objective
from transrec.recipes.showing import progress_bar
from transrec.retrieval.prefix import Keeping, with_states
from transrec.retrieval.vectors import with_vectors
from transrec.training.settings import FrozenStates, TrainingSettings
from transrec.training.trainer import processes, resolve_device


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
        cls, dataset: Dataset, split: Split, model: TransRec, *, place: int = 0, console: Console | None = None
    ) -> Platform:
        """Prepare the content, and count the events that train.

        Args:
            dataset: to learn from.
            split: of its events.
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
        store = store.of_platform(place)
        return cls(dataset, split, store, None if model.prior is None else Counts.of(split, len(dataset.catalog)))

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


def batches_of(
    platforms: Sequence[Platform], objective: Objective, training: TrainingSettings
) -> SequenceBatches | MixedBatches:
    """The batches of a training on these platforms, with the items that this process encodes.

    Args:
        platforms: encoded.
        objective: which windows it learns from, and whether it asks for counts.
        training: batch size, seed and mixture.
    """
    size, seed = training.batch_size, training.seed
    assert isinstance(size, int), "a size that is to be found is found before"
    device = resolve_device(training.device)
    ranks = processes(device)
    each = []
    for p in platforms:
        counts = p.counts if objective.asks_counts else None
        batches = SequenceBatches(p.split, p.store, objective.plan, batch_size=size, seed=seed, counts=counts)
        each.append(batches.going_to(device).of_rank(ranks.process_index, ranks.num_processes))
    return each[0] if len(each) == 1 else MixedBatches(each, seed=seed, mixture=training.mixture)
