"""Sides of a comparison that take turns, round by round, so that whatever else happens on a machine slows all alike."""

from __future__ import annotations

import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import torch

Work = Callable[[int], object]
"""Does something with the batch of this number."""
REFUSALS = (torch.OutOfMemoryError, RuntimeError, NotImplementedError)
"""What a device, a kernel or a compiler raises that cannot do what it is asked for."""


@dataclass(slots=True)
class Taken:
    """What a side took.

    Attributes:
        seconds: a unit of work, round by round.
        peak: the most bytes on a CUDA device beyond what was there before; 0 elsewhere.
        refused: why it could not be done, if it could not.
    """

    seconds: list[float] = field(default_factory=list)
    peak: int = 0
    refused: str = ""

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.seconds)


def wait(device: torch.device) -> None:
    """Until the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_turns(
    sides: Mapping[str, Work], device: torch.device, *, rounds: int, seconds: float, units: int = 3, warm: int = 2
) -> dict[str, Taken]:
    """What every side takes.

    Args:
        sides: by name; each is told the number of a batch, from 0 on.
        device: is waited for before and after each turn.
        rounds: at most so many.
        seconds: after which no other round begins; what warms up is not counted. There is one round in any case.
        units: of work in a turn.
        warm: units of work of every side before the first round, with the batches of that round, so that kernels are chosen
            and memory is taken.
    """
    taken = {name: Taken() for name in sides}
    for name, work in sides.items():
        for unit in range(warm):
            _do(taken[name], lambda work=work, unit=unit: work(unit), device)
    begun = time.perf_counter()
    for turn in range(rounds):
        for name, work in sides.items():
            if taken[name].refused:
                continue
            found = _do(
                taken[name], lambda work=work, turn=turn: [work(turn * units + unit) for unit in range(units)], device
            )
            if not taken[name].refused:
                taken[name].seconds.append(found / units)
        if time.perf_counter() - begun > seconds:
            break
    return taken


def _do(taken: Taken, work: Callable[[], object], device: torch.device) -> float:
    """The seconds of some work; its peak and what went wrong are noted."""
    if taken.refused:
        return 0.0
    cuda = device.type == "cuda"
    wait(device)
    before = torch.cuda.memory_allocated(device) if cuda else 0
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    begun = time.perf_counter()
    try:
        work()
        wait(device)
    except REFUSALS as error:
        taken.refused = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:150] if str(error) else ''}"
    seconds = time.perf_counter() - begun
    if cuda:
        taken.peak = max(taken.peak, torch.cuda.max_memory_allocated(device) - before)
        if taken.refused:
            torch.cuda.empty_cache()
    return seconds


def show(title: str, taken: Mapping[str, Taken], *, users: int, base: str) -> None:
    """Print the table at once, so that a program that is cut off has told what it knows.

    Args:
        title: of the table.
        taken: by side.
        users: in a step.
        base: the side that ratios are over; the first that could be done where it could not.
    """
    print(f"\n{title}", flush=True)
    done = {name: own for name, own in taken.items() if not own.refused}
    against = done.get(base) or next(iter(done.values()), None)
    for name, own in taken.items():
        if own.refused or against is None:
            print(f"  {name:58} {own.refused}", flush=True)
            continue
        ratio = statistics.median(a / b for a, b in zip(own.seconds, against.seconds, strict=False))
        peak = f"{own.peak / 2**20:10,.0f} MiB" if own.peak else ""
        told = f"{own.median * 1e3:9.2f} ms  {ratio:6.2f} x  {users / own.median:10,.0f} users/s{peak}"
        print(f"  {name:58} {told}  ({len(own.seconds)} rounds)", flush=True)


@contextmanager
def told_waits() -> Iterator[dict[str, int]]:
    """At which lines the processor waits for a CUDA device meanwhile, and how often; known behind the context."""
    found: dict[str, int] = {}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode("default")
    for warning in told:
        place = f"{'/'.join(Path(warning.filename).parts[-3:])}:{warning.lineno}"
        found[place] = found.get(place, 0) + 1


def machine(device: torch.device) -> str:
    """What is measured on."""
    names = ("torch", "transformers", "polars", "accelerate", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    card = platform.processor() or platform.machine()
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        card = f"{found.name}, {found.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
    return (
        f"{card}; {os.cpu_count()} cores, {torch.get_num_threads()} threads; Python {platform.python_version()}, {versions}"
    )
