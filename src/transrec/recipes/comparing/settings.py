"""CompareSettings: which rows, how often, on how much, and how sure one wants to be."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationInfo, field_validator

from transrec.data.overlap.overlap import OverlapSettings
from transrec.data.splits import SplitSettings
from transrec.errors import SettingsError
from transrec.evaluation.protocol import EvaluationSettings
from transrec.objectives import ObjectiveSettings
from transrec.recipes.comparing.backbones import BackbonesSettings
from transrec.recipes.comparing.variants import ROWS, USUAL
from transrec.recipes.fitting import TransferSettings
from transrec.recipes.stages import StageSettings
from transrec.rules import Tuning
from transrec.settings import Listed, Settings
from transrec.training.settings import TrainingSettings

_Value = TypeVar("_Value")


class CompareSettings(Settings):
    """A comparison. What is not said of objective, training, split and stages is as in the run."""

    rows: Annotated[tuple[str, ...], Listed, Field(min_length=1)] = USUAL
    """What is compared: popularity, markov, ease, knn, ials, similarity, identity (ID-based), identity-counts (with counts),
    no-counts (scratch, by content alone), plus-identity (scratch, with ids besides), frozen (scratch, frozen content),
    scratch, zero-shot, transferred, transferred-identity (with a table of the target's ids besides); separated by commas."""
    tune: Annotated[tuple[str, ...], Listed] = ()
    """Tuning rules of transferred rows, one row for each: full, top:N, frozen and others; the run's own when none is
    given. With ids besides there is one row, of the first."""
    rules: tuple[str, ...] = ()
    """Where the parameters of transferred rows come from, as for transrec transfer."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Listed, Field(min_length=1)] = (0, 1, 2)
    """Every trained row is trained once with each; separated by commas."""
    fractions: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Listed, Field(min_length=1)] = (1.0,)
    """Shares of the target's users that train and validate, at least fifty users; all users test. The table is about the
    largest, the figure shows the curve; separated by commas."""
    budget: Literal["best", "steps", "epochs"] = "best"
    """How long a training with few users is: epochs, as many as with all; steps, as many steps as with all (its epochs and
    the epochs between two validations grow as its users are fewer); best: both and a length between are tried, and for each
    row the one that validates best counts, so that none is judged by being over- or undertrained."""
    rates: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Listed, Field(min_length=1)] = (1.0,)
    """Factors of the learning rates (but for the prior's) that every trained row tries; for each row the one that validates
    best counts, and the time of all of them; separated by commas."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """Cutoffs and intervals."""
    metric: str = "NDCG@10"
    """What the verdict is about: HR@k, NDCG@k or MRR@k with k among the cutoffs, or MRR."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """How often one is ready to see a difference where there is none; corrected p-values below it count as evidence."""
    permutations: int = Field(default=10_000, ge=100)
    """Relabellings of the paired randomisation tests."""
    remove_overlap: bool = False
    """Leave out of the test the targets that are items, or belong to users, that the source knows, too."""
    keep_models: bool = True
    """Keep the weights of what is trained, so that it can be served; the numbers are kept in any case."""
    overlap: OverlapSettings = OverlapSettings()
    """What counts as the same on two platforms."""
    backbones: BackbonesSettings = BackbonesSettings()
    """Where the encoders are that rows from scratch and content similarity read; where the run read them if not given."""
    objective: ObjectiveSettings = ObjectiveSettings()
    """What trained rows make smaller; as in the run where not given."""
    training: TrainingSettings = TrainingSettings()
    """The training loop of trained rows; as in the run where not given. The seed is that of seeds."""
    split: SplitSettings = SplitSettings()
    """Which events of the target train, validate and test; as in the run where not given."""
    stages: tuple[StageSettings, ...] = ()
    """Trainings that come before in every trained row; as in the run where not given."""

    @field_validator("rows")
    @classmethod
    def _are_rows(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in ROWS:
                near = difflib.get_close_matches(name, ROWS, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise ValueError(f"there is no row {name!r}; {hint}known are {', '.join(ROWS)}")
        return _distinct(names)

    @field_validator("tune")
    @classmethod
    def _are_tuning_rules(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return _distinct(tuple(str(Tuning.parse(text)) for text in texts))
        except SettingsError as error:
            raise ValueError(f"{error.what}; {error.remedy}") from None

    @field_validator("rules")
    @classmethod
    def _are_rules(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return TransferSettings(rules=texts).rules

    @field_validator("seeds", "rates")
    @classmethod
    def _once_each(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        return _distinct(values)

    @field_validator("fractions")
    @classmethod
    def _in_order(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted(set(values)))

    @field_validator("metric")
    @classmethod
    def _is_measured(cls, name: str, given: ValidationInfo) -> str:
        cutoffs = given.data["evaluation"].cutoffs if "evaluation" in given.data else ()
        known = ["MRR", *(f"{kind}@{k}" for kind in ("HR", "NDCG", "MRR") for k in cutoffs)]
        if name not in known and cutoffs:
            raise ValueError(f"there is no such metric; known are {', '.join(known)}")
        return name

    @field_validator("split")
    @classmethod
    def _leaves_the_users_to_the_fractions(cls, split: SplitSettings) -> SplitSettings:
        if {"users", "users_seed"} & split.model_fields_set:
            raise ValueError(
                "the share of the users is said with fractions, of a study with target_users, and seeds draw them"
            )
        return split


def _distinct(values: tuple[_Value, ...]) -> tuple[_Value, ...]:
    return tuple(dict.fromkeys(values))
