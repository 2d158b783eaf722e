"""Users per second of an end-to-end training step, as ratios over the two ways in which others do it.

    python -m benchmarks.step --layers 4 --width 256        # BERT-mini, top 2 learn
    python -m benchmarks.step --layers 12 --width 768       # BERT-base, top 2 learn

All sides have the same network, weights, users, titles and threads, and start from token ids; the optimiser's step is the
same and counts. They take turns, round by round, so that a busy machine slows all alike, and medians over the rounds are
compared. ``reference_published.py`` and ``reference_inbatch.py`` say what the others do. Filling the store of frozen layers
is timed apart: it is done once in an item's life.

The program starts itself anew with an allocator that keeps freed memory, which is worth about as much to every side.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import torch
from benchmarks.prefix import MAX_LENGTH, titles
from benchmarks.reference_inbatch import InBatchStep
from benchmarks.reference_published import PublishedStep
from benchmarks.rungs import keep_freed_memory

from transrec.data.batches import SequenceBatches
from transrec.data.catalog import Catalog, Item
from transrec.data.interactions import Interactions
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.items.scratch import new_text_backbone
from transrec.model import ModelSettings, TransRec
from transrec.objectives import InBatchSoftmax, ObjectiveSettings, build_objective
from transrec.retrieval.prefix import Keeping, with_states
from transrec.rules import Tuning, apply_tuning

EVENTS = 28
"""Of each user: 26 to train, one to validate, one to test."""


class Platform:
    """Users whose items are drawn by Zipf's law, and a model that reads the titles.

    Args:
        users: how many.
        items: how many.
        layers: of the network; the two top ones learn.
        width: of the network.
    """

    def __init__(self, *, users: int, items: int, layers: int, width: int) -> None:
        generator = np.random.default_rng(0)
        texts = titles(items, generator)
        self.catalog = Catalog.from_items([Item(str(row), text=text) for row, text in enumerate(texts)])
        shares = 1 / np.arange(1, items + 1)
        rows = generator.choice(items, users * EVENTS, p=shares / shares.sum())
        events = {
            "user": np.repeat(np.arange(users), EVENTS).astype(str),
            "row": rows,
            "time": np.tile(np.arange(EVENTS), users),
        }
        self.split = leave_one_out(Interactions.from_columns(pl.DataFrame(events).cast({"time": pl.Float64})))
        self.lines = rows.reshape(users, EVENTS)[:, :-2].tolist()
        with tempfile.TemporaryDirectory() as folder:
            new_text_backbone(texts[:500], folder, width=width, layers=layers, heads=width // 64, max_length=MAX_LENGTH)
            self.backbone = folder
            self.model = self._model(Path(folder))
        self.store = ContentStore.prepare(self.catalog, self.model.items.preparers())

    def _model(self, folder: Path) -> TransRec:
        settings = {
            "items": {"width": 256, "modalities": ["text"], "text": {"backbone": str(folder), "max_length": MAX_LENGTH}},
            "users": {"window": 25, "heads": 4},
            "scorer": "dot",
            "prior": "none",
        }
        model = TransRec.build(ModelSettings.from_mapping(settings), [self.catalog])
        apply_tuning(model, Tuning.parse("top:2"))
        return model.train()

    @property
    def padded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids of all items, filled up to the longest title that is allowed, and how many are real."""
        tokens = self.store.gather(np.arange(len(self.catalog))).parts["text"]
        content = tokens.content["tokens"]
        entry = torch.arange(len(self.catalog)) if tokens.inverse_n is None else tokens.inverse_n
        each = content.take(entry)
        padded_VT = torch.zeros(len(self.catalog), MAX_LENGTH, dtype=torch.int64)
        padded_VT[:, : each.longest] = each.padded().long()
        return padded_VT, each.lengths_n


def sides(platform: Platform, *, batch: int) -> tuple[Mapping[str, Callable[[int], torch.Tensor]], float]:
    """By name, the loss of a step; and the seconds that filling the store took."""
    model, chance = platform.model, random.Random(0)
    tokens_VT, lengths_V = platform.padded
    users = list(range(len(platform.lines)))
    counts_V = np.bincount(np.concatenate(platform.lines), minlength=len(platform.catalog))
    popularity_V = torch.from_numpy(counts_V / counts_V.sum()).float()
    published = PublishedStep(model, tokens_VT, lengths_V, platform.lines)
    in_batch = InBatchStep(model, tokens_VT, lengths_V, platform.lines, popularity_V)
    start = time.perf_counter()
    kept = with_states(model, platform.store, Keeping())
    filling = time.perf_counter() - start
    objective = build_objective(ObjectiveSettings(), model)
    assert isinstance(objective, InBatchSoftmax)

    def ours(store: ContentStore) -> Callable[[int], torch.Tensor]:
        batches = SequenceBatches(platform.split, store, objective.plan, batch_size=batch, seed=0)

        def loss(step: int) -> torch.Tensor:
            made = batches.batch(step)
            total: torch.Tensor = objective(model, model(made), made).total
            return total

        return loss

    def published_loss(step: int) -> torch.Tensor:
        chosen = [users[(step * batch + place) % len(users)] for place in range(batch)]
        return published.loss(chosen, [published.drawn(user, chance) for user in chosen])

    def in_batch_loss(step: int) -> torch.Tensor:
        return in_batch.loss([users[(step * batch + place) % len(users)] for place in range(batch)])

    return {
        "as published": published_loss,
        "in batches, as usual": in_batch_loss,
        "ours, without a store of frozen layers": ours(platform.store),
        "ours": ours(kept),
    }, filling


def main() -> None:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4, help="of the text network; the two top ones learn")
    parser.add_argument("--width", type=int, default=256, help="of the text network")
    parser.add_argument("--batch", type=int, default=64, help="users in a step")
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    keep_freed_memory("benchmarks.step")
    torch.set_num_threads(options.threads)
    platform = Platform(users=8 * options.batch, items=options.items, layers=options.layers, width=options.width)
    losses, filling = sides(platform, batch=options.batch)
    learning = [parameter for parameter in platform.model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=1e-6)
    seconds: dict[str, list[float]] = {name: [] for name in losses}
    for turn in range(options.rounds + 1):
        for name, loss in losses.items():
            start = time.perf_counter()
            loss(turn).backward()
            optimiser.step()
            optimiser.zero_grad()
            if turn:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    print(f"BERT {options.layers} x {options.width}, top 2 learn; {options.batch} users; {options.threads} threads")
    for name, median in medians.items():
        print(f"  {name:40} {median:8.2f} s a step   {median / medians['ours']:6.2f} x ours")
    items, steps = len(platform.catalog), filling / medians["ours"]
    print(f"  filling the store of {items:,} items: {filling:.0f} s, as long as {steps:.0f} of our steps")


if __name__ == "__main__":
    main()
