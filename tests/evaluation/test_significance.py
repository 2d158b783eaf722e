from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from transrec.errors import EvaluationError
from transrec.evaluation import significance
from transrec.evaluation.significance import holm, randomisation_test


def p_of(gains: np.ndarray | list[float], seed: int = 0, permutations: int = 10_000) -> float:
    return randomisation_test(
        np.asarray(gains, float), np.arange(len(gains)), np.random.default_rng(seed), permutations=permutations
    )


def by_hand(gains: np.ndarray) -> float:
    """Every assignment of signs, one after the other."""
    totals = [
        abs(sum(s * g for s, g in zip(signs, gains, strict=True))) for signs in itertools.product([1, -1], repeat=len(gains))
    ]
    return float(np.mean([total >= abs(gains.sum()) - 1e-9 for total in totals]))


@pytest.mark.parametrize("users", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("seed", range(4))
def test_few_users_are_enumerated(users: int, seed: int) -> None:
    generator = np.random.default_rng([users, seed])
    for gains in (generator.normal(0.3, 1, users), generator.integers(-1, 2, users) / 3):
        assert p_of(gains) == pytest.approx(by_hand(gains))
        if users == 1:
            continue  # scipy wants two
        sides = stats.permutation_test(
            (gains,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
        )
        assert p_of(gains) == pytest.approx(min(1.0, sides.pvalue))


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.25])
@pytest.mark.parametrize("kind", ["normal", "hits", "mixed"])
def test_many_users_agree_with_scipy(shift: float, kind: str) -> None:
    generator = np.random.default_rng(3)
    gains = {
        "normal": generator.normal(shift, 1, 120),
        "hits": generator.choice([-1.0, 0.0, 1.0], p=[0.25 - shift / 2, 0.5, 0.25 + shift / 2], size=120),
        "mixed": np.concatenate([generator.normal(shift, 0.2, 60), generator.integers(-1, 2, 60) / 3]),
    }[kind]
    theirs = stats.permutation_test(
        (gains,),
        lambda x, axis: np.abs(x.mean(axis=axis)),
        permutation_type="samples",
        alternative="greater",
        n_resamples=20_000,
        vectorized=True,
        rng=5,
    )
    ours = p_of(gains, permutations=20_000)
    # both are drawn: four standard errors of their difference
    assert ours == pytest.approx(theirs.pvalue, abs=4 * np.sqrt(2 * ours * (1 - ours) / 20_000) + 1e-4)


def test_drawing_agrees_with_enumerating() -> None:
    gains = np.random.default_rng(1).normal(0.2, 1, 12)
    exact = p_of(gains)
    drawn = p_of(gains, permutations=4000)  # fewer than the 4,096 that there are
    assert 0.01 < exact < 0.9
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 4000))


def test_the_level_is_kept_when_there_is_no_difference() -> None:
    generator = np.random.default_rng(2)
    wrong = sum(p_of(generator.choice([-1.0, 0.0, 1.0], size=60), seed, 400) <= 0.1 for seed in range(400))
    assert wrong / 400 <= 0.1 + 3 * np.sqrt(0.09 / 400)
    assert wrong > 0, "a test that never speaks is none"


def test_a_large_difference_is_as_small_as_a_p_value_can_be() -> None:
    assert p_of(np.ones(500), permutations=999) == 1 / 1000
    assert p_of(-np.ones(500), permutations=999) == 1 / 1000


def test_no_difference_at_all() -> None:
    assert p_of(np.zeros(50)) == 1.0
    assert p_of([1.0, -1.0]) == 1.0


def test_users_who_do_not_differ_say_nothing() -> None:
    gains = np.random.default_rng(4).normal(0.3, 1, 11)
    assert p_of(np.concatenate([gains, np.zeros(10_000)])) == p_of(gains)


def test_the_targets_of_a_user_change_sign_together() -> None:
    gains, users = np.random.default_rng(5).normal(0.3, 1, 30), np.repeat(np.arange(10), 3)
    ours = randomisation_test(gains, users, np.random.default_rng(0))
    assert ours == pytest.approx(by_hand(gains.reshape(10, 3).sum(axis=1)))
    assert ours != pytest.approx(p_of(gains), abs=1e-3)


def test_blocks_bound_the_memory_and_change_little(monkeypatch: pytest.MonkeyPatch) -> None:
    gains = np.random.default_rng(6).normal(0.1, 1, 200)
    whole = p_of(gains)
    monkeypatch.setattr(significance, "SIGNS_AT_ONCE", 1000)
    drawn = significance._drawn_totals(np.abs(gains), np.random.default_rng(0), 23)
    assert max(len(block) for block in drawn) <= 5 and sum(map(len, drawn)) == 23
    assert p_of(gains) == pytest.approx(whole, abs=4 * np.sqrt(whole * (1 - whole) / 10_000))


def test_rounding_does_not_decide() -> None:
    # 0.1 + 0.2 - 0.3 is not 0 in binary, yet every relabelling is at least as far from it
    assert p_of([0.1, 0.2, -0.3]) == 1.0


@pytest.mark.parametrize(("gains", "permutations"), [([], 10), ([1.0], 0), ([float("nan"), 1.0], 10)])
def test_what_cannot_be_tested_is_an_error(gains: list[float], permutations: int) -> None:
    with pytest.raises(EvaluationError):
        p_of(gains, permutations=permutations)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_holm_against_its_definition() -> None:
    generator = np.random.default_rng(7)
    for _ in range(50):
        p_values = generator.random(6) ** 3
        corrected = holm(p_values.tolist())
        order = np.argsort(p_values)
        for alpha in (0.01, 0.05, 0.2):
            # reject from the smallest on, as long as p <= alpha / (tests that are left)
            rejected = set()
            for place, index in enumerate(order):
                if p_values[index] > alpha / (6 - place):
                    break
                rejected.add(int(index))
            assert {i for i, value in enumerate(corrected) if value <= alpha} == rejected
