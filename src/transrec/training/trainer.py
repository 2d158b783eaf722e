"""Trainer: the only loop."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from accelerate.state import AcceleratorState
from rich.console import Console
from torch import nn

from transrec.data.batches import Batches, SequenceBatch
from transrec.errors import TrainingError
from transrec.model import TransRec
from transrec.objectives.objective import Loss, Objective
from transrec.training.anchor import Anchor
from transrec.training.checkpoint import Keeper
from transrec.training.estimate import LONG, Course, estimated
from transrec.training.finite import FiniteWatch, NameItems
from transrec.training.log import TrainingLog
from transrec.training.loop import BeforeEpoch, Loop
from transrec.training.loop import Validate as Validate
from transrec.training.optimiser import Pace, adamw, optimiser_groups, paces
from transrec.training.precision import rounds_to_bfloat16
from transrec.training.rehearsal import Rehearsal
from transrec.training.repeating import repeatable
from transrec.training.requirements import chunk_of, require_times
from transrec.training.settings import TrainingSettings
from transrec.training.stopping import Stopping
from transrec.training.together import Together
from transrec.training.unfreezing import Unfreezing


@dataclass(frozen=True, slots=True)
class Fit:
    """How a training went.

    Attributes:
        steps: steps done.
        best_step: the step whose weights the model has now.
        best: the best validation metric that was to be had; what rates and rules are chosen by.
        stopped_early: whether patience ended it.
        weighed: what was set by validation afterwards, and the metric with it; empty if nothing was.
    """

    steps: int
    best_step: int
    best: float
    stopped_early: bool
    weighed: Mapping[str, float] = field(default_factory=dict)


class Task(nn.Module):
    """Model and objective as one module from batch to loss, so that data-parallel wrappers see every parameter used.

    Args:
        model: what learns.
        objective: what is made smaller.
        together: how several processes compute a batch; None where one does.

    Raises:
        ModelError: the objective cannot train the model.
    """

    def __init__(self, model: TransRec, objective: Objective, together: Together | None = None) -> None:
        super().__init__()
        objective.check(model)
        self.model = model
        self.objective = objective
        self.together = together

    def forward(self, batch: SequenceBatch) -> Loss:
        """The loss of a batch."""
        require_times(self.model, batch)
        outputs = self.together.outputs(self.model, batch) if self.together else self.model(batch)
        loss: Loss = self.objective(self.model, outputs, batch)
        return loss


class Trainer:
    """Fits a model to batches under an objective; pre-training and transfer are both this.

    Every step is a pure function of (seed, step): order and negatives come from the batches, dropout from a seed set at
    every step. So a run that was interrupted and resumed ends with the same weights: bit for bit on the same CPU; on GPUs as
    far as their kernels are deterministic.

    Args:
        settings: see there.
        folder: the run folder, for checkpoints and logs; nothing is written when None.
        console: where the progress line goes; standard error when None.
        anchored: names of the parameters that ``settings.anchor`` pulls to where they start: those that do not start fresh.
        name_items: the ids of a batch's items, for the report about a loss that is not a number.
        before_epoch: called before every epoch, for parts of the model that look at all items now and then.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        folder: Path | None = None,
        *,
        console: Console | None = None,
        anchored: Collection[str] = (),
        name_items: NameItems | None = None,
        before_epoch: BeforeEpoch | None = None,
    ) -> None:
        self.settings = settings
        self.before_epoch = before_epoch
        self.name_items = name_items
        self.folder = folder
        self.console = console
        self.anchored = frozenset(anchored)

    def fit(
        self, model: TransRec, objective: Objective, batches: Batches, validate: Validate, *, resume: bool = False
    ) -> Fit:
        """Train, and leave the model with the weights that validated best.

        Args:
            model: learns where ``requires_grad`` says so.
            objective: what is made smaller.
            batches: what is learned from.
            validate: called every few epochs; chooses the best weights and stops the training.
            resume: go on from the last checkpoint of the run folder.

        Raises:
            ModelError: the objective cannot train the model.
            TrainingError: nothing learns, the loss is not a number, or the device cannot read some items at a time.
            RunError: there is nothing to resume, or the state cannot be written.
            Stopped: SIGINT or SIGTERM came; the state is kept.
        """
        settings = self.settings
        accelerator = _accelerator(settings)
        per_epoch, total = self._steps(batches)
        optimiser = adamw(optimiser_groups(model, settings, self.anchored, total=total), accelerator.device)
        alone = Task(model, objective, _together(accelerator))
        task, optimiser = accelerator.prepare(alone, optimiser)
        folder = self.folder if accelerator.is_main_process else None
        keeper = Keeper(self.folder, objective, minutes=settings.checkpoint_minutes, writes=accelerator.is_main_process)
        anchor = Anchor(model, self.anchored, settings.anchor)
        if resume:
            anchor.restore(self.folder)
        else:
            anchor.keep(folder)
        progress = keeper.load(model, optimiser) if resume else keeper.begin(model, optimiser)
        model.items.at_once = chunk_of(settings, accelerator.device)
        course = Course(progress.step, total, per_epoch, settings.accumulate)
        if accelerator.is_main_process:
            self._tell_estimate(alone, batches, course)
        unfreezing = Unfreezing(model, settings.unfreeze_every, per_epoch=per_epoch, total=total)
        watch = FiniteWatch(settings.on_nonfinite, folder, self.name_items)
        loop = Loop(
            settings=settings,
            folder=self.folder,
            accelerator=accelerator,
            task=task,
            optimiser=optimiser,
            batches=batches,
            course=course,
            keeper=keeper,
            anchor=anchor,
            unfreezing=unfreezing,
            watch=watch,
            before_epoch=self.before_epoch,
        )
        log = TrainingLog(folder, total=total, start=progress.step, tensorboard=settings.tensorboard, console=self.console)
        alone_here = accelerator.num_processes == 1
        with log, repeatable(accelerator.device), Stopping(log.console, alone=alone_here) as stopping:
            progress = loop.run(model, progress, validate, log, stopping)
        accelerator.wait_for_everyone()
        unfreezing.end()
        model.items.at_once = None
        keeper.put_back(model)
        model.eval()
        assert progress.best is not None
        return Fit(progress.step, progress.best_step, progress.best, progress.step < total)

    def paces(self, model: TransRec, batches: Batches) -> dict[str, Pace]:
        """How every parameter of the model that learns would do so in a training on these batches, by its name.

        Raises:
            TrainingError: blocks are to be unfrozen, and no backbone learns.
            ModelError: there is layer decay or unfreezing, and an encoder does not say what its blocks are.
        """
        return paces(model, self.settings, self.anchored, total=self._steps(batches)[1])

    def _steps(self, batches: Batches) -> tuple[int, int]:
        """Steps of an epoch, and of the whole training."""
        per_epoch = max(1, batches.steps_per_epoch // self.settings.accumulate)
        whole = self.settings.epochs * per_epoch
        return per_epoch, min(whole, self.settings.max_steps or whole)

    def rehearsal(self, model: TransRec, objective: Objective) -> Rehearsal:
        """Steps of such a training, to try what they take, on the device that the model is on."""
        return self._rehearsal_of(Task(model, objective))

    def _rehearsal_of(self, task: Task) -> Rehearsal:
        """Steps of this task; where several processes share it, this one tries alone."""
        together = task.together and task.together.rehearsed()
        rounded = rounds_to_bfloat16(self.settings.precision, task.model.device)
        return Rehearsal(Task(task.model, task.objective, together), task.model.device, bfloat16=rounded)

    def _tell_estimate(self, task: Task, batches: Batches, course: Course) -> None:
        """Tell what a long training is going to take, if anybody reads it."""
        console = self.console or Console(stderr=True)
        if self.settings.estimate and course.total - course.start >= LONG and not console.quiet:
            if self.before_epoch is not None and not course.start:
                self.before_epoch(task.model, 0)  # a step is as large as it will be
            found = estimated(self._rehearsal_of(task), batches, course, ask=self.settings.precision == "auto")
            console.print(str(found), highlight=False, markup=False, soft_wrap=True)


def processes(device: torch.device) -> PartialState:
    """The processes that train together: one, unless started by torchrun or ``accelerate launch``.

    accelerate keeps its state for the life of a process; a second training in a notebook may want another device or
    precision, so it starts anew.
    """
    if "WORLD_SIZE" not in os.environ:
        AcceleratorState._reset_state(reset_partial_state=True)
    return PartialState(cpu=device.type == "cpu")


def _accelerator(settings: TrainingSettings) -> Accelerator:
    device = resolve_device(settings.device)
    processes(device)
    return Accelerator(
        mixed_precision="bf16" if rounds_to_bfloat16(settings.precision, device) else "no",
        cpu=device.type == "cpu",
        # the part of a batch that a rank has may lack a modality, and then its encoder is not used
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def _together(accelerator: Accelerator) -> Together | None:
    """How the processes compute a batch; None where there is one."""
    ranks = accelerator.num_processes
    return Together.between_processes(accelerator.process_index, ranks) if ranks > 1 else None


def resolve_device(name: str) -> torch.device:
    """The device of this name; ``"auto"`` is an accelerator when there is one, else the CPU.

    Raises:
        TrainingError: the machine does not have it.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if not available[name]:
        raise TrainingError(f"this machine has no usable {name} device", remedy="use --training.device auto or cpu")
    return torch.device(name)
