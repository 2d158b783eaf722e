"""Sizing: a size that the settings leave open is found by trying real steps, and the number takes its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from rich.console import Console
from torch import Tensor

from transrec.data.batches import SequenceBatch, SequenceBatches
from transrec.data.mixing import MixedBatches
from transrec.data.room import readable_bytes
from transrec.errors import TrainingError
from transrec.model import TransRec
from transrec.objectives import build_objective
from transrec.objectives.objective import Objective
from transrec.recipes.attuning import attune
from transrec.recipes.platform import Platform, batches_of
from transrec.recipes.stages import Stage
from transrec.training.memory import free_bytes
from transrec.training.rehearsal import Rehearsal, largest_batch
from transrec.training.settings import TrainingSettings
from transrec.training.sizes import largest_that_fits
from transrec.training.trainer import Trainer, processes, resolve_device

FIRST = 8
"""The smallest size that is tried."""
LARGEST_BATCH = 1024
STEPS_PER_EPOCH = 50
"""No batch is so large that an epoch has fewer steps."""

Trials = tuple[Callable[[int], int], int]
"""What a step of a size takes, in bytes, and the size at which to stop trying."""


def found_sizes(
    model: TransRec, platforms: Sequence[Platform], stage: Stage, *, console: Console | None = None
) -> Mapping[str, int | None]:
    """The number that fits, by the name of the setting that says ``auto``; nothing where none does.

    Steps are tried on the largest of some batches; weights and everything else stay as they are.

    Args:
        model: tuned for the stage, on its device.
        platforms: what is learned from.
        stage: with at most one size to be found.
        console: where the number is told; standard error when None.

    Raises:
        TrainingError: not even the smallest size fits, there are several processes, or the system does not say how much
            memory is free.
    """
    loop = stage.training
    if not loop.to_find:
        return {}
    [name] = loop.to_find
    attune(platforms, loop.seed, model, 0)  # a step is as large as it will be
    objective = build_objective(stage.objective, model)
    rehearsal = Trainer(loop).rehearsal(model, objective)
    device = resolve_device(loop.device)
    for platform in platforms:
        if objective.asks_counts and platform.counts is not None:
            platform.counts.lie_on(device)  # so that what is free is without them
    left = _free(name, device) - rehearsal.state_bytes
    if name == "batch_size":
        bytes_of, last = _windows(platforms, objective, loop, rehearsal)
    else:
        bytes_of, last = _items(model, largest_batch(batches_of(platforms, objective, loop)), rehearsal)
    found = largest_that_fits(bytes_of, left, first=FIRST, last=last)
    if found is None:
        raise TrainingError(
            f"not even {FIRST} fit into the {readable_bytes(max(left, 0))} that are left beside weights and optimiser",
            where=f"training.{name}",
            remedy="tune fewer blocks, or take a smaller encoder" + ("" if name == "batch_size" else " or smaller batches"),
        )
    number = None if name == "items_at_once" and found.size >= last else found.size
    (console or Console(stderr=True)).print(
        f"{name} that fits: {'all' if number is None else number}; a step takes {readable_bytes(found.bytes)}, "
        f"{readable_bytes(left)} are free",
        highlight=False,
    )
    return {name: number}


def _free(name: str, device: torch.device) -> int:
    """Bytes that are free.

    Raises:
        TrainingError: the system does not say, or there are several processes.
    """
    free, reason = free_bytes(device), "the system does not say how much memory is free"
    if processes(device).num_processes > 1:
        free, reason = None, "several processes would have to agree on it"
    if free is None:
        raise TrainingError(
            f"the size that fits cannot be found on {device.type} here: {reason}",
            where=f"training.{name}",
            remedy="give a number in the place of auto",
        )
    return free


def _windows(platforms: Sequence[Platform], objective: Objective, loop: TrainingSettings, rehearsal: Rehearsal) -> Trials:
    """Trials of batches of so many windows."""

    def batches(size: int) -> SequenceBatches | MixedBatches:
        return batches_of(platforms, objective, loop.updated({"batch_size": size}))

    most = max(FIRST, min(LARGEST_BATCH, FIRST * batches(FIRST).steps_per_epoch // STEPS_PER_EPOCH))
    power_of_two = 1 << (most.bit_length() - 1)
    return lambda size: rehearsal.peak(largest_batch(batches(size))), power_of_two


def _items(model: TransRec, batch: SequenceBatch, rehearsal: Rehearsal) -> Trials:
    """Trials of so many items of a batch at a time."""

    def bytes_of(size: int) -> int:
        model.items.at_once = size
        try:
            return rehearsal.peak(batch)
        finally:
            model.items.at_once = None

    return bytes_of, most_contents(batch)


def most_contents(batch: SequenceBatch) -> int:
    """How many contents an encoder reads for a batch: those of the modality that has most of them."""
    parts = [part.content for part in batch.items.parts.values()]
    return max((len(next(iter(content.values()))) for content in parts if not isinstance(content, Tensor)), default=0)
