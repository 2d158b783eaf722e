"""Paces, optimiser groups and the schedule: what learns, how fast, at which step."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from transrec.errors import TrainingError
from transrec.model import TransRec
from transrec.rules import learning_depths, merged_into
from transrec.training.anchor import held_parameters
from transrec.training.settings import TrainingSettings
from transrec.training.unfreezing import resting_epochs

ENCODERS = "items.encoders."
"""Names of parameters in modality encoders begin with this."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one parameter learns, and from when on.

    Attributes:
        rate: its peak learning rate.
        decay: its weight decay.
        from_epoch: the epoch in which it begins to learn; the first is 1.
        held: whether the anchor pulls it to where it started.
    """

    rate: float
    decay: float
    from_epoch: int
    held: bool


def paces(model: TransRec, settings: TrainingSettings, anchored: Collection[str] = (), *, total: int) -> dict[str, Pace]:
    """How every parameter that learns does so, by its name, in the model's order.

    Modality encoders have a learning rate of their own, except for what starts fresh in them: the identity encoder's table,
    and what a tuning rule added; so have the numbers that have far to go, those of modules with ``far_going`` (what counts
    are worth, and what interests have to win by). With layer decay, lower blocks have a lower one. Vectors and scalars
    (biases, norms, temperatures, the scaling vectors of (IA)^3) do not decay, and what is pulled to an anchor does not
    either.

    Args:
        model: after the tuning rule.
        settings: see there.
        anchored: names of the parameters that the anchor pulls, if there is one.
        total: steps of the training.

    Raises:
        TrainingError: blocks are to be unfrozen, and no backbone learns.
        ModelError: there is layer decay or unfreezing, and an encoder does not say what its blocks are.
    """
    depths = learning_depths(model, purpose="--training.layer-decay") if settings.layer_decay < 1 else {}
    resting = resting_epochs(model, settings.unfreeze_every)
    held = held_parameters(model, anchored, settings.anchor)
    far = {id(own) for module in model.modules() if getattr(module, "far_going", False) for own in module.parameters()}
    found = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        pretrained = name.startswith(ENCODERS) and not name.startswith(ENCODERS + "identity.") and not merged_into(name)
        rate = settings.encoder_learning_rate if pretrained else settings.learning_rate
        if id(parameter) in far:
            rate = prior_rate(total, settings)
        rate *= settings.layer_decay ** depths.get(name, 0)
        decays = parameter.ndim > 1 and ".ia3_l." not in name and name not in held
        found[name] = Pace(rate, settings.weight_decay if decays else 0.0, 1 + resting.get(name, 0), name in held)
    return found


def optimiser_groups(
    model: TransRec, settings: TrainingSettings, anchored: Collection[str] = (), *, total: int
) -> list[dict[str, object]]:
    """Parameters that learn, in groups by learning rate and weight decay; see :func:`paces`.

    Args:
        model: after the tuning rule.
        settings: see there.
        anchored: names of the parameters that the anchor pulls, if there is one.
        total: steps of the training.

    Raises:
        TrainingError: nothing learns, or blocks are to be unfrozen, and no backbone learns.
        ModelError: there is layer decay or unfreezing, and an encoder does not say what its blocks are.
    """
    parameters = dict(model.named_parameters())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, pace in paces(model, settings, anchored, total=total).items():
        groups.setdefault((pace.rate, pace.decay), []).append(parameters[name])
    if not groups:
        raise TrainingError("no parameter learns", remedy="choose --tune full, top:N or frozen")
    return [
        {"params": group, "lr": rate, "peak": rate, "weight_decay": decay}
        for (rate, decay), group in sorted(groups.items(), key=lambda entry: entry[0])
    ]


def adamw(groups: Sequence[Mapping[str, object]], device: torch.device) -> torch.optim.AdamW:
    """AdamW over groups of parameters; on CUDA as one kernel for all of a group, a third of the time (`benchmarks/gpu.py`).

    On a CPU the two ways differ by rounding, and runs there are to stay what they were.

    Args:
        groups: see :func:`optimiser_groups`.
        device: where the parameters are.
    """
    return torch.optim.AdamW([dict(group) for group in groups], fused=device.type == "cuda" or None)


def prior_rate(total: int, settings: TrainingSettings) -> float:
    """The peak learning rate of the prior: as it is set, or, in a short training, what lets it go as far as it must.

    A step of Adam moves a number by about the learning rate, so in T steps it goes at most the rate times the sum of the
    factors of the schedule.
    """
    if settings.prior_learning_rate * total < settings.prior_reach * 10:
        farthest = sum(rate_factor(step, total, settings) for step in range(total))
        return max(settings.prior_learning_rate, settings.prior_reach / farthest)
    return settings.prior_learning_rate


def rate_factor(step: int, total: int, settings: TrainingSettings) -> float:
    """What the peak learning rate is multiplied by: a linear rise over the warm-up, then what the schedule says."""
    rising = max(1, round(settings.warmup * total))
    if step < rising:
        return (step + 1) / rising
    if settings.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to its peak times the factor."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor
