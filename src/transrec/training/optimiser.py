"""Optimiser groups and the schedule: what learns, how fast, at which step."""

from __future__ import annotations

import math

import torch
from torch import nn

from transrec.errors import TrainingError
from transrec.model import TransRec
from transrec.training.settings import TrainingSettings

ENCODERS = "items.encoders."
"""Names of parameters in modality encoders begin with this."""


def optimiser_groups(model: TransRec, settings: TrainingSettings) -> list[dict[str, object]]:
    """Parameters that learn, in groups by learning rate and weight decay.

    Modality encoders have a learning rate of their own, except the identity encoder, whose table starts fresh. Vectors and
    scalars (biases, norms, temperatures) do not decay.

    Raises:
        TrainingError: nothing learns.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        pretrained = name.startswith(ENCODERS) and not name.startswith(ENCODERS + "identity.")
        rate = settings.encoder_learning_rate if pretrained else settings.learning_rate
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    if not groups:
        raise TrainingError("no parameter learns", remedy="choose --tune full, top:N or frozen")
    return [
        {"params": parameters, "lr": rate, "peak": rate, "weight_decay": decay}
        for (rate, decay), parameters in sorted(groups.items(), key=lambda entry: entry[0])
    ]


def rate_factor(step: int, total: int, warmup: float) -> float:
    """What the peak learning rate is multiplied by: a linear rise over the warm-up, then half a cosine down to zero."""
    rising = max(1, round(warmup * total))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to its peak times the factor."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor
