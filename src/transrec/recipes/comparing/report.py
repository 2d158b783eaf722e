"""What a comparison says: how it was measured, one table, and everything as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from transrec._version import __version__
from transrec.data.reading.findings import counted
from transrec.evaluation.contrasts import Contrast
from transrec.evaluation.intervals import Interval
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.cells import short, short_p, two_lines
from transrec.recipes.comparing.findings import Findings
from transrec.recipes.comparing.overlaps import Checked
from transrec.recipes.comparing.results import COLD, COUNTED, TAIL, RowResult, SliceResult
from transrec.recipes.comparing.sentence import measured_gain
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.comparing.shares import shares_json
from transrec.recipes.comparing.variants import ZeroShot
from transrec.reports.numbers import duration

FORMAT = 1

LENGTHS = {
    "best": "with fewer users the best on validation of as many epochs, as many steps, and a length between",
    "steps": "as many steps with fewer users",
    "epochs": "as many epochs with fewer users",
}
"""What is said of the budgets."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """A comparison that is done.

    Attributes:
        bench: what all rows have in common.
        settings: as they were asked for.
        checks: for what the target shares with the sources.
        findings: rows, contrasts and the verdict.
        left_out: rows that cannot be had, each with the reason.
    """

    bench: Bench
    settings: CompareSettings
    checks: tuple[Checked, ...]
    findings: Findings
    left_out: Mapping[str, str]

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        return self.findings.verdict.sentence

    def to_json(self) -> dict[str, Any]:
        """Everything, as values that JSON can hold; numbers that are not known are null."""
        found = self.findings
        document = {
            "format": FORMAT,
            "version": __version__,
            "sentence": found.verdict.sentence,
            "transfer": found.verdict.answer,
            "winner": found.verdict.winner,
            "leaders": list(found.verdict.leaders),
            "metric": self.settings.metric,
            "run": {"name": self.bench.run.resolve().name, "digest": self.bench.run_digest},
            "dataset": {"name": self.bench.dataset.name, "fingerprint": self.bench.dataset.fingerprint},
            "measured": how_measured(self),
            "targets": found.targets,
            "targets_known_to_the_source": found.known,
            "targets_removed": found.known if self.settings.remove_overlap else 0,
            "overlap": [checked.to_json() for checked in self.checks],
            "rows": [_row_json(row, found) for row in found.table],
            "left_out": dict(self.left_out),
            "against_the_highest": [asdict(own) for own in found.rivals],
            "transferred_against_scratch": [asdict(own) for own in found.transfers],
            "transferred_with_ids_against_scratch_with_ids": asdict(found.with_ids) if found.with_ids else None,
            "with_fewer_users": [{"users": users, **asdict(own)} for users, own in found.fewer],
            "by_share": shares_json(found, self.settings),
            "curve": [_point_json(row, self.settings.metric) for row in found.curve],
            "settings": self.settings.model_dump(mode="json"),
            "trained_with": {
                "objective": self.bench.objective.model_dump(mode="json"),
                "training": self.bench.training.model_dump(mode="json", exclude={"seed"}),
                "split": self.bench.split.model_dump(mode="json"),
                "stages": [stage.model_dump(mode="json") for stage in self.bench.stages],
            },
        }
        cleaned: dict[str, Any] = without_nan(document)
        return cleaned


def how_measured(comparison: Comparison) -> list[str]:
    """The choices without which the numbers mean nothing."""
    bench, settings, found = comparison.bench, comparison.settings, comparison.findings
    removed = f" ({found.known:,} left out, which the source knows, too)" if settings.remove_overlap and found.known else ""
    lines = [
        f"{found.targets:,} test targets{removed}, ranked among all {len(bench.dataset.catalog):,} items of the catalog; "
        "masked: the user's history, never the target",
        f"split: {bench.whole.description}",
        f"budget of every trained row: {_budget(comparison)}",
        f"seeds {', '.join(map(str, settings.seeds))}; {settings.evaluation.confidence:.0%} intervals over users, of the "
        "mean over seeds",
    ]
    counts = sorted({row.users for row in (*found.table, *found.curve) if row.users})
    if any(row.fraction < 1 for row in (*found.table, *found.curve)):
        lines.append(
            f"{', '.join(f'{users:,}' for users in counts)} users train and validate, all test; each seed draws its own "
            f"sample, and a larger one holds the smaller{_merged(len(counts), settings)}"
        )
        lines.append(
            f"cold and tail targets are told by the {COUNTED}, so that they are the same ones at every share; a row that "
            "learns from fewer has seen even less of them, and others than these that it has not seen"
        )
    if bench.model.prior is not None and any(isinstance(row.row.made, ZeroShot) for row in found.table):
        lines.append("zero-shot learns nothing of the target, but counts the training events of its users")
    if bench.dropping:
        lines.append(
            "the run's table of item ids is left out of scratch, zero-shot and transferred alike, which read content alone"
        )
    if bench.unread:
        lines.append(f"not read by any content row, because the run does not: {', '.join(bench.unread)}")
    return lines


def _merged(counts: int, settings: CompareSettings) -> str:
    """That some shares come to the same number of users, where they do."""
    return f" (of {len(settings.fractions)} shares some come to the same number)" if counts < len(settings.fractions) else ""


def result_table(comparison: Comparison) -> Table:
    """One row a variant, two lines each; the caption says what the columns are."""
    found, metric = comparison.findings, comparison.settings.metric
    table = Table(box=box.SIMPLE_HEAD, caption=_caption(comparison), caption_justify="left", pad_edge=False)
    table.add_column("row")
    cold, tail = (f"{name} ({_counted(found.table[0].slice(label))})" for name, label in (("cold", COLD), ("tail", TAIL)))
    for name in (f"{metric} ±seeds\ninterval", "less the best\nother row", "p\nin %", f"{cold}\n{tail}", "time\nmemory"):
        table.add_column(name, justify="right", no_wrap=True)
    highest = max(row.metrics[metric].value for row in found.table)
    for row in found.table:
        value, spread = row.metrics[metric], row.spread(metric)
        best = value.value == highest
        table.add_row(
            Text(row.label, style="bold" if best else ""),
            two_lines(
                f"{short(value.value)}{'*' if best else ''}{'' if spread is None else f' ±{short(spread)}'}",
                f"{short(value.low)}-{short(value.high)}",
                bold=best,
            ),
            *_compared(found.against_the_best(row.label)),
            two_lines(_sliced(row.slice(COLD)), _sliced(row.slice(TAIL))),
            _cost(row),
        )
    return table


def told_of_ids(comparison: Comparison) -> str:
    """Whether the transfer helps where both have ids, in a line below the table; empty where that was not asked."""
    found = comparison.findings.with_ids
    if found is None:
        return ""
    shown = {"above": "better", "below": "worse", "undecided": "no difference shown"}[found.shown(comparison.settings.alpha)]
    return f"{found.first} less {found.second}: {shown} ({comparison.settings.metric} {measured_gain(found)})"


def _compared(against: Contrast | None) -> Sequence[Text]:
    if against is None:
        return (Text(), Text())
    points, percent = against.points, against.percent
    return (
        two_lines(short(points.value, "+"), f"[{short(points.low, '+')},{short(points.high, '+')}]"),
        two_lines(short_p(against), "" if math.isnan(percent.value) else f"{percent.value:+.0f} %"),
    )


def _sliced(part: SliceResult | None) -> str:
    return "-" if part is None else f"{short(part.value.value)}{'†' if part.small else ''}"


def _counted(part: SliceResult | None) -> str:
    return f"{part.targets:,}" if part else "0"


def _cost(row: RowResult) -> Text:
    if row.seconds is None:
        return Text("-")
    resumed = "+" if any(own.resumed for own in row.tried) else ""
    memory = "" if row.memory is None else f"{row.memory / 2**30:.1f} GiB"
    return two_lines(f"{duration(row.seconds)}{resumed}", memory)


def _budget(comparison: Comparison) -> str:
    training, settings = comparison.bench.training, comparison.settings
    steps = f" or {training.max_steps:,} steps" if training.max_steps else ""
    told = [
        f"at most {training.epochs:,} epochs{steps}",
        f"{training.patience} validations without a better {training.metric}",
    ]
    if comparison.bench.stages:
        told.append(f"{counted(len(comparison.bench.stages), 'stage')} before")
    if len(settings.rates) > 1:
        told.append(f"the best on validation of the learning rates x {', '.join(f'{rate:g}' for rate in settings.rates)}")
    if comparison.findings.curve:
        told.append(LENGTHS[settings.budget])
    return ", ".join(told)


def _caption(comparison: Comparison) -> str:
    settings, found = comparison.settings, comparison.findings
    memories = sorted({own.cost.memory_of for row in found.table for own in row.tried if own.cost})
    family = f", Holm-corrected for {len(found.rivals)} tests" if len(found.rivals) > 1 else ""
    lines = [
        "* highest; ±: standard deviation over seeds; less the best other row: the paired difference, its interval, in %",
        f"p: paired randomisation test over users, {settings.permutations:,} relabellings{family}",
        f"cold, tail: {settings.metric} of targets that no, or at most four, {COUNTED} touch († few targets)",
        "time, memory: of training or tuning, all seeds on the clock and the highest peak"
        + (f" ({', '.join(memories)})" if memories else "")
        + (", + resumed: its last part" if any(own.resumed for row in found.table for own in row.tried) else ""),
    ]
    return "\n".join(lines)


def _row_json(row: RowResult, found: Findings) -> dict[str, Any]:
    best, scratch = found.against_the_best(row.label), found.against_scratch(row.label)
    parts = {name: row.slice(label) for name, label in (("cold", COLD), ("tail", TAIL))}
    return {
        "row": row.row.name,
        "label": row.label,
        "kind": type(row.row.made).__name__,
        "made": asdict(row.row.made),
        "users": row.users,
        "metrics": {name: asdict(value) for name, value in row.metrics.items()},
        "spread_over_seeds": {name: row.spread(name) for name in row.metrics},
        "against_the_best_other": asdict(best) if best else None,
        "against_scratch": asdict(scratch) if scratch else None,
        **{name: asdict(part) if part else None for name, part in parts.items()},
        "slices": [asdict(part) for part in row.slices],
        "seconds": row.seconds,
        "memory_bytes": row.memory,
        "jobs": [
            {
                "folder": own.folder.name,
                "seed": own.job.seed,
                "rate": own.job.rate,
                "length": own.job.length,
                "counted": own in row.finished,
                "validation": own.validation,
                "fit": asdict(own.fit) if own.fit else None,
                "chosen": own.chosen,
                "cost": asdict(own.cost) if own.cost else None,
                "resumed": own.resumed,
                "metrics": {name: values[row.finished.index(own)] for name, values in row.by_seed.items()}
                if own in row.finished
                else None,
            }
            for own in row.tried
        ],
    }


def _point_json(row: RowResult, metric: str) -> dict[str, Any]:
    own: Interval = row.metrics[metric]
    return {
        "row": row.row.name,
        "label": row.label,
        "fraction": row.fraction,
        "users": row.users,
        metric: asdict(own),
        "by_seed": list(row.by_seed[metric]),
    }


def without_nan(value: Any) -> Any:
    """The same with null in place of what is not a number, for JSON has no word for it."""
    if isinstance(value, Mapping):
        return {name: without_nan(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
