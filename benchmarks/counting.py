"""Counting: what it takes to make a batch with what counts say of it, added up at once or left to an accelerator.

    OMP_NUM_THREADS=1 python -m benchmarks.counting

Seconds of a processor for a batch, and the bytes that would be sent; all sides make the same steps, in turns, and one does
without counts. The platform is drawn: items are taken by popularity, each after one of a few that it tends to follow.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import polars as pl
import torch
from torch import Tensor

from transrec.data.batches import ItemBatch, SequenceBatch, SequenceBatches
from transrec.data.counts import Counts
from transrec.data.interactions import Interactions
from transrec.data.splits import Split, leave_one_out
from transrec.data.windows import WindowPlan

FOLLOWERS = 30
"""Of each item, the items of which one comes next in half of the cases."""


class Numbered:
    """Items without content."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def gather(self, rows: np.ndarray) -> ItemBatch:
        return ItemBatch(len(rows), {})

    def loads(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return rows, np.ones(len(rows), dtype=np.int64)


def drawn(users: int, items: int, events: int) -> Split:
    """The split of a platform whose users have so many events each."""
    generator = np.random.default_rng(0)
    weights = 1 / np.arange(1, items + 1)
    popular = generator.choice(items, (events, users), p=weights / weights.sum())
    followers = generator.integers(items, size=(items, FOLLOWERS))
    rows = popular.copy()
    for step in range(1, events):
        following = followers[rows[step - 1], generator.integers(FOLLOWERS, size=users)]
        rows[step] = np.where(generator.random(users) < 0.5, following, popular[step])
    table = {
        "user": np.repeat(np.arange(users), events).astype(str),
        "row": rows.T.ravel(),
        "time": np.tile(np.arange(events, dtype=float), users),
    }
    return leave_one_out(Interactions.from_columns(pl.DataFrame(table)))


def sent(batch: SequenceBatch) -> int:
    """The bytes of what counts say, as they leave for a device."""
    if batch.evidence is None:
        return 0
    votes = [getattr(each, name) for each in batch.evidence.votes.values() for name in each.__slots__]
    return sum(tensor.nbytes for tensor in (*batch.evidence.shares.values(), *votes) if isinstance(tensor, Tensor))


def sides(split: Split, items: int, users: int) -> dict[str, SequenceBatches]:
    """The batches of so many users, three ways."""
    counts, plan, source = Counts.of(split, items), WindowPlan("next", length=50, shared_negatives=2048), Numbered(items)
    with_counts = SequenceBatches(split, source, plan, batch_size=users, seed=0, counts=counts)
    return {
        "without counts": SequenceBatches(split, source, plan, batch_size=users, seed=0),
        "added up at once": with_counts,
        "left to an accelerator": with_counts.going_to(torch.device("cuda")),
    }


def main() -> None:
    """Make batches of several sizes, and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=4000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=60, help="of each user")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 512], help="users in a batch")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    split = drawn(options.users, options.items, options.events)
    for users in options.batches:
        made = sides(split, options.items, users)
        taken: dict[str, list[float]] = {name: [] for name in made}
        for step in range(options.rounds + 1):
            for name, batches in made.items():
                begun = time.process_time()
                batches.batch(step)
                taken[name].append(time.process_time() - begun)
        print(f"\n{users} users")
        base = statistics.median(taken["added up at once"][1:])
        for name, batches in made.items():
            seconds = statistics.median(taken[name][1:])
            print(f"  {name:<24}{1e3 * seconds:9.1f} ms {seconds / base:7.2f} x {sent(batches.batch(1)) / 1e6:9.1f} MB")


if __name__ == "__main__":
    main()
