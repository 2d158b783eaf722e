"""Seconds of a processor that a training step takes with texts packed, in buckets and padded, as ratios over buckets.

    OMP_NUM_THREADS=1 python -m benchmarks.packed                              # BERT-mini, 4 x 256
    OMP_NUM_THREADS=1 python -m benchmarks.packed --layers 6 --width 384       # as wide and deep as MiniLM

All sides have the same model, batches and threads, and dropout as in training; what differs is ``batching`` of the text
encoder alone. They take turns, batch by batch, and what is counted is the time of the processor, which a busy machine
disturbs less than the time that passes. Medians over the rounds are compared, and medians of the ratios within a round. Two
trainings: the top 2 layers learn, from what the store has of the others; and all layers learn, from token ids. A step is
forward and backward; the optimiser's part is the same for all and left out.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from benchmarks.rungs import keep_freed_memory
from benchmarks.step import Platform

from transrec.data.batches import SequenceBatch, SequenceBatches
from transrec.data.store import ContentStore
from transrec.items.text import TextEncoder
from transrec.model import TransRec
from transrec.objectives import Objective, ObjectiveSettings, build_objective
from transrec.retrieval.prefix import Keeping, with_states
from transrec.rules import Tuning, apply_tuning

LAYOUTS = ("buckets", "packed", "padded")


def laid_out(model: TransRec, layout: str) -> None:
    """Let the text encoder of a model batch texts like this."""
    encoder = model.items.preparers()["text"]
    assert isinstance(encoder, TextEncoder)
    encoder.settings = encoder.settings.updated({"batching": layout})


def step(model: TransRec, objective: Objective, batch: SequenceBatch) -> float:
    """Seconds of a processor that one step takes, forward and backward."""
    start = time.process_time()
    objective(model, model(batch), batch).total.backward()
    seconds = time.process_time() - start
    model.zero_grad()
    return seconds


def measured(model: TransRec, platform: Platform, store: ContentStore, *, batch: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round by layout; the first round warms up and is left out."""
    objective = build_objective(ObjectiveSettings(), model)
    batches = SequenceBatches(platform.split, store, objective.plan, batch_size=batch, seed=0)
    seconds: dict[str, list[float]] = {layout: [] for layout in LAYOUTS}
    for turn in range(rounds + 1):
        made = batches.batch(turn)
        for place in range(len(LAYOUTS)):
            layout = LAYOUTS[(turn + place) % len(LAYOUTS)]
            laid_out(model, layout)
            taken = step(model, objective, made)
            if turn:
                seconds[layout].append(taken)
    return seconds


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4, help="of the text network")
    parser.add_argument("--width", type=int, default=256, help="of the text network")
    parser.add_argument("--batch", type=int, default=64, help="users in a step")
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    keep_freed_memory("benchmarks.packed")
    torch.set_num_threads(options.threads)
    platform = Platform(users=8 * options.batch, items=options.items, layers=options.layers, width=options.width)
    model = platform.model
    print(
        f"BERT {options.layers} x {options.width}; {options.batch} users; {options.threads} threads; {options.rounds} rounds"
    )
    for name, tuning in (("top 2 learn, from the store", "top:2"), ("all layers learn, from token ids", "full")):
        apply_tuning(model, Tuning.parse(tuning))
        model.train()
        store = with_states(model, platform.store, Keeping())
        found = measured(model, platform, store, batch=options.batch, rounds=options.rounds)
        print(f"  {name}")
        for layout, seconds in found.items():
            ratio = statistics.median(own / other for own, other in zip(seconds, found["buckets"], strict=True))
            print(f"    {layout:10} {statistics.median(seconds):8.3f} s a step   {ratio:6.2f} x buckets")


if __name__ == "__main__":
    main()
