"""Loop: the steps of a training, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from accelerate import Accelerator
from torch import nn

from transrec.data.batches import Batches, SequenceBatch
from transrec.errors import Stopped
from transrec.model import TransRec
from transrec.objectives.objective import Loss
from transrec.training.ahead import batches_ahead, prefetched
from transrec.training.anchor import Anchor
from transrec.training.checkpoint import Keeper, Progress
from transrec.training.estimate import Course, out_of_memory
from transrec.training.finite import FiniteWatch
from transrec.training.log import TrainingLog
from transrec.training.optimiser import rate_factor, set_rates
from transrec.training.settings import TrainingSettings
from transrec.training.stopping import Stopping
from transrec.training.unfreezing import Unfreezing

Validate = Callable[[TransRec], Mapping[str, float]]
"""Metrics of the model on held-out events; training sees nothing else of them."""
BeforeEpoch = Callable[[TransRec, int], None]
"""Changes buffers of the model before the epoch of this number begins, by nothing but its weights and that number."""


@final
@dataclass(slots=True, eq=False, kw_only=True)
class Loop:
    """The steps of a training, with everything that they need."""

    settings: TrainingSettings
    folder: Path | None
    accelerator: Accelerator
    task: nn.Module
    optimiser: torch.optim.Optimizer
    batches: Batches
    course: Course
    keeper: Keeper
    anchor: Anchor
    unfreezing: Unfreezing
    watch: FiniteWatch
    before_epoch: BeforeEpoch | None = None

    def run(self, model: TransRec, progress: Progress, validate: Validate, log: TrainingLog, stopping: Stopping) -> Progress:
        """Train until the course is at its end, patience is, or somebody says stop; how far it has come."""
        settings, total, per_epoch = self.settings, self.course.total, self.course.per_epoch
        steps = range(progress.step, 0 if progress.done else total)
        ahead = batches_ahead(self.accelerator.device)
        for step, parts in zip(steps, prefetched(self._made, steps, log.waited, ahead), strict=True):
            factor = rate_factor(step, total, settings)
            set_rates(self.optimiser, factor)
            self.unfreezing.at(step)
            if self.before_epoch is not None and step % per_epoch == 0:
                self.before_epoch(model, step // per_epoch)
            loss = self._step(parts, step)
            progress = replace(progress, step=step + 1)
            log.stepped(sum(len(batch.mask_BL) for batch in parts))
            epoch = progress.step / per_epoch
            validating = progress.step % (settings.validate_every * per_epoch) == 0 or progress.step == total
            telling = progress.step % settings.log_every == 0 or progress.step == total
            keeping = self.keeper.due() or stopping.asked is not None
            if telling or validating or keeping:
                self.watch.settle(self._made)
            if telling and loss is not None:
                log.training(progress.step, epoch, _numbers(loss, settings.learning_rate * factor))
            if validating:
                values = validate(model)
                progress = progress.after_validation(values[settings.metric], always=settings.keep == "last")
                progress = replace(progress, done=progress.step == total or progress.waiting >= settings.patience)
                log.validation(progress.step, epoch, values, best=progress.waiting == 0)
                self.keeper.validated(model, self.optimiser, progress)
            elif keeping:
                self.keeper.stepped(model, self.optimiser, progress)
            if stopping.asked is not None:  # at the very end, too: a caller who has more to train is to hear of it
                raise Stopped(progress.step, stopping.asked, kept=self.folder is not None)
            if progress.done:
                break
        return progress

    def _step(self, parts: Sequence[SequenceBatch], step: int) -> Loss | None:
        """Forward and backward of every part, then clip and move the weights; the loss of the last part.

        None where a number was not finite and the weights stay where they are.
        """
        settings, accelerator = self.settings, self.accelerator
        self.task.train()
        # the one place where the process is seeded: dropout then depends on (seed, step) and rank alone
        torch.manual_seed(hash((settings.seed, step, accelerator.process_index)) % 2**63)  # noqa: TID251
        try:
            return self._moved(parts, step)
        except torch.OutOfMemoryError:
            raise out_of_memory(max(len(batch.mask_BL) for batch in parts), None, accelerator.device) from None

    def _moved(self, parts: Sequence[SequenceBatch], step: int) -> Loss | None:
        """The step itself: see :meth:`_step`."""
        settings = self.settings
        found = self._losses(parts)
        norm = None
        if settings.clip is not None:
            norm = self.accelerator.clip_grad_norm_(self.task.parameters(), settings.clip)
        allowed = self.watch.allows([loss.total for loss in found], norm, step, parts)
        if allowed:
            self.optimiser.step()
            self.anchor.pull(self.optimiser)
        self.optimiser.zero_grad()
        return found[-1] if allowed else None

    def _losses(self, parts: Sequence[SequenceBatch]) -> list[Loss]:
        """Forward and backward of every part."""
        found: list[Loss] = []
        for place, batch in enumerate(parts, start=1):
            together = nullcontext() if place == len(parts) else self.accelerator.no_sync(self.task)
            with together, self.accelerator.autocast():
                found.append(self.task(batch.to(self.accelerator.device)))
                self.accelerator.backward(found[-1].total / len(parts))
        return found

    def _made(self, step: int) -> list[SequenceBatch]:
        """The batches of a step."""
        parts = self.course.parts
        return [self.batches.batch(step * parts + part) for part in range(parts)]


def _numbers(loss: Loss, rate: float) -> dict[str, float]:
    """The loss and its parts as numbers."""
    return {"loss": loss.total.item(), **{n: value.item() for n, value in loss.parts.items()}, "learning_rate": rate}
