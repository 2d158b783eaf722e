"""Adapters of the user encoder: put in by a tuning rule, and part of the model from then on."""

from __future__ import annotations

import torch

from transrec.errors import ModelError
from transrec.model import TransRec
from transrec.users.adapter import Adapter


def put_adapters(model: TransRec, inner: int, generator: torch.Generator) -> None:
    """Give the user encoder adapters, and write into the model's settings that it has them.

    A model that has adapters already, from the run that it was loaded from, keeps them.

    Args:
        model: is changed in place.
        inner: width of the bottleneck; 0 for that of the adapters that are there, or else half of the model's width.
        generator: of their weights.

    Raises:
        ModelError: the user encoder has no place for adapters, or has some of another width.
    """
    present = model.settings.users.adapter
    if present:
        if inner not in (0, present):
            raise ModelError(
                f"the model has adapters of width {present}, {inner} is asked for",
                where="tune",
                remedy=f"choose adapter:{present}; with --rules 'users.*_adapter.*=fresh' they start anew",
            )
        return
    inner = inner or max(1, model.users.width // 2)
    with torch.random.fork_rng(devices=[]):  # their own start is replaced, and must not use up random numbers
        model.users.add_adapters(inner)
    for part in model.users.modules():
        if isinstance(part, Adapter):
            part.reset(generator)
    model.users.to(model.device)
    users = model.settings.users.model_copy(update={"adapter": inner})
    model.settings = model.settings.model_copy(update={"users": users})
