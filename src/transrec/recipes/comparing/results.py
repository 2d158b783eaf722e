"""Results: the finished jobs of a row as means, intervals, spreads and slices.

Axes: S seeds, E test targets that are counted, M metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from transrec.errors import EvaluationError
from transrec.evaluation.contrasts import Measured
from transrec.evaluation.intervals import Interval, bootstrap
from transrec.evaluation.metrics import metric_columns
from transrec.evaluation.slices import Slice, by_history, by_modality, by_popularity
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.jobs import users_of
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.comparing.variants import Row, ZeroShot
from transrec.recipes.comparing.work import Finished

COLD, TAIL = "0 (cold)", "0-4 (tail)"
"""Labels of the two slices that the table shows."""
COUNTED = "training events of all users"
"""What slices by popularity count, at every share: each seed draws its own users, so that by those of a share the slices
would be other targets for every seed, and neither rows nor shares could be compared on them."""


@dataclass(frozen=True, slots=True)
class SliceResult:
    """Some of the targets under one row.

    Attributes:
        group: what the targets are told apart by.
        label: which of them these are.
        targets: how many.
        small: whether they are too few to lean on.
        value: the metric of the verdict, with its interval.
    """

    group: str
    label: str
    targets: int
    small: bool
    value: Interval


@dataclass(frozen=True, slots=True, eq=False)
class RowResult:
    """How one row did at one share of the users.

    Attributes:
        row: which.
        label: as tables show it.
        fraction: the share of the users that train and validate; 1 where that makes no difference.
        users: how many these are; 0 for a run as it is that counts nothing either.
        finished: its jobs, one a seed, at the rate and length that validated best.
        tried: its jobs at every rate and length.
        measured: the metric of the verdict, of every target under every seed.
        metrics: by name, the mean over targets of the mean over seeds, with its interval.
        by_seed: by name, the mean over targets of each seed.
        slices: some of the targets.
    """

    row: Row
    label: str
    fraction: float
    users: int
    finished: tuple[Finished, ...]
    tried: tuple[Finished, ...]
    measured: Measured
    metrics: Mapping[str, Interval]
    by_seed: Mapping[str, tuple[float, ...]]
    slices: tuple[SliceResult, ...]

    @property
    def validation(self) -> float | None:
        """The mean over seeds of what its weights or settings were chosen by; None where nothing was chosen."""
        return _mean_validation(self.finished)

    @property
    def seconds(self) -> float | None:
        """What all its trainings or tunings took, at every rate, length and seed; None where there were none."""
        costs = [own.cost.seconds for own in self.tried if own.cost]
        return sum(costs) if costs else None

    @property
    def memory(self) -> int | None:
        """The most memory that one of them held, in bytes; None where that is not known."""
        return max((own.cost.memory for own in self.tried if own.cost and own.cost.memory), default=None)

    def spread(self, metric: str) -> float | None:
        """The standard deviation over seeds; None with fewer than two."""
        values = self.by_seed[metric]
        return float(np.std(values, ddof=1)) if len(values) > 1 else None

    def slice(self, label: str) -> SliceResult | None:
        """The slice of this label; None where no target belongs to it."""
        return next((part for part in self.slices if part.label == label), None)


def rows_of(finished: Sequence[Finished], counted_E: np.ndarray, settings: CompareSettings, bench: Bench) -> list[RowResult]:
    """A result for each row and share of the users, in the order of the jobs.

    Args:
        finished: the jobs.
        counted_E: which test targets count.
        settings: of the comparison.
        bench: what all rows have in common.

    Raises:
        EvaluationError: the jobs have not ranked the same targets.
    """
    groups: dict[tuple[str, float], list[Finished]] = {}
    for own in finished:
        _require_same_targets(finished[0], own)
        groups.setdefault((own.job.row.name, own.job.fraction), []).append(own)
    labels = {name: group[0].method or group[0].job.row.label for (name, _), group in groups.items()}
    twice = {label for label in labels.values() if list(labels.values()).count(label) > 1}
    told = {name: f"{label} ({name})" if label in twice else label for name, label in labels.items()}
    return [_row(group, told[name], counted_E, settings, bench) for (name, _), group in groups.items()]


def _row(tried: Sequence[Finished], label: str, counted_E: np.ndarray, settings: CompareSettings, bench: Bench) -> RowResult:
    finished = _as_validated_best(tried)
    ranked = finished[0].ranked
    columns_S = [metric_columns(own.ranked.ranks[counted_E], settings.evaluation.cutoffs) for own in finished]
    values = {name: np.stack([columns[name] for columns in columns_S]) for name in columns_S[0]}
    rows_E, users_E = ranked.rows[counted_E], _users(ranked.users.to_numpy())[counted_E]
    counts_V = bench.whole.train_counts(len(bench.dataset.catalog))
    slices = [
        *by_modality(rows_E, bench.dataset.catalog.presence),
        *(replace(part, group=COUNTED) for part in by_popularity(rows_E, counts_V)),
        *by_history(ranked.history_lengths[counted_E]),
    ]
    measured = Measured(label, values[settings.metric])
    row = finished[0].job.row
    indifferent = isinstance(row.made, ZeroShot) and bench.model.prior is None
    return RowResult(
        row=row,
        label=label,
        fraction=finished[0].job.fraction,
        users=0 if indifferent else users_of(finished[0].job.fraction, bench),
        finished=tuple(finished),
        tried=tuple(tried),
        measured=measured,
        metrics=_intervals(values, users_E, settings),
        by_seed={name: tuple(float(value) for value in own.mean(axis=1)) for name, own in values.items()},
        slices=tuple(_slice(part, measured, users_E, settings) for part in slices),
    )


def _as_validated_best(tried: Sequence[Finished]) -> list[Finished]:
    """The jobs at the rate and length that validated best, as the mean over seeds; all of them where there is one."""
    groups: dict[tuple[float, float], list[Finished]] = {}
    for own in tried:
        groups.setdefault((own.job.rate, own.job.length), []).append(own)
    return max(groups.values(), key=lambda group: _mean_validation(group) or 0.0)


def _mean_validation(finished: Sequence[Finished]) -> float | None:
    values = [own.validation for own in finished if own.validation is not None]
    return float(np.mean(values)) if values else None


def _intervals(values: Mapping[str, np.ndarray], users_E: np.ndarray, settings: CompareSettings) -> dict[str, Interval]:
    asked = settings.evaluation
    means_EM = np.column_stack([own.mean(axis=0) for own in values.values()])
    found = bootstrap(
        means_EM, users_E, np.random.default_rng(asked.seed), resamples=asked.resamples, confidence=asked.confidence
    )
    return dict(zip(values, found, strict=True))


def _slice(part: Slice, measured: Measured, users_E: np.ndarray, settings: CompareSettings) -> SliceResult:
    own = {settings.metric: measured.values_SE[:, part.mask_E]}
    [value] = _intervals(own, users_E[part.mask_E], settings).values()
    targets = int(part.mask_E.sum())
    return SliceResult(part.group, part.label, targets, targets < settings.evaluation.small_slice, value)


def _users(ids: np.ndarray) -> np.ndarray:
    """Users as numbers."""
    numbers: np.ndarray = np.unique(ids, return_inverse=True)[1]
    return numbers


def _require_same_targets(first: Finished, other: Finished) -> None:
    ours, theirs = first.ranked, other.ranked
    same = len(ours) == len(theirs) and ours.users.equals(theirs.users) and np.array_equal(ours.rows, theirs.rows)
    if not same:
        raise EvaluationError(
            f"{first.job} and {other.job} have ranked different targets",
            where=str(other.folder),
            remedy="remove that folder and compare again",
        )
