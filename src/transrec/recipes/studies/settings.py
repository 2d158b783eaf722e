"""Settings of studies: what is compared in every line, how often, and how sure one wants to be."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from transrec.data.kinds import KINDS
from transrec.data.splits import SplitSettings
from transrec.evaluation.metrics import metric_columns
from transrec.evaluation.protocol import EvaluationSettings, Part
from transrec.objectives import ObjectiveSettings
from transrec.recipes.comparing.backbones import BackbonesSettings
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.comparing.variants import SCRATCH, TRANSFERRED
from transrec.recipes.fitting import TransferSettings
from transrec.recipes.stages import StageSettings
from transrec.rules import Fraction
from transrec.settings import Listed, Settings
from transrec.training.settings import TrainingSettings

USUAL = (SCRATCH, "zero-shot", TRANSFERRED)
"""The rows of a comparison that a study makes unless others are asked for."""


def shows_the_metric(evaluation: EvaluationSettings, info: ValidationInfo) -> EvaluationSettings:
    """For a validator: the cutoffs are such that the metric, which is declared before them, is measured.

    Raises:
        ValueError: nothing of this name is.
    """
    known = metric_columns(np.ones(1), evaluation.cutoffs)
    if "metric" in info.data and info.data["metric"] not in known:
        raise ValueError(f"there is no metric {info.data['metric']!r}; known are {', '.join(known)}")
    return evaluation


class StudySettings(Settings, ABC):
    """What all studies have in common; each value means what it means to ``transrec compare``."""

    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Listed, Field(min_length=1)] = (0, 1, 2)
    """Every trained row is trained on the target once with each; separated by commas."""
    target_users: float = Field(default=1.0, gt=0, le=1)
    """Share of the target's users that train and validate, at least fifty users; all users test. With fewer each row chooses
    how long it trains, as in transrec compare --fractions."""
    rates: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Listed, Field(min_length=1)] = (1.0,)
    """Factors of the learning rates that every trained row tries; the one that validates best counts."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """Cutoffs and intervals."""
    metric: str = "NDCG@10"
    """What table and figure show: HR@k, NDCG@k or MRR@k with k among the cutoffs, or MRR."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """How often one is ready to see a difference where there is none, over all lines of the table together."""
    permutations: int = Field(default=10_000, ge=100)
    """Relabellings of the paired randomisation tests."""
    remove_overlap: bool = False
    """Leave out of the test the targets that are items, or belong to users, that the source knows, too."""
    keep_models: bool = True
    """Keep the weights of what is trained on the target; the numbers are kept in any case."""

    @property
    @abstractmethod
    def compared(self) -> Mapping[str, Any]:
        """What this study asks of every comparison besides."""

    def of_compare(self, **given: Any) -> CompareSettings:
        """The settings of one comparison: what is set here, and what is given.

        Raises:
            SettingsError: there is no such row, rule or metric.
        """
        shared = self.model_dump(mode="json", include=set(StudySettings.model_fields))
        fractions = (shared.pop("target_users"),)
        return CompareSettings.from_mapping({**shared, "fractions": fractions, **self.compared, **given})


class KindsSettings(StudySettings):
    """A study of kinds of target. What is not said of objective, training, split and stages is as in the run."""

    kinds: Annotated[tuple[str, ...], Listed, Field(min_length=1)] = tuple(KINDS)
    """Versions of the target: mixed (of items with both, half keep the text and half the picture), text, image, both (as it
    is); separated by commas. Those that cannot be had are left out, or are an error where they are named here."""
    mix_seed: int = Field(default=0, ge=0)
    """Decides which items keep their text in the mixed version."""
    rows: Annotated[tuple[str, ...], Listed, Field(min_length=1)] = USUAL
    """What is compared for each kind: the rows of transrec compare; separated by commas."""
    tune: Annotated[tuple[str, ...], Listed] = ()
    """Tuning rules of transferred rows, one row for each; the run's own when none is given."""
    backbones: BackbonesSettings = BackbonesSettings()
    """Where the encoders are that rows from scratch read; where the run read them if not given."""
    objective: ObjectiveSettings = ObjectiveSettings()
    """What trained rows make smaller; as in the run where not given."""
    training: TrainingSettings = TrainingSettings()
    """The training loop of trained rows; as in the run where not given. The seed is that of seeds."""
    split: SplitSettings = SplitSettings()
    """Which events of the target train, validate and test; as in the run where not given."""
    stages: tuple[StageSettings, ...] = ()
    """Trainings that come before in every trained row; as in the run where not given."""

    @field_validator("kinds")
    @classmethod
    def _are_kinds(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return among(names, tuple(KINDS), "kind")

    @property
    def compared(self) -> Mapping[str, Any]:
        names = {"tune", "backbones", "objective", "training", "split", "stages"}
        return {"rows": self.rows, **self.model_dump(mode="json", include=names, exclude_unset=True)}


class FractionsSettings(StudySettings):
    """A study of fractions. What is not said of objective, training, split and stages is as in the run."""

    omegas: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Listed, Field(min_length=1)] = (0, 0.1, 0.2, 0.5, 1)
    """Shares of the source's weights that go into those of the parts; separated by commas. A line in which the parts are
    copied whole stands before them."""
    parts: Annotated[tuple[str, ...], Listed, Field(min_length=1)] = ("users.*",)
    """Patterns over parameter names; of what matches, weights are a fraction, biases and norms are copied; separated by
    commas."""
    mode: Literal["additive", "convex"] = "additive"
    """additive: fresh + omega source, as published; convex: (1 - omega) fresh + omega source."""
    tune: str = ""
    """The tuning rule of the transferred row; the run's own when it is empty."""
    backbones: BackbonesSettings = BackbonesSettings()
    """Where the encoders are that rows from scratch read; where the run read them from if not given."""
    objective: ObjectiveSettings = ObjectiveSettings()
    """What trained rows make smaller; as in the run where not given."""
    training: TrainingSettings = TrainingSettings()
    """The training loop of trained rows; as in the run where not given. The seed is that of seeds."""
    split: SplitSettings = SplitSettings()
    """Which events of the target train, validate and test; as in the run where not given."""
    stages: tuple[StageSettings, ...] = ()
    """Trainings that come before in every trained row; as in the run where not given."""

    @field_validator("omegas")
    @classmethod
    def _in_order(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted(set(values)))

    @field_validator("parts")
    @classmethod
    def _are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        TransferSettings(rules=tuple(f"{pattern}={Fraction(1)}" for pattern in patterns))
        return tuple(dict.fromkeys(patterns))

    def rules_of(self, omega: float) -> list[str]:
        """Where the parts come from at this share, as ``transrec transfer`` takes it."""
        return [f"{pattern}={Fraction(omega, convex=self.mode == 'convex')}" for pattern in self.parts]

    @property
    def compared(self) -> Mapping[str, Any]:
        names = {"backbones", "objective", "training", "split", "stages"}
        own = self.model_dump(mode="json", include=names, exclude_unset=True)
        return {"rows": USUAL, **({"tune": self.tune} if self.tune else {}), **own}


