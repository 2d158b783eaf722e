"""The verdict names a winner only when the evidence does."""

from __future__ import annotations

import math

import pytest

from transrec.evaluation.contrasts import Contrast
from transrec.evaluation.intervals import Interval
from transrec.recipes.comparing.sentence import Evidence, Verdict, answered, measured_gain, p_text
from transrec.recipes.comparing.sentence import judged as judged_by


def found(
    gain: float,
    *,
    p: float,
    reach: float = 0.01,
    first: str = "transferred",
    second: str = "from scratch",
    seeds: tuple[float, ...] | None = None,
    tests: int = 1,
) -> Contrast:
    base = 0.1
    percent = Interval(*(100 * value / base for value in (gain, gain - reach, gain + reach)))
    by_seed = (gain, gain, gain) if seeds is None else seeds
    return Contrast(
        first, second, (base + gain, base), Interval(gain, gain - reach, gain + reach), percent, by_seed, p, p, tests
    )


def judged(
    target: str,
    metric: str,
    transfer: Contrast | None,
    rivals: list[Contrast],
    *,
    fewer: dict[int, Contrast] | None = None,
    mind: str = "",
) -> Verdict:
    return judged_by(Evidence(target, metric, transfer, fewer or {}, rivals), mind=mind)


@pytest.mark.parametrize("transfer", [None, found(0.02, p=0.01), found(-0.02, p=0.01), found(0.01, p=0.9), found(0, p=1.0)])
def test_how_many_users_learned_is_told_where_it_is_not_all(transfer: Contrast | None) -> None:
    told = judged_by(Evidence("kitchen", "HR@10", transfer, {}, [], (1200, 12000))).sentence
    assert "on kitchen with 1,200 of 12,000 users to learn from" in told


@pytest.mark.parametrize(
    ("gain", "p", "answer"),
    [
        (+0.02, 0.001, "helps"),
        (+0.02, 0.2, "higher"),  # the interval alone is no evidence
        (+0.005, 0.001, "higher"),  # nor is the p-value
        (-0.02, 0.001, "harms"),
        (-0.02, 0.2, "lower"),
        (-0.005, 0.001, "lower"),
        (0.0, 1.0, "equal"),
    ],
)
def test_the_answer_follows_the_evidence(gain: float, p: float, answer: str) -> None:
    assert answered(found(gain, p=p), 0.05) == answer


def test_alpha_decides_how_much_evidence() -> None:
    assert answered(found(0.02, p=0.03), 0.05) == "helps"
    assert answered(found(0.02, p=0.03), 0.01) == "higher"
    assert answered(found(0.02, p=0.05), 0.05) == "higher", "alpha itself is not below alpha"


def test_help_is_told_with_its_numbers() -> None:
    told = judged("kitchen", "NDCG@10", found(0.02, p=0.0004), []).sentence
    assert told == (
        "Pre-training elsewhere helps on kitchen: transferred is better than from scratch (NDCG@10 0.1200 against 0.1000: "
        "+0.0200 [+0.0100, +0.0300], +20.0 %, p < 0.001, in 3 of 3 seeds)."
    )


def test_negative_transfer_is_warned_of() -> None:
    verdict = judged("kitchen", "NDCG@10", found(-0.02, p=0.001), [])
    assert verdict.answer == "harms"
    assert verdict.sentence.startswith("Warning, negative transfer: pre-training elsewhere does harm on kitchen")
    assert "0.0800 against 0.1000" in verdict.sentence


@pytest.mark.parametrize("gain", [+0.005, -0.005, 0.0])
def test_without_evidence_no_side_is_taken(gain: float) -> None:
    verdict = judged("kitchen", "NDCG@10", found(gain, p=0.4), [])
    assert verdict.sentence.startswith("No difference shown between transferred and from scratch on kitchen")
    for word in ("helps", "better", "worse", "Warning", "negative"):
        assert word not in verdict.sentence
    assert ("harm" in verdict.sentence) == (gain < 0), "lower without evidence is said mildly"
    assert ("help" in verdict.sentence) == (gain > 0)


def test_a_winner_is_ahead_of_every_other_row() -> None:
    field = [found(-0.02, p=0.01, first=name, second="transferred") for name in ("EASE", "from scratch")]
    verdict = judged("kitchen", "NDCG@10", None, field)
    assert verdict.winner == "transferred" and verdict.leaders == ("transferred",)
    assert "best of all rows is transferred, ahead of every other one" in verdict.sentence


