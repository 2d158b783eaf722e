"""Checkpoints without pickle: weights, optimiser state and progress; the newest and the one before, sealed."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import final

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from transrec.data.sealing import aside_of, damage, seal, settle
from transrec.errors import RunError
from transrec.objectives.objective import Objective
from transrec.weights import WEIGHTS, load_weights, save_weights

REMEMBERED = "objective.safetensors"
PROGRESS = "progress.json"


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
        self._folder = folder / "checkpoints" if folder else None
        self._best = folder / "checkpoints" / "best" / WEIGHTS if folder else None
        self._in_memory: dict[str, Tensor] | None = None
        self._objective = objective
        self._seconds, self._writes = 60 * minutes, writes
        self._saved = time.monotonic()

    @staticmethod
    def has_begun(folder: Path) -> bool:
        """Whether a training in this run folder has left a state to go on from."""
        return any(place.exists() and any(place.iterdir()) for place in _places(folder / "checkpoints"))

    @staticmethod
    def load_weights(folder: Path, model: nn.Module) -> None:
        """Put the weights of this run folder's last sound state in place; without one the model stays as it is."""
        if Keeper.has_begun(folder):
            load_weights(model, sound_checkpoint(folder / "checkpoints") / WEIGHTS)

    def load(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
        """Put the last sound state in place.

        Raises:
            RunError: there is none, or it belongs to another model.
        """
        if self._folder is None:
            raise RunError("there is no folder to resume in", remedy="give the run a folder")
        place = sound_checkpoint(self._folder)
        progress = load_checkpoint(place, model, optimiser)
        remembered = place / REMEMBERED
        self._objective.restore(safetensors.torch.load_file(str(remembered)) if remembered.exists() else {})
        return progress

    def begin(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
        """Keep the state before the first step, so that an interrupt at any time can be resumed."""
        progress = Progress()
        self._keep_last(model, optimiser, progress)
        return progress

    def stepped(self, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
        """Keep the state inside an epoch."""
        self._keep_last(model, optimiser, progress)

    def due(self) -> bool:
        """Whether it is time to keep the state inside an epoch."""
        return time.monotonic() - self._saved >= self._seconds

    def validated(self, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
        """Keep the state after a validation, and the weights if they are the best so far."""
        if progress.waiting == 0:
            if self._best is None:
                self._in_memory = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            elif self._writes:
                self._save_best(model, self._best, progress)
        self._keep_last(model, optimiser, progress)

    def put_back(self, model: nn.Module) -> None:
        """Give the model the weights that validated best.

        Raises:
            RunError: they are damaged.
        """
        if self._best is not None:
            trouble = damage(self._best.parent)
            if trouble is not None:
                raise RunError(
                    f"the weights that validated best are damaged: {trouble}",
                    where=str(self._best.parent),
                    remedy="train again in another folder, or copy this one again from where it is whole",
                )
            load_weights(model, self._best)
        elif self._in_memory is not None:
            model.load_state_dict(self._in_memory)

    def _save_best(self, model: nn.Module, path: Path, progress: Progress) -> None:
        try:
            save_weights(model, path)
            seal(path.parent)
        except (OSError, SafetensorError) as error:
            aside_of(path).unlink(missing_ok=True)
            raise _unwritten(path.parent.parent, progress, error) from None

    def _keep_last(self, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
        if self._folder is not None and self._writes:
            save_checkpoint(self._folder, model, optimiser, progress, self._objective.state())
        self._saved = time.monotonic()


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    remembered: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the newest checkpoint, and keep the one before; an interruption at any moment leaves one of them sound.

    Args:
        folder: of the checkpoints; the newest is ``last`` in it, the one before is ``before``.
        model: its weights.
        optimiser: its state.
        progress: how far the training is.
        remembered: what the objective remembers, by name.

    Raises:
        RunError: they cannot be written; those that were there are as they were.
    """
    building = folder / "new"
    try:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        save_weights(model, building / WEIGHTS)
        tensors, numbers = _flattened(optimiser)
        safetensors.torch.save_file(tensors, str(building / "optimiser.safetensors"))
        if remembered:
            safetensors.torch.save_file(dict(remembered), str(building / REMEMBERED))
        (building / PROGRESS).write_text(json.dumps({"progress": asdict(progress), "optimiser": numbers}))
        seal(building)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(building, ignore_errors=True)
        raise _unwritten(folder, progress, error) from None
    last, before = folder / "last", folder / "before"
    if last.exists():
        shutil.rmtree(before, ignore_errors=True)
        last.rename(before)
    building.rename(last)
    settle(folder)


def sound_checkpoint(folder: Path) -> Path:
    """The newest checkpoint that is as it was written; where the last one is damaged that is the one before, with a warning.

    Args:
        folder: of the checkpoints.

    Raises:
        RunError: there is none, or all are damaged.
    """
    found = [place for place in _places(folder) if place.exists()]
    if not found:
        raise RunError(f"there is no checkpoint to resume from in {folder}", remedy="train without --resume")
    wrong: list[str] = []
    for place in found:
        trouble = damage(place)
        if trouble is None:
            if wrong:
                warnings.warn(f"{'; '.join(wrong)}. The checkpoint before it is used instead: {place}", stacklevel=2)
            return place
        wrong.append(f"the checkpoint {place} is damaged: {trouble}")
    raise RunError("; ".join(wrong), remedy="train again in another folder, or copy this one again from where it is whole")


def load_checkpoint(place: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
    """Put a checkpoint's weights and optimiser state in place and return its progress.

    Args:
        place: of one checkpoint; see :func:`sound_checkpoint`.
        model: gets the weights.
        optimiser: gets its state.

    Raises:
        RunError: it belongs to another model.
    """
    load_weights(model, place / WEIGHTS)
    document = json.loads((place / PROGRESS).read_text())
    tensors = safetensors.torch.load_file(str(place / "optimiser.safetensors"))
    _restore(optimiser, tensors, document["optimiser"])
    return Progress(**document["progress"])


def _places(folder: Path) -> tuple[Path, Path]:
    """Where checkpoints are, the newest first."""
    return folder / "last", folder / "before"


def _unwritten(folder: Path, progress: Progress, error: Exception) -> RunError:
    kept = next((place for place in _places(folder) if place.exists()), None)
    then = f"the state of {kept} is whole" if kept else "no state is kept"
    return RunError(
        f"the checkpoint of step {progress.step} cannot be written ({error}); {then}",
        where=str(folder),
        remedy="make room or give yourself the right to write there, then go on with --resume",
    )


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
