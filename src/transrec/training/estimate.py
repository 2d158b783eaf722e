"""Estimate: what a training is going to take, told before its first step."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from transrec.data.batches import Batches
from transrec.data.room import readable_bytes
from transrec.errors import TrainingError
from transrec.training.memory import free_bytes
from transrec.training.precision import multiplies_faster_in_bfloat16
from transrec.training.rehearsal import Rehearsal, largest_batch, steps_of

LONG = 200
"""Steps from which on a training is long enough to be estimated."""
TIMED = 3
"""Batches that are timed. With the largest, by which memory is measured, and with a trial in bfloat16 where that may be
faster, eight steps are tried at most: 4 % of the shortest training that is long."""
WORTH_IT = 1.25
"""How much faster steps in bfloat16 have to be to be worth telling."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training is going to take, by a few of its batches.

    Attributes:
        seconds: of a step, without waiting for input and without validation.
        bytes: that the largest of the batches seen needs beyond what is there: activations, gradients, optimiser's state.
        free: bytes that can be had; None where the system does not say.
        per_epoch: steps of an epoch.
        steps: that are to come, at most.
        rounded_seconds: of a step in bfloat16, where the training is in float32 and the device is good at it; else None.
    """

    seconds: float
    bytes: int
    free: int | None
    per_epoch: int
    steps: int
    rounded_seconds: float | None = None

    def __str__(self) -> str:
        there = "" if self.free is None else f" ({readable_bytes(self.free)} are free)"
        lines = [
            f"a step takes about {readable_time(self.seconds)} and {readable_bytes(self.bytes)}{there}: about "
            f"{readable_time(self.seconds * self.per_epoch)} an epoch, at most {readable_time(self.seconds * self.steps)}, "
            "besides validation"
        ]
        if self.free is not None and self.bytes > self.free:
            lines.append("that is more memory than is free; --training.items-at-once auto finds what fits")
        if self.rounded_seconds is not None and self.seconds > WORTH_IT * self.rounded_seconds:
            rounded = readable_time(self.rounded_seconds)
            lines.append(f"in bfloat16 a step would take about {rounded}: --training.precision bfloat16")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Course:
    """How many steps are to come.

    Attributes:
        start: steps done.
        total: steps at most.
        per_epoch: steps of an epoch.
        parts: batches of a step.
    """

    start: int
    total: int
    per_epoch: int
    parts: int = 1


def estimated(rehearsal: Rehearsal, batches: Batches, course: Course, *, ask: bool = False) -> Estimate:
    """What a training is going to take; nothing of it is changed.

    Args:
        rehearsal: of its steps.
        batches: of the training.
        course: how many steps are to come.
        ask: whether to try, on a CPU that is good at it, how long steps would take in bfloat16.

    Raises:
        TrainingError: a step does not fit into the device's memory.
    """
    device, start = rehearsal.device, course.start * course.parts
    free, largest = free_bytes(device), largest_batch(batches, start)
    try:
        peak = rehearsal.peak(largest)  # it also warms up
    except torch.OutOfMemoryError:
        raise out_of_memory(len(largest.mask_BL), free, device) from None
    timed = [batches.batch(step) for step in steps_of(batches, start, TIMED)]
    moving, rounded_seconds = rehearsal.moving_seconds(), None
    if ask and device.type == "cpu" and multiplies_faster_in_bfloat16():
        rounded = rehearsal.in_bfloat16()
        rounded.seconds(timed[:1])  # warms up
        rounded_seconds = moving + course.parts * rounded.seconds(timed)
    return Estimate(
        seconds=moving + course.parts * rehearsal.seconds(timed),
        bytes=peak + (0 if course.start else rehearsal.state_bytes),
        free=free,
        per_epoch=course.per_epoch,
        steps=course.total - course.start,
        rounded_seconds=rounded_seconds,
    )


def out_of_memory(windows: int, free: int | None, device: torch.device) -> TrainingError:
    """The error for a step that does not fit into the memory of its device."""
    there = "" if free is None else f", of which {readable_bytes(free)} are free"
    return TrainingError(
        f"a step of {windows} windows does not fit into the memory of the {device.type} device{there}",
        where="training.batch_size",
        remedy="--training.items-at-once auto reads items in chunks that fit; or make training.batch_size smaller",
    )


def readable_time(seconds: float) -> str:
    """Seconds as a person would say them."""
    for longest, unit, name in ((0.1, 1e-3, "ms"), (100, 1, "s"), (6000, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < longest:
            return f"{seconds / unit:.2g} {name}" if seconds / unit < 10 else f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.1f} days"
