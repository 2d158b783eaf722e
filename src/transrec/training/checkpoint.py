"""Checkpoints without pickle: weights, optimiser state and progress, written whole or not at all."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import final

import safetensors.torch
import torch
from torch import Tensor, nn

from transrec.errors import RunError
from transrec.model import load_weights, save_weights
from transrec.objectives.objective import Objective

REMEMBERED = "objective.safetensors"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is.

    Attributes:
        step: steps done.
        best: the best validation metric so far, or None before the first.
        best_step: when that was.
        waiting: validations since then.
        done: whether training has ended by itself.
    """

    step: int = 0
    best: float | None = None
    best_step: int = 0
    waiting: int = 0
    done: bool = False

    def after_validation(self, value: float, *, always: bool = False) -> Progress:
        """The progress when a validation gave this value; with ``always`` the latest counts as the best."""
        if always or self.best is None or value > self.best:
            return replace(self, best=value, best_step=self.step, waiting=0)
        return replace(self, waiting=self.waiting + 1)


@final
class Keeper:
    """Keeps what a training must not lose: the last state now and then, and the weights that validated best.

    Args:
        folder: the run folder; without one the best weights are kept in memory, and no last state.
        objective: what it remembers besides the weights is kept with them.
        minutes: between checkpoints inside an epoch.
        writes: whether this process is the one that writes.
    """

    def __init__(self, folder: Path | None, objective: Objective, *, minutes: float, writes: bool = True) -> None:
        self._last = folder / "checkpoints" / "last" if folder else None
        self._best = folder / "checkpoints" / "best" / "model.safetensors" if folder else None
        self._in_memory: dict[str, Tensor] | None = None
        self._objective = objective
        self._seconds, self._writes = 60 * minutes, writes
        self._saved = time.monotonic()

    @staticmethod
    def has_begun(folder: Path) -> bool:
        """Whether a training in this run folder has left a state to go on from."""
        last = folder / "checkpoints" / "last"
        return any((place / "progress.json").exists() for place in (last, last.with_name(last.name + ".old")))

    @staticmethod
    def load_weights(folder: Path, model: nn.Module) -> None:
        """Put the weights of this run folder's last state in place; without one the model stays as it is."""
        last = folder / "checkpoints" / "last"
        for place in (last, last.with_name(last.name + ".old")):
            if (place / "progress.json").exists():
                load_weights(model, place / "model.safetensors")
                return

    def load(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
        """Put the last state in place.

        Raises:
            RunError: there is none, or it belongs to another model.
        """
        if self._last is None:
            raise RunError("there is no folder to resume in", remedy="give the run a folder")
        progress = load_checkpoint(self._last, model, optimiser)
        remembered = self._last / REMEMBERED
        self._objective.restore(safetensors.torch.load_file(str(remembered)) if remembered.exists() else {})
        return progress

    def begin(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
        """Keep the state before the first step, so that an interrupt at any time can be resumed."""
        progress = Progress()
        self._keep_last(model, optimiser, progress)
        return progress

    def stepped(self, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
        """Keep the state inside an epoch, when it is time."""
        if time.monotonic() - self._saved >= self._seconds:
            self._keep_last(model, optimiser, progress)

    def validated(self, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
        """Keep the state after a validation, and the weights if they are the best so far."""
        if progress.waiting == 0:
            if self._best is None:
                self._in_memory = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            elif self._writes:
                save_weights(model, self._best)
        self._keep_last(model, optimiser, progress)

    def put_back(self, model: nn.Module) -> None:
        """Give the model the weights that validated best."""
        if self._best is not None:
            load_weights(model, self._best)
        elif self._in_memory is not None:
            model.load_state_dict(self._in_memory)

    def _keep_last(self, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
        if self._last is not None and self._writes:
            save_checkpoint(self._last, model, optimiser, progress, self._objective.state())
        self._saved = time.monotonic()


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    remembered: Mapping[str, Tensor] | None = None,
) -> None:
    """Replace the checkpoint in this folder; an interrupt leaves the old one or the new one.

    Args:
        folder: of the checkpoint.
        model: its weights.
        optimiser: its state.
        progress: how far the training is.
        remembered: what the objective remembers, by name.
    """
    building = folder.with_name(folder.name + ".new")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    save_weights(model, building / "model.safetensors")
    tensors, numbers = _flattened(optimiser)
    safetensors.torch.save_file(tensors, str(building / "optimiser.safetensors"))
    if remembered:
        safetensors.torch.save_file(dict(remembered), str(building / REMEMBERED))
    (building / "progress.json").write_text(json.dumps({"progress": asdict(progress), "optimiser": numbers}))
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    building.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
    """Put a checkpoint's weights and optimiser state in place and return its progress.

    Raises:
        RunError: there is none, or it belongs to another model.
    """
    old = folder.with_name(folder.name + ".old")
    if not folder.exists() and old.exists():
        old.rename(folder)  # interrupted between the two renames of save_checkpoint
    if not (folder / "progress.json").exists():
        raise RunError(f"there is no checkpoint to resume from at {folder}", remedy="train without --resume")
    load_weights(model, folder / "model.safetensors")
    document = json.loads((folder / "progress.json").read_text())
    tensors = safetensors.torch.load_file(str(folder / "optimiser.safetensors"))
    _restore(optimiser, tensors, document["optimiser"])
    return Progress(**document["progress"])


def _flattened(optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Optimiser state as named tensors and named numbers; parameters are numbered in the order of the groups."""
    tensors, numbers = {}, {}
    for index, state in optimiser.state_dict()["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{key}"] = value.contiguous()
            else:
                numbers[f"{index}.{key}"] = value
    return tensors, numbers


def _restore(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], numbers: dict[str, float]) -> None:
    expected = sum(len(group["params"]) for group in optimiser.param_groups)
    state: dict[int, dict[str, object]] = {}
    for name, value in [*tensors.items(), *numbers.items()]:
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    if state and max(state) >= expected:
        raise RunError(
            f"the checkpoint's optimiser has {max(state) + 1} parameters, this training has {expected}",
            remedy="resume with the settings that the run was started with",
        )
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
