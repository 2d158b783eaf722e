"""Objectives: what training makes smaller. Terms that share one forward pass and add up."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from transrec.model import TransRec
from transrec.objectives.masked import MaskedItem, MaskedSettings
from transrec.objectives.multistep import MultiStepBCE, MultiStepSettings
from transrec.objectives.objective import Loss, Objective
from transrec.objectives.softmax import InBatchSoftmax, SoftmaxSettings
from transrec.settings import Settings

__all__ = [
    "InBatchSoftmax",
    "Loss",
    "MaskedItem",
    "MaskedSettings",
    "MultiStepBCE",
    "MultiStepSettings",
    "Objective",
    "ObjectiveSettings",
    "SoftmaxSettings",
    "build_objective",
]


class ObjectiveSettings(Settings):
    """What training makes smaller."""

    kind: Literal["softmax", "multistep", "masked"] = "softmax"
    """In-batch softmax over all positions; multi-step binary cross-entropy, as published; or masked items, for a stage
    before either."""
    softmax: SoftmaxSettings = SoftmaxSettings()
    """Settings of the softmax."""
    multistep: MultiStepSettings = MultiStepSettings()
    """Settings of the multi-step cross-entropy."""
    masked: MaskedSettings = MaskedSettings()
    """Settings of masked items."""


def build_objective(settings: ObjectiveSettings, model: TransRec) -> Objective:
    """The objective that the settings describe, for this model.

    Raises:
        ModelError: it cannot train the model.
    """
    objective: Objective
    if settings.kind == "softmax":
        objective = InBatchSoftmax(settings.softmax, window=model.window, all_positions=model.users.causal)
    elif settings.kind == "masked":
        objective = MaskedItem(settings.masked, window=model.window)
    else:
        objective = MultiStepBCE(settings.multistep, window=model.window)
    objective.plan = replace(objective.plan, times=model.users.reads_times)
    objective.check(model)
    return objective
