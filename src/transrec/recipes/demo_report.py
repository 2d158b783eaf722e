"""What the demo says: one table of all methods on all targets, a sentence a target, and everything as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from transrec.evaluation.intervals import Difference
from transrec.evaluation.protocol import Evaluation, compare

METRIC = "HR@10"
POPULARITY = "popularity"
IDENTITY = "ID-based from scratch"
SCRATCH = "TransRec from scratch"
ZERO_SHOT = "TransRec zero-shot"
TRANSFERRED = "TransRec transferred"
METHODS = (POPULARITY, IDENTITY, SCRATCH, ZERO_SHOT, TRANSFERRED)


@dataclass(frozen=True, slots=True, eq=False)
class DemoResult:
    """What the demo found.

    Attributes:
        evaluations: by target, then by method, on the test split.
        validation: the best validation metric of every run, by the name of its folder.
        seconds: what every stage took.
    """

    evaluations: Mapping[str, Mapping[str, Evaluation]]
    validation: Mapping[str, float]
    seconds: Mapping[str, float]

    def gains(self) -> dict[str, Difference]:
        """By how much the transferred model exceeds the same model from scratch, by target, paired by user."""
        return {
            target: compare(found[TRANSFERRED], found[SCRATCH], metric=METRIC) for target, found in self.evaluations.items()
        }

    def to_json(self) -> dict[str, Any]:
        """All numbers, as values that JSON can hold; slices are left to ``transrec evaluate``."""
        evaluations = {
            target: {
                method: {name: value for name, value in result.to_json().items() if name != "slices"}
                for method, result in found.items()
            }
            for target, found in self.evaluations.items()
        }
        return {
            "evaluations": evaluations,
            "transferred_minus_from_scratch": {target: asdict(gain) for target, gain in self.gains().items()},
            "gain_metric": METRIC,
            "best_validation": dict(self.validation),
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
        }


def how_measured(result: DemoResult) -> Sequence[str]:
    """The choices without which the table's numbers mean nothing."""
    first = next(iter(result.evaluations.values()))[POPULARITY]
    return (
        f"{METRIC}: the share of users whose next item is among the first ten",
        f"split: {first.choices.split}",
        f"candidates: {first.choices.candidates}; masked: {first.choices.masked}",
        f"below each number its {first.settings.confidence:.0%} interval over users; * marks the best of a target",
    )


def comparison_table(result: DemoResult) -> Table:
    """One row a method, one column a target; the best of a target has a star."""
    table = Table()
    table.add_column("target platform\nusers", no_wrap=True)
    for target, found in result.evaluations.items():
        table.add_column(f"{target}\n{found[POPULARITY].overall.targets:,}", justify="right", no_wrap=True)
    for method in METHODS:
        table.add_row(method, *(_cell(found, method) for found in result.evaluations.values()))
    return table


def verdicts(result: DemoResult) -> Sequence[str]:
    """A sentence a target: whether the transfer helped, judged by the interval of the paired difference."""
    told = []
    for target, difference in result.gains().items():
        gain = difference.gain
        if gain.low > 0:
            outcome = "the transfer helped"
        elif gain.high < 0:
            outcome = "the transfer did harm"
        else:
            outcome = "no difference shown (the interval contains 0)"
        told.append(
            f"{target}: {outcome}; {METRIC} against training from scratch: "
            f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        )
    return told


def _cell(found: Mapping[str, Evaluation], method: str) -> Text:
    interval = found[method].overall.metrics[METRIC]
    best = interval.value == max(result.overall.metrics[METRIC].value for result in found.values())
    return Text.assemble(
        (f"{interval.value:.3f}{'*' if best else ' '}", "bold" if best else ""),
        (f"\n{interval.low:.2f}-{interval.high:.2f} ", "dim"),
    )
