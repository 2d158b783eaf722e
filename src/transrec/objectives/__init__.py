"""Objectives: what training makes smaller. Terms that share one forward pass and add up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from transrec.model import TransRec
from transrec.objectives.gbce import GBCE, GBCESettings
from transrec.objectives.masked import MaskedItem, MaskedSettings
from transrec.objectives.multistep import MultiStepBCE, MultiStepSettings
from transrec.objectives.objective import Loss, Objective
from transrec.objectives.softmax import InBatchSoftmax, SoftmaxSettings
from transrec.settings import Settings

__all__ = [
    "GBCE",
    "GBCESettings",
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

    kind: Literal["softmax", "gbce", "multistep", "masked"] = "softmax"
    """In-batch softmax over all positions; gbce, a calibrated binary cross-entropy over the same candidates (gSASRec);
    multi-step binary cross-entropy, as published; or masked items, for a stage before any of these."""
    softmax: SoftmaxSettings = SoftmaxSettings()
    """Settings of the softmax."""
    gbce: GBCESettings = GBCESettings()
    """Settings of the calibrated binary cross-entropy."""
    multistep: MultiStepSettings = MultiStepSettings()
    """Settings of the multi-step cross-entropy."""
    masked: MaskedSettings = MaskedSettings()
    """Settings of masked items."""


def build_objective(settings: ObjectiveSettings, model: TransRec) -> Objective:
    """The objective that the settings describe, for this model.

    Raises:
        ModelError: it cannot train the model.
    """
    window, causal = model.window, model.users.causal
    made: Mapping[str, Callable[[], Objective]] = {
        "softmax": lambda: InBatchSoftmax(settings.softmax, window=window, all_positions=causal),
        "gbce": lambda: GBCE(settings.gbce, window=window, all_positions=causal),
        "multistep": lambda: MultiStepBCE(settings.multistep, window=window),
        "masked": lambda: MaskedItem(settings.masked, window=window),
    }
    objective = made[settings.kind]()
    objective.plan = replace(objective.plan, times=model.users.reads_times)
    objective.check(model)
    return objective
