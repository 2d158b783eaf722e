"""Rehearsal: real steps that leave nothing behind, to learn what they take before the first one that counts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

from transrec.data.batches import Batches, SequenceBatch
from transrec.data.ragged import Ragged
from transrec.training.memory import peak_of
from transrec.training.optimiser import adamw

LOOKED_AT = 8
"""Batches of an epoch of which the one with the most content is taken for the largest."""


@final
class Rehearsal:
    """Forward and backward passes of a training that does not notice.

    Weights, buffers, gradients, training mode and the process's random state are afterwards what they were before, bit for
    bit.

    Args:
        task: from batch to loss, on the device; not wrapped for several processes.
        device: where it runs.
        bfloat16: whether the forward pass computes in it.
    """

    def __init__(self, task: nn.Module, device: torch.device, *, bfloat16: bool = False) -> None:
        self._task, self.device, self._bfloat16 = task, device, bfloat16

    def in_bfloat16(self) -> Rehearsal:
        """The same steps, computed in bfloat16."""
        return Rehearsal(self._task, self.device, bfloat16=True)

    def peak(self, batch: SequenceBatch) -> int:
        """The most bytes that a step on this batch holds at a time, beyond weights and the optimiser's state.

        Raises:
            torch.OutOfMemoryError: the device does not have them.
        """
        with self._unnoticed():
            return peak_of(lambda: self._pass(batch), self.device)

    def seconds(self, batches: Iterable[SequenceBatch]) -> float:
        """The seconds on the clock that a step takes, without moving the weights.

        The median over these batches: on a busy machine one of few may take many times as long as the others.
        """
        taken = []
        with self._unnoticed():
            for batch in batches:
                begun = self._now()
                self._pass(batch)
                taken.append(self._now() - begun)
                self._task.zero_grad()
        return statistics.median(taken)

    def moving_seconds(self) -> float:
        """The seconds on the clock that the optimiser takes for a step, tried on tensors of the same shapes."""
        shapes = [torch.zeros_like(p, requires_grad=True) for p in self._task.parameters() if p.requires_grad]
        for tensor in shapes:
            tensor.grad = torch.zeros_like(tensor)
        optimiser = adamw([{"params": shapes}], self.device)
        optimiser.step()  # makes its state
        begun = self._now()
        optimiser.step()
        return self._now() - begun

    @property
    def state_bytes(self) -> int:
        """The bytes of the optimiser's state: two numbers for each that learns."""
        return sum(2 * p.numel() * p.element_size() for p in self._task.parameters() if p.requires_grad)

    def _pass(self, batch: SequenceBatch) -> None:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16):
            loss = self._task(batch.to(self.device))
        loss.total.backward()

    def _now(self) -> float:
        """The clock, when the device has done what it was told."""
        if self.device.type in ("cuda", "mps"):
            getattr(torch, self.device.type).synchronize()
        return time.perf_counter()

    @contextmanager
    def _unnoticed(self) -> Iterator[None]:
        buffers = [(buffer, buffer.detach().clone()) for buffer in self._task.buffers()]
        modes = [(module, module.training) for module in self._task.modules()]
        self._task.train()
        devices = [torch.cuda.current_device()] if self.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=devices):
                yield
        finally:
            self._task.zero_grad()
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
            for module, mode in modes:
                module.training = mode


def steps_of(batches: Batches, start: int, count: int) -> Sequence[int]:
    """So many of the steps of an epoch that begins here, evenly spread; fewer where it has fewer."""
    whole = batches.steps_per_epoch
    return [start + place * whole // min(count, whole) for place in range(min(count, whole))]


def largest_batch(batches: Batches, start: int = 0) -> SequenceBatch:
    """Of some batches of an epoch that begins at this step, the one whose items have the most content."""
    steps = steps_of(batches, start, LOOKED_AT)
    return max((batches.batch(step) for step in steps), key=content_of)


def content_of(batch: SequenceBatch) -> int:
    """How many numbers the items of a batch are made of: tokens, pixels, vectors or activations."""
    total = 0
    for part in batch.items.parts.values():
        values = [part.content] if isinstance(part.content, Tensor) else part.content.values()
        total += sum((value.values if isinstance(value, Ragged) else value).numel() for value in values)
    return total
