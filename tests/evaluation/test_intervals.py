from __future__ import annotations

import math

import numpy as np
import pytest

from transrec.evaluation import intervals
from transrec.evaluation.intervals import Interval, bootstrap, paired_difference


def test_intervals_have_the_width_of_the_normal_approximation() -> None:
    generator = np.random.default_rng(0)
    values = np.column_stack([generator.random(2000) < 0.3, generator.normal(size=2000)]).astype(float)
    hits, normal = bootstrap(values, np.arange(2000), generator, resamples=20_000)
    for column, interval in zip(values.T, (hits, normal), strict=True):
        error = column.std() / math.sqrt(2000)
        assert interval.value == pytest.approx(column.mean())
        assert interval.low == pytest.approx(column.mean() - 1.96 * error, abs=0.1 * error)
        assert interval.high == pytest.approx(column.mean() + 1.96 * error, abs=0.1 * error)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        [found] = bootstrap((generator.random((200, 1)) < 0.4).astype(float), np.arange(200), generator, resamples=300)
        covered += found.low <= 0.4 <= found.high
    assert 0.90 <= covered / 300 <= 0.98


def test_users_are_drawn_whole() -> None:
    generator = np.random.default_rng(2)
    per_user = generator.random(100)
    [alone] = bootstrap(per_user[:, None], np.arange(100), np.random.default_rng(3))
    # nine further targets of each user say nothing new
    [repeated] = bootstrap(np.repeat(per_user, 10)[:, None], np.repeat(np.arange(100), 10), np.random.default_rng(3))
    assert repeated.value == pytest.approx(alone.value)
    assert (repeated.low, repeated.high) == pytest.approx((alone.low, alone.high))


def test_blocks_of_resamples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).random((50, 2))
    whole = bootstrap(values, np.arange(50), np.random.default_rng(5))
    monkeypatch.setattr(intervals, "RESAMPLED_AT_ONCE", 120)
    assert bootstrap(values, np.arange(50), np.random.default_rng(5)) == whole


def test_few_targets() -> None:
    [one] = bootstrap(np.array([[0.5]]), np.array([7]), np.random.default_rng(0))
    assert one == Interval(0.5, 0.5, 0.5)
    assert str(one) == "0.5000 [0.5000, 0.5000]"
    [none] = bootstrap(np.zeros((0, 1)), np.zeros(0, dtype=np.int64), np.random.default_rng(0))
    assert math.isnan(none.value)


def test_pairing_finds_a_difference_that_two_intervals_hide() -> None:
    generator = np.random.default_rng(6)
    second = generator.random(300)
    first = second + 0.02 + 0.01 * generator.normal(size=300)
    users = np.arange(300)
    one, other = bootstrap(np.column_stack([first, second]), users, generator)
    assert one.low < other.high
    found = paired_difference(first, second, users, generator)
    assert found.gain.low > 0.015
    assert found.p_value == pytest.approx(2 / 1001)
    assert paired_difference(second, second, users, generator).p_value == 1.0
