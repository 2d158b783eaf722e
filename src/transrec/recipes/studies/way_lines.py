"""Lines of a study of one platform: what each way came to, and by how much it differs from the first.

Axes: S seeds, E test targets, M metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from transrec.data.dataset import Dataset
from transrec.data.splits import Split
from transrec.errors import EvaluationError
from transrec.evaluation.contrasts import Contrast, Measured, contrast, one_family
from transrec.evaluation.intervals import Interval, bootstrap
from transrec.evaluation.metrics import metric_columns
from transrec.evaluation.slices import by_history, by_modality, by_popularity
from transrec.recipes.comparing.results import SliceResult
from transrec.recipes.studies.way_settings import WaysSettings
from transrec.recipes.studies.way_work import Ranked
from transrec.recipes.studies.ways import Size


@dataclass(frozen=True, slots=True, eq=False)
class WayLine:
    """One line.

    Attributes:
        ranked: the way, its trainings, and the ranks under them.
        size: of its model.
        measured: the metric of the study, of every target under every seed.
        metrics: by name, the mean over targets of the mean over seeds, with its interval.
        by_seed: by name, the mean over targets of each seed.
        slices: some of the targets under the metric of the study.
        against: by how much it exceeds the first line, the p-value corrected for all lines; None for the first.
    """

    ranked: Ranked
    size: Size
    measured: Measured
    metrics: Mapping[str, Interval]
    by_seed: Mapping[str, tuple[float, ...]]
    slices: tuple[SliceResult, ...]
    against: Contrast | None

    @property
    def label(self) -> str:
        """What is special about it."""
        return self.ranked.way.label

    @property
    def detail(self) -> str:
        """A few words besides; the learning rates where several were tried."""
        several = len(self.ranked.validation) > 1
        told = (self.ranked.way.detail, f"rates x {self.ranked.rate:g}" if several else "")
        return ", ".join(part for part in told if part)

    @property
    def seconds(self) -> float:
        """What all its trainings took, at every rate and seed."""
        return sum(own.trained.cost.seconds for own in self.ranked.tried)

    @property
    def memory(self) -> int | None:
        """The most memory that one of them held, in bytes; None where that is not known."""
        return max((own.trained.cost.memory for own in self.ranked.tried if own.trained.cost.memory), default=None)

    @property
    def resumed(self) -> bool:
        """Whether one of them was interrupted, so that the seconds are too few."""
        return any(own.trained.resumed for own in self.ranked.tried)

    def spread(self, metric: str) -> float | None:
        """The standard deviation over seeds; None with fewer than two."""
        values = self.by_seed[metric]
        return float(np.std(values, ddof=1)) if len(values) > 1 else None

    def slice(self, label: str) -> SliceResult | None:
        """The slice of this label; None where no target belongs to it."""
        return next((part for part in self.slices if part.label == label), None)


@dataclass(frozen=True, eq=False)
class WayGround:
    """What all lines are measured on.

    Attributes:
        dataset: the platform.
        split: of its events.
        settings: the metric, and how sure one wants to be.
    """

    dataset: Dataset
    split: Split
    settings: WaysSettings

    def lines(self, ranked: Sequence[Ranked], sizes: Mapping[str, Size]) -> tuple[WayLine, ...]:
        """A line for each way, in their order.

        Args:
            ranked: the ways, with the ranks of the test targets.
            sizes: by the name of the way, how large its model is.

        Raises:
            EvaluationError: the ways have not ranked the same targets.
        """
        for own in ranked:
            self._require_own_targets(own)
        measured = [self._measured(own) for own in ranked]
        against = self.against([(own, measured[0]) for own in measured[1:]])
        return tuple(
            self._line(own, sizes[own.way.name], found, contrasted)
            for own, found, contrasted in zip(ranked, measured, [None, *against], strict=True)
        )

    def against(self, pairs: Sequence[tuple[Measured, Measured]]) -> list[Contrast]:
        """By how much the first of each pair exceeds the second; the p-values corrected for all pairs together."""
        asked, permutations = self.settings.evaluation, self.settings.permutations
        users_E = self.split.test.users
        return one_family([contrast(*pair, users_E, asked, permutations=permutations) for pair in pairs])

    def _line(self, ranked: Ranked, size: Size, measured: Measured, against: Contrast | None) -> WayLine:
        values = _values(ranked, self.settings.evaluation.cutoffs)
        means_EM = np.column_stack([own.mean(axis=0) for own in values.values()])
        by_seed = {name: tuple(float(value) for value in own.mean(axis=1)) for name, own in values.items()}
        metrics = dict(zip(values, self._intervals(means_EM, self.split.test.users), strict=True))
        return WayLine(ranked, size, measured, metrics, by_seed, self._slices(ranked, measured), against)

    def _slices(self, ranked: Ranked, measured: Measured) -> tuple[SliceResult, ...]:
        first, catalog = ranked.targets[0], self.dataset.catalog
        parts = [
            *by_modality(first.rows, catalog.presence),
            *by_popularity(first.rows, self.split.train_counts(len(catalog))),
            *by_history(first.history_lengths),
        ]
        found = []
        for part in parts:
            [value] = self._intervals(measured.mean_E[part.mask_E, None], self.split.test.users[part.mask_E])
            targets = int(part.mask_E.sum())
            small = targets < self.settings.evaluation.small_slice
            found.append(SliceResult(part.group, part.label, targets, small, value))
        return tuple(found)

    def _measured(self, ranked: Ranked) -> Measured:
        return Measured(ranked.way.label, _values(ranked, self.settings.evaluation.cutoffs)[self.settings.metric])

    def _intervals(self, values_EM: np.ndarray, users_E: np.ndarray) -> list[Interval]:
        asked = self.settings.evaluation
        generator = np.random.default_rng(asked.seed)
        return bootstrap(values_EM, users_E, generator, resamples=asked.resamples, confidence=asked.confidence)

    def _require_own_targets(self, ranked: Ranked) -> None:
        users = self.split.interactions.users.gather(self.split.test.users)
        rows_E = self.split.interactions.rows[self.split.test.positions]
        for attempt, own in zip(ranked.chosen, ranked.targets, strict=True):
            if not (own.users.equals(users) and np.array_equal(own.rows, rows_E)):
                raise EvaluationError(
                    f"the ranks that were kept of {ranked.way.label}, seed {attempt.seed}, are not of these test targets",
                    where=str(attempt.run.parent),
                    remedy="remove that folder and start the study again",
                )


def _values(ranked: Ranked, cutoffs: Sequence[int]) -> dict[str, np.ndarray]:
    """By name, the metric of every target under every seed, (S, E)."""
    columns_S = [metric_columns(own.ranks, cutoffs) for own in ranked.targets]
    return {name: np.stack([columns[name] for columns in columns_S]) for name in columns_S[0]}
