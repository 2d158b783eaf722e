"""Checkpoints without pickle: weights, optimiser state and progress, written whole or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from transrec.errors import RunError
from transrec.model import load_weights, save_weights


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

    def after_validation(self, value: float) -> Progress:
        """The progress when a validation gave this value."""
        if self.best is None or value > self.best:
            return replace(self, best=value, best_step=self.step, waiting=0)
        return replace(self, waiting=self.waiting + 1)


def save_checkpoint(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """Replace the checkpoint in this folder; an interrupt leaves the old one or the new one."""
    building = folder.with_name(folder.name + ".new")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    save_weights(model, building / "model.safetensors")
    tensors, numbers = _flattened(optimiser)
    safetensors.torch.save_file(tensors, str(building / "optimiser.safetensors"))
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
