"""Settings of studies that train one platform in several ways: which ways, how often, and how sure one wants to be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

from pydantic import Field, field_validator

from transrec.evaluation.protocol import EvaluationSettings
from transrec.recipes.stages import as_value_error
from transrec.recipes.studies.settings import among, shows_the_metric
from transrec.rules import Tuning
from transrec.settings import Listed, Settings

CONTENT, IDS, BOTH = "content", "identity", "both"
WITHOUT = "-no-counts"
"""What the name of a line without counts ends with."""
LINES = (CONTENT, IDS, BOTH, CONTENT + WITHOUT, IDS + WITHOUT)
"""The lines of a study of identity, the first being what the others are held against."""


class WaysSettings(Settings, ABC):
    """What studies of one platform have in common."""

    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Listed, Field(min_length=1)] = (0, 1, 2)
    """Every line is trained once with each; separated by commas."""
    rates: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Listed, Field(min_length=1)] = (1.0,)
    """Factors of the learning rates (but for the prior's) that every line tries with every seed; for each line the one that
    validates best counts, and the time of all of them; separated by commas."""
    metric: str = "NDCG@10"
    """What the lines are held against each other by: HR@k, NDCG@k or MRR@k with k among the cutoffs, or MRR."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """How often one is ready to see a difference where there is none, over all lines of the table together."""
    permutations: int = Field(default=10_000, ge=100)
    """Relabellings of the paired randomisation tests."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """Cutoffs and intervals."""

    @property
    @abstractmethod
    def asked(self) -> tuple[str, ...]:
        """The names of the lines, in order."""

    @field_validator("seeds", "rates")
    @classmethod
    def _once_each(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(dict.fromkeys(values))

    _shows_the_metric = field_validator("evaluation")(shows_the_metric)


class EncodersSettings(WaysSettings):
    """A study of how much of the encoders learns."""

    tunes: Annotated[tuple[str, ...], Listed] = ("frozen", "top:1", "top:2", "full")
    """Tuning rules, each a line in place of the file's tune; the first is what the others are held against; separated by
    commas."""

    @field_validator("tunes")
    @classmethod
    def _are_tuning_rules(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        rules = tuple(dict.fromkeys(str(as_value_error(Tuning.parse, text)) for text in texts))
        return _two_or_more(rules, "rules")

    @property
    def asked(self) -> tuple[str, ...]:
        return self.tunes


class IdentityStudySettings(WaysSettings):
    """A study of item ids against content."""

    lines: Annotated[tuple[str, ...], Listed] = LINES
    """What a model reads: content, identity (the items' ids alone, everything learning), both (ids beside content); and,
    where the file has a prior over counts, content-no-counts and identity-no-counts (without it); separated by commas.
    Content, which the others are held against, is always among them."""

    @field_validator("lines")
    @classmethod
    def _are_lines(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _two_or_more(among((CONTENT, *names), LINES, "line"), "lines")

    @property
    def asked(self) -> tuple[str, ...]:
        return self.lines


def _two_or_more(names: tuple[str, ...], what: str) -> tuple[str, ...]:
    if len(names) < 2:
        raise ValueError(f"a study holds {what} against the first, {', '.join(names) or 'none'}; name at least one more")
    return names
