"""Objectives: what training makes smaller. Terms that share one forward pass and add up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from pydantic import Field

from transrec.errors import SettingsError
from transrec.finding import class_at
from transrec.model import TransRec
from transrec.objectives.added import AddedSettings, AddedTerms
from transrec.objectives.barlow import BarlowSettings, BarlowTwins
from transrec.objectives.diversity import DiversityControl, DiversitySettings
from transrec.objectives.gbce import GBCE, GBCESettings
from transrec.objectives.hinge import HingeSettings, MetricHinge
from transrec.objectives.masked import MaskedItem, MaskedSettings
from transrec.objectives.matryoshka import Matryoshka, MatryoshkaSettings
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
    "DiversityControl",
    "DiversitySettings",
    "GBCESettings",
    "HingeSettings",
    "InBatchSoftmax",
    "InterestOrthogonality",
    "Loss",
    "MaskedItem",
    "MaskedSettings",
    "Matryoshka",
    "MatryoshkaSettings",
    "MetricHinge",
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

    kind: Literal["softmax", "gbce", "multistep", "hinge", "masked", "barlow", "custom"] = "softmax"
    """In-batch softmax over all positions; gbce, a calibrated binary cross-entropy over the same candidates (gSASRec);
    multi-step binary cross-entropy, as published; hinge, a margin between distances (DPCML); or, for a stage before any of
    these, masked items or Barlow Twins; or custom, one of your own."""
    custom: str = ""
    """An objective of your own, as package.module:Class; as the kind or as an added term."""
    custom_options: dict[str, str] = Field(default={})
    """What the from_options of an objective of your own is given: option -> value."""
    added: AddedSettings = AddedSettings()
    """Terms beside the kind, each with its weight."""
    matryoshka: MatryoshkaSettings = MatryoshkaSettings()
    """The kind at several widths at once, so that vectors can be cut to them; added terms see the whole."""
    softmax: SoftmaxSettings = SoftmaxSettings()
    """Settings of the softmax."""
    gbce: GBCESettings = GBCESettings()
    """Settings of the calibrated binary cross-entropy."""
    multistep: MultiStepSettings = MultiStepSettings()
    """Settings of the multi-step cross-entropy."""
    hinge: HingeSettings = HingeSettings()
    """Settings of the metric hinge."""
    masked: MaskedSettings = MaskedSettings()
    """Settings of masked items."""
    barlow: BarlowSettings = BarlowSettings()
    """Settings of Barlow Twins, as the kind or as an added term."""
    seq_seq: SeqSeqSettings = SeqSeqSettings()
    """Settings of the contrast of sequences, an added term."""
    diversity: DiversitySettings = DiversitySettings()
    """Settings of diversity control, an added term."""


def build_objective(settings: ObjectiveSettings, model: TransRec, *, seed: int = 0) -> Objective:
    """The objective that the settings describe, for this model, on its device.

    Args:
        settings: which, and its own.
        model: what it is to train.
        seed: of what the objective learns besides the model.

    Raises:
        ModelError: it cannot train the model, or a class of one's own cannot be found.
        SettingsError: it is to be added to itself, or cannot be had at several widths.
    """
    window, width, causal = model.window, model.users.width, model.users.causal
    made: Mapping[str, Callable[[], Objective]] = {
        "softmax": lambda: InBatchSoftmax(settings.softmax, window=window, all_positions=causal),
        "gbce": lambda: GBCE(settings.gbce, window=window, all_positions=causal),
        "multistep": lambda: MultiStepBCE(settings.multistep, window=window),
        "hinge": lambda: MetricHinge(settings.hinge, window=window),
        "diversity": lambda: DiversityControl(settings.diversity, window=window),
        "custom": lambda: _custom(settings, model),
        "masked": lambda: MaskedItem(settings.masked, window=window),
        "barlow": lambda: BarlowTwins(settings.barlow, window=window, width=width, seed=seed),
        "seq_seq": lambda: SeqSeqContrast(settings.seq_seq, window=window),
        "orthogonality": lambda: InterestOrthogonality(window=window),
    }
    objective = made[settings.kind]()
    if settings.matryoshka.sizes:
        objective = Matryoshka(objective, settings.matryoshka)
    added = settings.added.weights
    if settings.kind in added:
        raise SettingsError(f"{settings.kind} is to be added to itself", where="objective.added", remedy="leave one out")
    if added:
        objective = AddedTerms(objective, {name: (weight, made[name]()) for name, weight in added.items()})
    objective.plan = replace(objective.plan, times=model.users.reads_times)
    objective.check(model)
    return objective.to(model.device)


def _custom(settings: ObjectiveSettings, model: TransRec) -> Objective:
    if not settings.custom:
        raise SettingsError(
            "custom is asked for, and no class is named", where="objective.custom", remedy="name it: package.module:Class"
        )
    return class_at(settings.custom, Objective, where="objective.custom").from_options(settings.custom_options, model)
