"""Weights of a module as a file: whole or not at all, without pickle, and read with a reason where they do not fit."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from transrec.data.sealing import aside_of, put_in_place
from transrec.data.stamping import UNSTAMPED, stamp, stamp_damage
from transrec.errors import RunError

WEIGHTS = "model.safetensors"
SETTINGS = "settings.yaml"


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's parameters and buffers as safetensors, whole or not at all; tensors that share memory once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_model(module, str(aside_of(path)), metadata=dict(UNSTAMPED))
    stamp(aside_of(path))
    put_in_place(aside_of(path), path)


def load_weights(module: nn.Module, path: Path) -> None:
    """Read what :func:`save_weights` wrote.

    Raises:
        RunError: the file is missing or damaged, or its names or shapes are not the module's.
    """
    if not path.exists():
        told = f"the weights are missing: there is no {path.name}"
        raise RunError(told, where=str(path.parent), remedy="copy the run folder again")
    try:
        if trouble := stamp_damage(path):
            raise RunError(f"the weights are damaged: {trouble}", where=str(path), remedy="copy the run folder again")
        safetensors.torch.load_model(module, str(path))
    except (SafetensorError, OSError) as error:
        raise RunError(f"the weights are damaged: {error}", where=str(path), remedy="copy the run folder again") from None
    except RuntimeError as error:
        raise RunError(
            f"the weights do not fit the parts of the model: {error}",
            where=str(path),
            remedy=f"{SETTINGS} and {WEIGHTS} must come from the same run",
        ) from None