def test_rows_that_are_not_shown_to_be_worse_share_the_lead() -> None:
    field = [
        found(-0.02, p=0.01, first="popularity", second="EASE"),
        found(-0.005, p=0.3, first="transferred", second="EASE"),
        found(-0.02, p=0.06, first="Markov chain", second="EASE"),
    ]
    verdict = judged("kitchen", "NDCG@10", None, field)
    assert verdict.winner is None and verdict.leaders == ("EASE", "transferred", "Markov chain")
    assert "EASE has the highest NDCG@10, not shown to be above transferred and Markov chain" in verdict.sentence


def test_nothing_is_shown_of_a_field_that_is_level() -> None:
    field = [found(-0.001, p=0.9, first=name, second="EASE") for name in ("popularity", "transferred")]
    assert judged("k", "HR@10", None, field).sentence.endswith(
        "no row is shown to be the best (EASE has the highest HR@10)."
    )


def test_both_questions_are_answered_apart() -> None:
    field = [found(-0.02, p=0.01, first=name, second="EASE") for name in ("transferred", "from scratch")]
    verdict = judged("kitchen", "NDCG@10", found(0.02, p=0.01), field)
    assert verdict.answer == "helps" and verdict.winner == "EASE"
    first, second = verdict.sentence.split("; ")
    assert "helps on kitchen" in first and "best of all rows is EASE" in second


@pytest.mark.parametrize(
    ("gains", "told"),
    [
        ({50: 0.03, 500: 0.02}, "; with fewer users to learn from, pre-training helps with 50 and 500 users."),
        ({50: 0.03, 500: 0.001}, "; with fewer users to learn from, pre-training helps with 50 users."),
        (
            {500: 0.03, 50: -0.03},
            "; with fewer users to learn from, pre-training helps with 500 users; Warning, negative transfer with fewer "
            "users to learn from: pre-training does harm with 50 users.",
        ),
        ({50: 0.001, 1500: -0.001}, "; with fewer users to learn from (50 and 1,500) no difference is shown."),
        ({}, "one seed)."),
    ],
)
def test_what_is_shown_with_fewer_users(gains: dict[int, float], told: str) -> None:
    fewer = {users: found(gain, p=0.01) for users, gain in gains.items()}
    sentence = judged("kitchen", "NDCG@10", found(0.001, p=0.9, seeds=(0.001,)), [], fewer=fewer).sentence
    assert sentence.startswith("No difference shown") and sentence.endswith(told)


def test_a_question_that_was_not_asked_is_not_answered() -> None:
    verdict = judged("kitchen", "NDCG@10", None, [])
    assert verdict.answer == "not asked" and verdict.winner is None
    assert "was not asked" in verdict.sentence


def test_what_has_to_be_minded_is_in_the_sentence() -> None:
    assert judged("k", "HR@10", found(0.02, p=0.01), [], mind="mind the overlap").sentence.endswith("(mind the overlap).")


@pytest.mark.parametrize(
    ("seeds", "told"),
    [((0.03, 0.02, 0.01), "in 3 of 3 seeds"), ((0.05, 0.02, -0.01), "in 2 of 3 seeds"), ((0.02,), "one seed"), ((), None)],
)
def test_seeds_that_disagree_are_told(seeds: tuple[float, ...], told: str | None) -> None:
    text = measured_gain(found(0.02, p=0.01, seeds=seeds))
    assert text.endswith(told) if told else "seed" not in text


def test_p_values_say_that_they_are_corrected() -> None:
    assert p_text(found(0.02, p=0.0312)) == "p = 0.031"
    assert p_text(found(0.02, p=0.0312, tests=4)) == "corrected p = 0.031"
    assert p_text(found(0.02, p=0.0009, tests=4)) == "corrected p < 0.001"


def test_percent_of_nothing_is_left_out() -> None:
    nothing = Interval(math.nan, math.nan, math.nan)
    gain = Contrast("a", "b", (0.1, 0.0), Interval(0.1, 0.05, 0.15), nothing, (), 0.01, 0.01)
    assert "%" not in measured_gain(gain)
