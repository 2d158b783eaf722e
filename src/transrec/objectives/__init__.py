"""Objectives: what training makes smaller. Terms that share one forward pass and add up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from transrec.errors import SettingsError
from transrec.model import TransRec
from transrec.objectives.added import AddedSettings, AddedTerms
from transrec.objectives.barlow import BarlowSettings, BarlowTwins
from transrec.objectives.gbce import GBCE, GBCESettings
from transrec.objectives.masked import MaskedItem, MaskedSettings
from transrec.objectives.multistep import MultiStepBCE, MultiStepSettings
from transrec.objectives.objective import Loss, Objective
from transrec.objectives.orthogonality import InterestOrthogonality
from transrec.objectives.seq_seq import SeqSeqContrast, SeqSeqSettings
from transrec.objectives.softmax import InBatchSoftmax, SoftmaxSettings
from transrec.settings import Settings

__all__ = [
    "GBCE",
    "AddedSettings",
    "AddedTerms",
    "BarlowSettings",
    "BarlowTwins",
    "GBCESettings",
    "InBatchSoftmax",
    "InterestOrthogonality",
    "Loss",
    "MaskedItem",
    "MaskedSettings",
    "MultiStepBCE",
    "MultiStepSettings",
    "Objective",
    "ObjectiveSettings",
    "SeqSeqContrast",
    "SeqSeqSettings",
    "SoftmaxSettings",
    "build_objective",
]


class ObjectiveSettings(Settings):
    """What training makes smaller."""

    kind: Literal["softmax", "gbce", "multistep", "masked", "barlow"] = "softmax"
    """In-batch softmax over all positions; gbce, a calibrated binary cross-entropy over the same candidates (gSASRec);
    multi-step binary cross-entropy, as published; or, for a stage before any of these, masked items or Barlow Twins."""
    added: AddedSettings = AddedSettings()
    """Terms beside the kind, each with its weight."""
    softmax: SoftmaxSettings = SoftmaxSettings()
    """Settings of the softmax."""
    gbce: GBCESettings = GBCESettings()
    """Settings of the calibrated binary cross-entropy."""
    multistep: MultiStepSettings = MultiStepSettings()
    """Settings of the multi-step cross-entropy."""
    masked: MaskedSettings = MaskedSettings()
    """Settings of masked items."""
    barlow: BarlowSettings = BarlowSettings()
    """Settings of Barlow Twins, as the kind or as an added term."""
    seq_seq: SeqSeqSettings = SeqSeqSettings()
    """Settings of the contrast of sequences, an added term."""


def build_objective(settings: ObjectiveSettings, model: TransRec, *, seed: int = 0) -> Objective:
    """The objective that the settings describe, for this model, on its device.

    Args:
        settings: which, and its own.
        model: what it is to train.
        seed: of what the objective learns besides the model.

    Raises:
        ModelError: it cannot train the model.
        SettingsError: it is to be added to itself.
    """
    window, width, causal = model.window, model.users.width, model.users.causal
    made: Mapping[str, Callable[[], Objective]] = {
        "softmax": lambda: InBatchSoftmax(settings.softmax, window=window, all_positions=causal),
        "gbce": lambda: GBCE(settings.gbce, window=window, all_positions=causal),
        "multistep": lambda: MultiStepBCE(settings.multistep, window=window),
        "masked": lambda: MaskedItem(settings.masked, window=window),
        "barlow": lambda: BarlowTwins(settings.barlow, window=window, width=width, seed=seed),
        "seq_seq": lambda: SeqSeqContrast(settings.seq_seq, window=window),
        "orthogonality": lambda: InterestOrthogonality(window=window),
    }
    objective = made[settings.kind]()
    added = settings.added.weights
    if settings.kind in added:
        raise SettingsError(f"{settings.kind} is to be added to itself", where="objective.added", remedy="leave one out")
    if added:
        objective = AddedTerms(objective, {name: (weight, made[name]()) for name, weight in added.items()})
    objective.plan = replace(objective.plan, times=model.users.reads_times)
    objective.check(model)
    return objective.to(model.device)
