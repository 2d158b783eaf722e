"""What the fits of ``benchmarks.scale`` make of platforms that were not measured: hours, bytes, GPUs, as Markdown.

    python -m benchmarks.scale --out scale.json
    python -m benchmarks.extrapolation scale.json --items 1e8 --events 1e10 --workers 8

Arithmetic only. What is assumed and was not measured stands in :class:`Assumed` and is printed with the table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

WIDTH = 256
TOKENS = 30
HOUR = 3600


@dataclass(frozen=True)
class Assumed:
    """What was not measured here."""

    gpu: float = 100e12
    """Operations a second that a GPU keeps up with networks of this kind, in bfloat16."""
    disk: float = 3e9
    """Bytes a second of a disk that is read in pieces of some ten thousand bytes."""
    network: float = 5e9
    """Bytes a second between any two workers."""
    layers: str = "6 x 384"
    """Layers and width of the text network; MiniLM has these."""
    learning: float = 2 / 6
    """Share of its layers that learn."""
    distinct: float = 1.0
    """Distinct items of a batch for each of its events: at most 1."""
    batch: int = 256
    """Users of a step."""
    per_user: float = 25.0
    """Events of a user, and positions of a window."""


def rows(
    found: Mapping[str, Mapping[str, list[float]]], items: float, events: float, workers: int, given: Assumed
) -> list[list[str]]:
    """What it takes: what, how much, where it comes from."""
    fit = {name: each for name, (_, each, _) in found["fits"].items()}
    forward = found["operations"][given.layers]
    users, positions = events / given.per_user, given.batch * given.per_user
    candidates = positions * given.distinct
    encoded = forward * given.distinct * (3 * given.learning + 1 - given.learning)  # an event; frozen layers run each time
    scored = 6 * candidates * WIDTH
    states = 4 * TOKENS * int(given.layers.split(" x ")[1])

    steps = events / positions
    at_once, item, _ = found["fits"]["step: s of a CPU, batch without counts"]
    plain = steps * (at_once + item * candidates)
    item, pair, _ = found["fits"]["step: s of a CPU, batch with counts"]
    counted = steps * (item * candidates + pair * candidates * positions)
    memory = events * fit["event: bytes of memory, events"] + items * fit["item: bytes of memory, catalog"]
    gpu = events * (encoded / workers + scored) / given.gpu
    sent = events * (1 + given.distinct) * 2 * 4 * WIDTH
    return [
        ["catalog on disk (Lance)", size(items * fit["item: bytes of disk, Lance"]), "measured, an item"],
        ["events on disk (Parquet)", size(events * fit["event: bytes of disk, Parquet"]), "measured, an event"],
        ["tokens on disk", size(items * fit["item: bytes of disk, tokens"]), "measured, an item"],
        ["frozen states on disk, if kept", size(items * states), f"4 bytes x {TOKENS} tokens x width"],
        ["vectors (index, and while validating)", size(4 * items * WIDTH), f"4 bytes x {WIDTH}"],
        ["memory of **every** process: catalog and events", size(memory), "measured, an item and an event"],
        ["making tokens", hours(items * fit["item: s of a CPU, tokens"]), "measured; one CPU, and all of them with `index`"],
        ["encoding the catalog", hours(items * forward / given.gpu / workers), "counted operations, divided"],
        ["an epoch: encoders", hours(events * encoded / workers / given.gpu), "counted operations, divided"],
        ["an epoch: scoring", hours(events * scored / given.gpu), "counted operations, **not divided**"],
        ["an epoch: GPUs in all", hours(gpu), "the two above"],
        ["an epoch: making batches", hours(plain), "measured; one CPU in every process, **not divided**"],
        ["the same with counts", hours(counted), "for a model with a prior"],
        ["an epoch: exchanging vectors", hours(sent / given.network), "items and positions, there and back"],
        [
            "an epoch: reading frozen states, if kept",
            hours(events * states / given.disk / workers),
            "a disk for each worker",
        ],
        ["lists for all users", hours(users * 2 * items * WIDTH / given.gpu / workers), "counted operations, divided"],
    ]


def size(value: float) -> str:
    """Bytes in words."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError


def hours(value: float) -> str:
    """Seconds in hours, or in minutes where they are few."""
    if value >= 10 * HOUR:
        return f"{value / HOUR:,.0f} h"
    return f"{value / HOUR:.1f} h" if value >= HOUR else f"{value / 60:.2g} min"


def main() -> None:
    """Print the table and what it assumes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fits", type=Path)
    parser.add_argument("--items", type=float, default=1e8)
    parser.add_argument("--events", type=float, default=1e10)
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args()
    given = Assumed()
    print(f"| {options.items:.0e} items, {options.events:.0e} events, {options.workers} workers | | from |\n|---|---|---|")
    for row in rows(json.loads(options.fits.read_text()), options.items, options.events, options.workers, given):
        print(f"| {' | '.join(row)} |")
    told = {field.name: getattr(given, field.name) for field in fields(given)}
    print(
        "\nAssumed:",
        ", ".join(f"{name} {value if isinstance(value, str) else f'{value:.3g}'}" for name, value in told.items()),
    )


if __name__ == "__main__":
    main()