class SourcesSettings(StudySettings):
    """A study of the scale of the source."""

    shares: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Listed, Field(min_length=1)] = (0.1, 0.3, 1.0)
    """Shares of the users of every source, at least fifty users, that a run is trained with; separated by commas."""
    users_seed: int = Field(default=0, ge=0)
    """Which users these are; a larger share holds the smaller ones."""
    budget: Literal["steps", "epochs"] = "steps"
    """What a training with few users may spend as much of as one with all: steps (its epochs and the epochs between two
    validations grow as its users are fewer), or epochs, which is quicker and leaves it less trained."""

    @field_validator("shares")
    @classmethod
    def _in_order(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted(set(values)))

    @property
    def compared(self) -> Mapping[str, Any]:
        return {"rows": USUAL}


class WidthsSettings(Settings):
    """A study of widths."""

    widths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Listed] = ()
    """Widths beside the whole; when none are named, those that the run is nested at, or else those that its objective looked
    at; separated by commas. At a nested width the run is sliced, at another one its first numbers alone are compared."""
    part: Part = "validation"
    """The targets: validation, by which a width may be chosen, or test, which is then opened."""
    metric: str = "NDCG@10"
    """What table and figure show: HR@k, NDCG@k or MRR@k with k among the cutoffs, or MRR."""
    timed: int = Field(default=50, ge=1)
    """Users by whom time is taken, one at a time."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """Cutoffs and intervals."""

    _shows_the_metric = field_validator("evaluation")(shows_the_metric)


def among(names: tuple[str, ...], known: tuple[str, ...], what: str) -> tuple[str, ...]:
    """The names, each once.

    Args:
        names: as they were given.
        known: all that there are.
        what: a name is called.

    Raises:
        ValueError: one is not known; the message names the nearest.
    """
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"there is no {what} {name!r}; {hint}known are {', '.join(known)}")
    return tuple(dict.fromkeys(names))
