"""Stages: trainings that come before the last one, each with an objective of its own; what the last one starts from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import Field, field_validator

from transrec.errors import SettingsError
from transrec.objectives import ObjectiveSettings
from transrec.rules import Tuning
from transrec.settings import Settings
from transrec.training.checkpoint import Keeper
from transrec.training.settings import RATES, TrainingSettings

WHOLE_COURSE = ("device", "precision", "seed")
"""Settings of the training loop that no stage has for itself."""


class StageSettings(Settings):
    """A training that comes before; its last weights are what the next one starts from."""

    objective: ObjectiveSettings = ObjectiveSettings()
    """What this stage makes smaller."""
    tune: str = "frozen"
    """Which parameters learn in this stage, as in the setting of this name for the whole."""
    training: dict[str, bool | int | float | str | None] = Field(default={})
    """Settings of the training loop that differ in this stage; the others are as for the whole. The last weights are handed
    on, because validation measures what the last stage learns; {keep: best} hands on those that validated best."""

    @field_validator("tune")
    @classmethod
    def _is_a_tuning_rule(cls, text: str) -> str:
        return str(as_value_error(Tuning.parse, text))

    @field_validator("training")
    @classmethod
    def _are_training_settings(cls, values: dict[str, object]) -> dict[str, object]:
        shared = [name for name in values if name in WHOLE_COURSE]
        if shared:
            raise ValueError(f"{', '.join(shared)} must be the same in all stages; set it under training")
        as_value_error(TrainingSettings.from_mapping, values)
        return values

    def faster(self, factor: float) -> StageSettings:
        """The stage with what it says itself of rates changed as :meth:`TrainingSettings.faster` changes the whole."""
        own = {name: float(value or 0) * factor for name, value in self.training.items() if name in RATES}
        return self.model_copy(update={"training": {**self.training, **own}})

    def longer(self, length: float) -> StageSettings:
        """The stage with what it says itself of lengths changed as :meth:`TrainingSettings.longer` changes the whole."""
        own = dict(self.training)
        lengths = ("epochs", "validate_every", "unfreeze_every")
        own |= {name: math.ceil(float(own[name] or 1) * length) for name in lengths if own.get(name)}
        return self.model_copy(update={"training": own})


@dataclass(frozen=True, slots=True)
class Stage:
    """One training of a course of them, with everything that it needs said.

    Attributes:
        objective: what it makes smaller.
        tune: which parameters learn.
        training: the loop.
    """

    objective: ObjectiveSettings
    tune: str
    training: TrainingSettings


def course_of(before: Sequence[StageSettings], last: Stage) -> list[Stage]:
    """All stages in order, with the settings that the earlier ones share with the last."""
    earlier = [Stage(s.objective, s.tune, last.training.updated({"keep": "last", **s.training})) for s in before]
    return [*earlier, last]


def stage_folders(run: Path | None, count: int) -> list[Path | None]:
    """Where the stages keep checkpoints and logs: ``RUN/stages/1``, ``RUN/stages/2``, ..., the last in ``RUN`` itself."""
    if run is None:
        return [None] * count
    return [*(run / "stages" / str(number) for number in range(1, count)), run]


def stage_to_resume(folders: Sequence[Path | None]) -> int:
    """The place of the latest stage that has begun: its checkpoint holds what the stages before it have learned."""
    begun = [place for place, folder in enumerate(folders) if folder and Keeper.has_begun(folder)]
    return max(begun, default=0)


_Parsed = TypeVar("_Parsed")
_Given = TypeVar("_Given")


def as_value_error(parse: Callable[[_Given], _Parsed], given: _Given) -> _Parsed:
    """What a parser gives, its complaint turned into the kind that settings collect."""
    try:
        return parse(given)
    except SettingsError as error:
        told = f"{error.what}; {error.remedy}" if error.remedy else error.what
        raise ValueError(told) from None
