"""Input: how many items a second are made ready for the device, over how many a training step can use.

    OMP_NUM_THREADS=1 python -m benchmarks.input

A batch is made as training makes it: windows, negatives, masks, and the content of its distinct items, gathered from the
store on disk. Then a step is done with it: forward, backward, optimiser. In a training the next batch is made in another
thread meanwhile, so the device never waits as long as the ratio is above 1 and a processor is free. Here they take turns, so
that a busy machine slows both alike; medians over the rounds are compared. The files of the store are in the page cache.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch
import transformers
from benchmarks.prefix import HISTORY, occurrences, pictures, titles, tuned
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from transrec.data.batches import SequenceBatches
from transrec.data.catalog import Catalog, Item
from transrec.data.interactions import Interactions
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.items.backbones import quiet_transformers
from transrec.items.scratch import new_text_backbone
from transrec.model import TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.retrieval.prefix import Keeping, with_states

SIDE = 64
HELD_OUT = 2
"""Events of each user that do not train."""


def texts_and_model(items: int, folder: Path) -> tuple[Catalog, TransRec]:
    """Titles, and a BERT of 4 layers x 256 whose two top layers learn."""
    texts = titles(items, np.random.default_rng(0))
    catalog = Catalog.from_items([Item(str(row), text=text) for row, text in enumerate(texts)])
    new_text_backbone(texts[:500], folder, width=256, layers=4, max_length=32)
    return catalog, tuned("text", folder, catalog)


def pictures_and_model(items: int, folder: Path) -> tuple[Catalog, TransRec]:
    """Pictures, and a ResNet-18 whose two top stages learn."""
    made = pictures(items, SIDE, np.random.default_rng(0))
    catalog = Catalog.from_items([Item(str(row), image=picture) for row, picture in enumerate(made)])
    widths = [64, 128, 256, 512]
    shape = {"embedding_size": 64, "hidden_sizes": widths, "depths": [2, 2, 2, 2], "layer_type": "basic"}
    with quiet_transformers():
        transformers.ResNetModel(transformers.ResNetConfig(**shape)).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return catalog, tuned("image", folder, catalog)


def turns(
    model: TransRec, store: ContentStore, *, users: int, batch: int, rounds: int
) -> Iterator[tuple[float, float, int]]:
    """Seconds to make a batch, seconds of the step with it, and how many distinct items it has; the first warms up."""
    events = HISTORY + HELD_OUT
    rows = np.resize(occurrences(users + 1 + users // 12, len(store), np.random.default_rng(1)), users * events)
    table = {
        "user": np.repeat(np.arange(users), events).astype(str),
        "row": rows,
        "time": np.tile(np.arange(events, dtype=float), users),
    }
    split = leave_one_out(Interactions.from_columns(pl.DataFrame(table)))
    objective = build_objective(ObjectiveSettings(), model)
    batches = SequenceBatches(split, store, objective.plan, batch_size=batch, seed=0)
    optimiser = torch.optim.AdamW([own for own in model.parameters() if own.requires_grad], lr=1e-6)
    model.train()
    for turn in range(rounds + 1):
        begun = time.perf_counter()
        made = batches.batch(turn)
        ready = time.perf_counter()
        objective(model, model(made), made).total.backward()
        optimiser.step()
        optimiser.zero_grad()
        done = time.perf_counter()
        if turn:
            yield ready - begun, done - ready, made.items.size


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--titles", type=int, default=20_000, help="items in the catalog of titles")
    parser.add_argument("--pictures", type=int, default=2_000, help="items in the catalog of pictures")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    sorts = {
        "titles, BERT 4 x 256, 64 users": (texts_and_model, options.titles, 64),
        f"pictures {SIDE} x {SIDE}, ResNet-18, 16 users": (pictures_and_model, options.pictures, 16),
    }
    print(f"{torch.get_num_threads()} threads; medians of {options.rounds} rounds")
    for title, (make, items, batch) in sorts.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            catalog, model = make(items, folder / "backbone")
            store = ContentStore.prepare(catalog, model.items.preparers(), folder / "store")
            kept = with_states(model, store, Keeping(folder / "store"))
            for what, source in {"content": store, "activations of frozen blocks": kept}.items():
                found = list(turns(model, source, users=batch * options.rounds, batch=batch, rounds=options.rounds))
                making, stepping, size = (statistics.median(own) for own in zip(*found, strict=True))
                print(
                    f"  {title}; {what:29} {size / making:9,.0f} items/s ready, {size / stepping:7,.0f} used: "
                    f"{stepping / making:6.1f} x"
                )


if __name__ == "__main__":
    main()
