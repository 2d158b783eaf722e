from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transrec.errors import EvaluationError
from transrec.evaluation.contrasts import Contrast, Measured, contrast, one_family
from transrec.evaluation.intervals import Interval, paired_percent
from transrec.evaluation.protocol import EvaluationSettings

SETTINGS = EvaluationSettings(resamples=500)


def drawn(mean: float, *, seeds: int = 3, targets: int = 400, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((seeds, targets)) < mean).astype(float)


def found(first: np.ndarray, second: np.ndarray, settings: EvaluationSettings = SETTINGS) -> Contrast:
    users = np.arange(first.shape[1])
    return contrast(Measured("a", first), Measured("b", second), users, settings, permutations=2000)


def test_a_clear_gain_is_shown_in_points_and_percent_and_under_each_seed() -> None:
    first, second = drawn(0.5), drawn(0.3, seed=1)
    gain = found(first, second)
    assert gain.points.value == pytest.approx(first.mean() - second.mean())
    assert gain.percent.value == pytest.approx(100 * (first.mean() / second.mean() - 1))
    assert gain.percent.low < gain.percent.value < gain.percent.high
    assert gain.by_seed == pytest.approx((first.mean(axis=1) - second.mean(axis=1)).tolist())
    assert gain.values == pytest.approx((first.mean(), second.mean()))
    assert gain.shown(0.05) == "above" and gain.reversed().shown(0.05) == "below"


def test_nothing_is_shown_of_two_that_are_alike() -> None:
    assert found(drawn(0.3), drawn(0.3, seed=1)).shown(0.05) == "undecided"


def test_users_are_the_units_not_users_times_seeds() -> None:
    # the same ranking under nine seeds says no more than under one
    first, second = drawn(0.35, seeds=1), drawn(0.3, seeds=1, seed=1)
    assert replace(found(np.repeat(first, 9, axis=0), np.repeat(second, 9, axis=0)), by_seed=()) == replace(
        found(first, second), by_seed=()
    )


def test_evidence_needs_both_the_p_value_and_the_interval() -> None:
    gain = found(drawn(0.5), drawn(0.3, seed=1))
    assert replace(gain, corrected=0.06).shown(0.05) == "undecided"
    assert replace(gain, points=Interval(0.1, -0.01, 0.2)).shown(0.05) == "undecided"


def test_the_reverse_is_what_the_other_order_gives() -> None:
    first, second = drawn(0.5), drawn(0.3, seed=1)
    settings = EvaluationSettings(resamples=20_000)  # the two orders draw other resamples
    there, back = found(first, second, settings).reversed(), found(second, first, settings)
    assert (there.first, there.second) == ("b", "a") and there.values == back.values
    for ours, theirs, near in ((there.points, back.points, 1e-3), (there.percent, back.percent, 0.5)):
        assert ours.value == pytest.approx(theirs.value)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=near)
    assert there.p_value == back.p_value and there.by_seed == pytest.approx(back.by_seed)


def test_one_seed_against_several() -> None:
    several, single = drawn(0.5), drawn(0.3, seeds=1, seed=1)
    assert found(several, single).by_seed == pytest.approx((several.mean(axis=1) - single.mean()).tolist())
    assert found(several, drawn(0.3, seeds=2, seed=1)).by_seed == ()


def test_a_family_pays_for_its_size() -> None:
    one = found(drawn(0.4), drawn(0.35, seed=1))
    family = one_family([replace(one, p_value=0.03), replace(one, p_value=0.01), replace(one, p_value=0.02)])
    assert [gain.tests for gain in family] == [3, 3, 3]
    assert family[1].corrected == pytest.approx(0.03) and family[2].corrected == pytest.approx(0.04)
    assert family[0].corrected == pytest.approx(0.04), "never below that of a smaller p-value"
    assert family[1].p_value == 0.01
    assert one_family([]) == []


def test_other_targets_are_an_error() -> None:
    with pytest.raises(EvaluationError, match="400 targets, 'b' on 399"):
        contrast(Measured("a", drawn(0.5)), Measured("b", drawn(0.5, targets=399)), np.arange(400), SETTINGS)


def test_percent_of_nothing_is_unknown() -> None:
    nothing, something = np.zeros(50), np.ones(50)
    generator = np.random.default_rng(0)
    assert np.isnan([*vars_of(paired_percent(something, nothing, np.arange(50), generator))]).all()
    rare = np.eye(50)[0]  # a resample without this user has nothing to divide by
    told = paired_percent(something, rare, np.arange(50), generator)
    assert told.value == pytest.approx(4900) and np.isnan(told.low) and np.isnan(told.high)


def vars_of(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high
