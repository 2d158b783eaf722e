"""Anchor: holds what was learned elsewhere near the values that it came with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import final

import safetensors.torch
import torch
from torch import nn

from transrec.errors import RunError, TrainingError


def held_parameters(model: nn.Module, names: Collection[str], strength: float) -> Mapping[str, nn.Parameter]:
    """What an anchor of this strength holds, by name: those of the named parameters that learn; nothing at 0."""
    return {name: p for name, p in model.named_parameters() if strength and name in names and p.requires_grad}


@final
class Anchor:
    """L2-SP (arXiv 1802.01483), decoupled from the gradient as AdamW's decay is (arXiv 1711.05101).

    After every step of the optimiser a held weight w that started at s becomes ``w - rate * strength * (w - s)``, where rate
    is its learning rate at this step. It stands in the place of weight decay, as in the paper. As Adam's steps are about as
    long as the rate, a weight ends at most about ``1 / strength`` away from its start.

    Args:
        model: with the starting weights.
        names: of the parameters that are held.
        strength: of the pull; 0 for none.

    Raises:
        TrainingError: there is a strength, but nothing to hold.
    """

    def __init__(self, model: nn.Module, names: Collection[str], strength: float) -> None:
        self._strength = strength
        held = held_parameters(model, names, strength)
        if strength and not held:
            raise TrainingError(
                "everything that learns starts fresh, so there is nothing to hold it to",
                where="--training.anchor",
                remedy="leave the anchor out, or begin from a run",
            )
        self._name_of = {id(parameter): name for name, parameter in held.items()}
        self._starts = {name: parameter.detach().clone() for name, parameter in held.items()}

    def keep(self, folder: Path | None) -> None:
        """Write where the weights started into the run folder, for a training that is resumed."""
        if folder and self._starts:
            path = _path(folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            safetensors.torch.save_file({name: start.contiguous() for name, start in self._starts.items()}, str(path))

    def restore(self, folder: Path | None) -> None:
        """Take where the weights started from the run folder.

        Raises:
            RunError: it is not there, or it belongs to another model.
        """
        if not self._starts:
            return
        if folder is None or not _path(folder).exists():
            raise RunError("where the weights started is not in the run folder", remedy="train without --resume")
        kept = safetensors.torch.load_file(str(_path(folder)))
        if set(kept) != set(self._starts):
            raise RunError(
                "where the weights started is kept for other parameters than are held now",
                where=str(_path(folder)),
                remedy="resume with the settings that the run was started with",
            )
        for name, start in self._starts.items():
            start.copy_(kept[name])

    @torch.no_grad()
    def pull(self, optimiser: torch.optim.Optimizer) -> None:
        """Move every held weight a little towards its start."""
        for group in optimiser.param_groups:
            share = min(1.0, group["lr"] * self._strength)
            for parameter in group["params"] if self._starts else ():
                if id(parameter) in self._name_of:
                    parameter.lerp_(self._starts[self._name_of[id(parameter)]], share)


def _path(folder: Path) -> Path:
    return folder / "checkpoints" / "start.safetensors"
