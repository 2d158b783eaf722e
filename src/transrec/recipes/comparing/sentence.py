"""The sentence: what the numbers show, what they do not, and a warning where transfer does harm. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from transrec.evaluation.contrasts import Contrast, Shown

Answer = Literal["helps", "harms", "higher", "lower", "equal", "not asked"]
"""Does the transfer help against training from scratch: shown to help, shown to harm, or nothing is shown and the measured
difference is above, below or exactly zero."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison says.

    Attributes:
        answer: whether the transfer helps.
        leaders: the row with the highest mean first, then those that are not shown to be worse; one alone is the winner.
        sentence: both in words.
    """

    answer: Answer
    leaders: tuple[str, ...]
    sentence: str

    @property
    def winner(self) -> str | None:
        """The row that is shown to be better than every other one, or None."""
        return self.leaders[0] if len(self.leaders) == 1 else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict is about.

    Attributes:
        target: the name of the platform.
        metric: what was measured.
        transfer: the transferred row against the one from scratch; None when one of the two is not there.
        fewer: the same with fewer users that train and validate, by their number; the transferred row is the one that
            validated best with them. May be empty.
        rivals: every other row against the one with the highest mean; may be empty.
        learned: how many users trained and validated, and of how many; None where these were all.
    """

    target: str
    metric: str
    transfer: Contrast | None
    fewer: Mapping[int, Contrast]
    rivals: Sequence[Contrast]
    learned: tuple[int, int] | None = None

    @property
    def place(self) -> str:
        """The platform, and how many of its users the rows had to learn from where that was not all."""
        if self.learned is None:
            return self.target
        return f"{self.target} with {self.learned[0]:,} of {self.learned[1]:,} users to learn from"


def judged(found: Evidence, *, alpha: float = 0.05, mind: str = "") -> Verdict:
    """The verdict of a comparison.

    A difference counts as shown when its p-value, corrected for the number of tests that answer the same question, is below
    alpha and the interval of the paired difference leaves out zero.

    Args:
        found: the evidence.
        alpha: see above.
        mind: what has to be known with the sentence; may be empty.
    """
    answer = answered(found.transfer, alpha)
    leaders = _leaders(found.rivals, alpha)
    clauses = [
        _about_transfer(answer, found),
        _about_fewer(found.fewer, alpha),
        _about_the_best(leaders, found.metric, found.rivals),
    ]
    sentence = "; ".join(clause for clause in clauses if clause)
    return Verdict(answer, leaders, f"{sentence}{f' ({mind})' if mind else ''}.")


def answered(transfer: Contrast | None, alpha: float) -> Answer:
    """Whether the transfer helps, as far as the evidence goes."""
    if transfer is None:
        return "not asked"
    match transfer.shown(alpha):
        case "above":
            return "helps"
        case "below":
            return "harms"
    gain = transfer.points.value
    return "higher" if gain > 0 else "lower" if gain < 0 else "equal"


def measured_gain(found: Contrast) -> str:
    """The two means, their difference with its interval, in percent, its p-value, and how many seeds agree."""
    points, percent = found.points, found.percent
    told = [f"{points.value:+.4f} [{points.low:+.4f}, {points.high:+.4f}]"]
    if percent.value == percent.value:  # not not-a-number
        told.append(f"{percent.value:+.1f} %")
    told += [p_text(found), *_agreement(found)]
    return f"{found.values[0]:.4f} against {found.values[1]:.4f}: {', '.join(told)}"


def p_text(found: Contrast) -> str:
    """The p-value in words, said to be corrected where there were several tests."""
    kind = "corrected p" if found.tests > 1 else "p"
    return f"{kind} < 0.001" if found.corrected < 0.001 else f"{kind} = {found.corrected:.3f}"


def _agreement(found: Contrast) -> list[str]:
    """In how many seeds the difference has the sign that it has on average."""
    gain = found.points.value
    if not found.by_seed or not gain:
        return []
    if len(found.by_seed) == 1:
        return ["one seed"]
    same = sum(own * gain > 0 for own in found.by_seed)
    return [f"in {same} of {len(found.by_seed)} seeds"]


def _leaders(rivals: Sequence[Contrast], alpha: float) -> tuple[str, ...]:
    if not rivals:
        return ()
    return (rivals[0].second, *(found.first for found in rivals if found.shown(alpha) != "below"))


def _about_transfer(answer: Answer, found: Evidence) -> str:
    target, transfer = found.place, found.transfer
    if transfer is None:
        return f"Whether pre-training elsewhere helps on {target} was not asked (that takes both rows)"
    moved, numbers = transfer.first, f"{found.metric} {measured_gain(transfer)}"
    match answer:
        case "helps":
            return f"Pre-training elsewhere helps on {target}: {moved} is better than {transfer.second} ({numbers})"
        case "harms":
            return (
                f"Warning, negative transfer: pre-training elsewhere does harm on {target}, where {moved} is worse than "
                f"{transfer.second} ({numbers})"
            )
        case "lower":
            return (
                f"No difference shown between {moved} and {transfer.second} on {target}; what was measured points, if "
                f"anywhere, to harm ({numbers})"
            )
        case "higher":
            return (
                f"No difference shown between {moved} and {transfer.second} on {target}; what was measured points, if "
                f"anywhere, to help ({numbers})"
            )
    return f"No difference shown between {moved} and {transfer.second} on {target}, which are level ({numbers})"


def _about_fewer(fewer: Mapping[int, Contrast], alpha: float) -> str:
    """What is shown with fewer users."""
    if not fewer:
        return ""
    helped, harmed = shown_with(fewer, "above", alpha), shown_with(fewer, "below", alpha)
    if not helped and not harmed:
        return f"with fewer users to learn from ({_numbers(sorted(fewer))}) no difference is shown"
    told = []
    if helped:
        told.append(f"with fewer users to learn from, pre-training helps with {_numbers(helped)} users")
    if harmed:
        told.append(
            "Warning, negative transfer with fewer users to learn from: pre-training does harm with "
            f"{_numbers(harmed)} users"
        )
    return "; ".join(told)


def shown_with(fewer: Mapping[int, Contrast], what: Shown, alpha: float) -> list[int]:
    """With how many users this is shown of the transferred row, increasing."""
    return [users for users in sorted(fewer) if fewer[users].shown(alpha) == what]


def _about_the_best(leaders: Sequence[str], metric: str, rivals: Sequence[Contrast]) -> str:
    if not leaders:
        return ""
    first, *others = leaders
    if not others:
        return f"best of all rows is {first}, ahead of every other one"
    if len(others) == len(rivals):
        return f"no row is shown to be the best ({first} has the highest {metric})"
    return f"no row is shown to be the best: {first} has the highest {metric}, not shown to be above {_listed(others)}"


def _numbers(users: Sequence[int]) -> str:
    return _listed([f"{count:,}" for count in users])


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
