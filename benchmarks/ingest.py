"""Time and memory of reading interactions, as a ratio over Polars' own sort and group of the same file.

    python benchmarks/ingest.py --events 10000000

Both sides run in processes of their own, in turns, so that a busy machine slows both alike; the medians are compared. The
bare side reads the columns, sorts by user and time, and groups by user. Ours also checks every byte and row, matches items
to a catalog, removes duplicates, and writes a whole dataset folder.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

ITEMS_AN_EVENT, USERS_AN_EVENT = 1 / 200, 1 / 20


def write_platform(folder: Path, events: int) -> None:
    """Write ``interactions.csv``, in no order, with a few duplicates, and ``items.csv``."""
    generator = np.random.default_rng(0)
    items, users = max(10, int(events * ITEMS_AN_EVENT)), max(10, int(events * USERS_AN_EVENT))
    table = pl.DataFrame(
        {
            "user_id": generator.integers(0, users, events),
            "item_id": (items * generator.random(events) ** 2).astype(np.int64),
            "timestamp": generator.integers(1_500_000_000, 1_600_000_000, events),
        }
    )
    named = [pl.format("u{}", "user_id").alias("user_id"), pl.format("i{}", "item_id").alias("item_id"), "timestamp"]
    table.select(named).write_csv(folder / "interactions.csv")
    ids = pl.DataFrame({"item_id": np.arange(items)})
    ids.select(pl.format("i{}", "item_id").alias("item_id"), pl.format("title {}", "item_id").alias("title")).write_csv(
        folder / "items.csv"
    )


def bare(folder: Path) -> None:
    """Polars alone: read, sort by user and time, group by user."""
    table = pl.read_csv(folder / "interactions.csv").sort("user_id", "timestamp")
    table.group_by("user_id", maintain_order=True).agg("item_id", "timestamp")


def ours(folder: Path) -> None:
    """The whole of `transrec ingest`."""
    from transrec.data.ingest.ingest import ingest
    from transrec.data.ingest.inputs import FileSettings, IngestSettings

    files = FileSettings(interactions=(str(folder / "interactions.csv"),), items=(str(folder / "items.csv"),))
    with tempfile.TemporaryDirectory(dir=folder) as out:
        ingest(IngestSettings(files=files), Path(out) / "data")


def measured(work: Callable[[Path], None], folder: Path) -> tuple[float, float]:
    """Seconds and peak GiB of some work in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(work, folder, sender))
    process.start()
    seconds, peak = receiver.recv()
    process.join()
    return seconds, peak


def _child(work: Callable[[Path], None], folder: Path, sender: multiprocessing.connection.Connection) -> None:
    start = time.perf_counter()
    work(folder)
    sender.send((time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20))


def main() -> None:
    """Run both sides in turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_platform(folder, arguments.events)
        rounds = [(measured(bare, folder), measured(ours, folder)) for _ in range(arguments.rounds)]
    sides = {side: [own[at] for own in rounds] for at, side in enumerate(("polars", "transrec"))}
    seconds = {side: statistics.median(s for s, _ in runs) for side, runs in sides.items()}
    peaks = {side: max(p for _, p in runs) for side, runs in sides.items()}
    for side in sides:
        print(f"{side:>8}: {seconds[side]:6.1f} s, peak {peaks[side]:.2f} GiB")
    print(f"   ratio: {seconds['transrec'] / seconds['polars']:.2f} of the time, {arguments.events:,} events")


if __name__ == "__main__":
    main()
