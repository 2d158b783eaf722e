"""Contrasts: by how much one ranker exceeds another on the same targets, how sure that is, and what several tests cost.

Axes: S seeds, E targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from transrec.errors import EvaluationError
from transrec.evaluation.intervals import Interval, paired_difference, paired_percent
from transrec.evaluation.protocol import EvaluationSettings
from transrec.evaluation.significance import holm, randomisation_test

Shown = Literal["above", "below", "undecided"]
"""What the evidence shows of the first of two rankers."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A metric of one ranker on every target, under one seed of its training or several.

    Attributes:
        name: of the ranker.
        values_SE: the metric, one row a seed; a ranker without anything random has one row.
    """

    name: str
    values_SE: np.ndarray

    @property
    def mean_E(self) -> np.ndarray:
        """The mean over seeds of each target."""
        mean: np.ndarray = self.values_SE.mean(axis=0)
        return mean

    @property
    def by_seed(self) -> np.ndarray:
        """The mean over targets of each seed, (S,)."""
        means: np.ndarray = self.values_SE.mean(axis=1)
        return means


@dataclass(frozen=True, slots=True)
class Contrast:
    """By how much the first ranker exceeds the second.

    Attributes:
        first: its name.
        second: the other's name.
        values: the mean metric of the two.
        points: the paired difference with its interval over users.
        percent: the same in percent of the second, with its interval.
        by_seed: the difference under each seed; empty where the two do not have the same number of seeds.
        p_value: of the paired randomisation test, two-sided.
        corrected: the p-value corrected for the tests of its family.
        tests: how many there are in the family.
    """

    first: str
    second: str
    values: tuple[float, float]
    points: Interval
    percent: Interval
    by_seed: tuple[float, ...]
    p_value: float
    corrected: float
    tests: int = 1

    def shown(self, alpha: float) -> Shown:
        """What is shown: the corrected p-value is below alpha and the interval leaves out zero, or nothing is."""
        if self.corrected < alpha and self.points.low > 0:
            return "above"
        if self.corrected < alpha and self.points.high < 0:
            return "below"
        return "undecided"

    def reversed(self) -> Contrast:
        """The same pair seen from the second."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            values=(self.values[1], self.values[0]),
            points=Interval(-self.points.value, -self.points.high, -self.points.low),
            percent=_turned(self.percent),
            by_seed=tuple(-gain for gain in self.by_seed),
        )


def contrast(
    first: Measured, second: Measured, users_E: np.ndarray, settings: EvaluationSettings, *, permutations: int = 10_000
) -> Contrast:
    """Compare two rankers by the mean over seeds of each target.

    The interval and the test speak of other users of the same platform, with the trainings as they are; what other trainings
    would give is told by the spread over seeds.

    Args:
        first: of one ranker.
        second: of another, on the same targets.
        users_E: whose target it is.
        settings: resamples, confidence and seed of the intervals.
        permutations: relabellings of the test.

    Raises:
        EvaluationError: the two were measured on different numbers of targets, or there are none.
    """
    if first.values_SE.shape[1] != second.values_SE.shape[1]:
        raise EvaluationError(
            f"{first.name!r} was measured on {first.values_SE.shape[1]:,} targets, {second.name!r} on "
            f"{second.values_SE.shape[1]:,}",
            remedy="measure both on the same dataset, split and part",
        )
    ours_E, theirs_E = first.mean_E, second.mean_E
    seed, resamples, confidence = settings.seed, settings.resamples, settings.confidence
    points, percent = (
        paired_difference(
            ours_E, theirs_E, users_E, np.random.default_rng(seed), resamples=resamples, confidence=confidence
        ).gain,
        paired_percent(ours_E, theirs_E, users_E, np.random.default_rng(seed), resamples=resamples, confidence=confidence),
    )
    p_value = randomisation_test(ours_E - theirs_E, users_E, np.random.default_rng(seed), permutations=permutations)
    seeds = {len(first.values_SE), len(second.values_SE)}
    by_seed = first.by_seed - second.by_seed if len(seeds) == 1 or 1 in seeds else ()
    return Contrast(
        first=first.name,
        second=second.name,
        values=(float(ours_E.mean()), float(theirs_E.mean())),
        points=points,
        percent=percent,
        by_seed=tuple(float(gain) for gain in by_seed),
        p_value=p_value,
        corrected=p_value,
    )


def one_family(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """The same contrasts with their p-values corrected by Holm's method for being that many."""
    corrected = holm([found.p_value for found in contrasts])
    return [replace(found, corrected=value, tests=len(contrasts)) for found, value in zip(contrasts, corrected, strict=True)]


def _turned(percent: Interval) -> Interval:
    """The gain of the first over the second in percent, as the gain of the second over the first."""

    def turned(value: float) -> float:
        return 100 * (1 / (1 + value / 100) - 1) if value > -100 else float("nan")

    return Interval(turned(percent.value), turned(percent.high), turned(percent.low))
