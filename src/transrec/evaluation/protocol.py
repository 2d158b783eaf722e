"""The protocol: measure a ranker on a split, and say in every result how it was done.

E is the number of targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from transrec.data.catalog import Catalog
from transrec.data.splits import Split
from transrec.errors import EvaluationError
from transrec.evaluation.intervals import Difference, Interval, bootstrap, paired_difference
from transrec.evaluation.metrics import metric_columns
from transrec.evaluation.ranks import RankedTargets, Ranker, rank_targets
from transrec.evaluation.slices import Slice, by_history, by_modality, by_popularity
from transrec.settings import Settings

Part = Literal["validation", "test"]
"""Which targets of a split are predicted. The test targets are opened by ``transrec evaluate`` and ``transrec compare``."""


class EvaluationSettings(Settings):
    """How rankers are measured."""

    cutoffs: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 5, 10, 20, 50), min_length=1)
    """The values of k in HR@k, NDCG@k and MRR@k."""
    resamples: int = Field(1000, ge=100)
    """How many times the users are drawn again for the intervals."""
    confidence: float = Field(0.95, gt=0, lt=1)
    """Share of the resampled means that lies inside an interval."""
    small_slice: int = Field(100, ge=0)
    """Slices with fewer targets are marked as small."""
    seed: int = 0
    """Of the resamples."""
    popularity: float = Field(1.0, ge=0, allow_inf_nan=False)
    """How much popularity counts for the run, where it has a prior: 1 as it was weighed after training; with less,
    rare and new items come up; 0 for none."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices without which a number means nothing.

    Attributes:
        split: how events were split, and which part is predicted.
        candidates: what a target is ranked among.
        masked: what is taken out of the candidates.
        metrics: which metrics, and what a tie counts.
        skipped: users without a target, by reason.
    """

    split: str
    candidates: str
    masked: str
    metrics: str
    skipped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SliceResult:
    """The metrics of some of the targets.

    Attributes:
        group: what the targets are told apart by.
        label: which of them these are.
        targets: how many.
        small: whether they are too few to lean on.
        metrics: by name, each with its interval.
    """

    group: str
    label: str
    targets: int
    small: bool
    metrics: Mapping[str, Interval]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """How one ranker did.

    Attributes:
        ranker: its name.
        ranker_settings: what was chosen for it, for example on validation; may be empty.
        choices: how it was measured.
        settings: cutoffs, resamples, confidence.
        overall: all targets.
        slices: some of them.
        ranked: every target's rank.
    """

    ranker: str
    ranker_settings: Mapping[str, Any]
    choices: Choices
    settings: EvaluationSettings
    overall: SliceResult
    slices: tuple[SliceResult, ...]
    ranked: RankedTargets

    def to_json(self) -> dict[str, Any]:
        """Everything but the single ranks, as values that JSON can hold."""
        return {
            "ranker": self.ranker,
            "ranker_settings": dict(self.ranker_settings),
            "choices": asdict(self.choices),
            "settings": self.settings.model_dump(mode="json"),
            "overall": asdict(self.overall),
            "slices": [asdict(result) for result in self.slices],
            "near_ties": self.ranked.near_ties,
        }


def evaluate(
    ranker: Ranker,
    split: Split,
    catalog: Catalog,
    *,
    name: str,
    part: Part = "test",
    settings: EvaluationSettings | None = None,
) -> Evaluation:
    """Measure one ranker, overall and by slices, with intervals.

    Args:
        ranker: a :class:`~transrec.evaluation.ranks.ModelRanker`, a baseline, or anything else that scores. What its
            ``settings`` attribute holds, if it has one, is shown beside its numbers.
        split: which events are predicted.
        catalog: the items; says which modalities a target has.
        name: what to call the ranker in tables.
        part: the targets; the test part is for final numbers alone.
        settings: cutoffs and intervals.

    Raises:
        EvaluationError: there is nothing to rank, or a score is not finite.
    """
    ranked = rank_targets(ranker, split, getattr(split, part))
    chosen = getattr(ranker, "settings", {})
    return measured(ranked, split, catalog, name=name, ranker_settings=chosen, part=part, settings=settings)


def measured(  # noqa: PLR0913  (three values that belong to the ranks, and what to call them)
    ranked: RankedTargets,
    split: Split,
    catalog: Catalog,
    *,
    name: str,
    ranker_settings: Mapping[str, Any],
    part: Part = "test",
    settings: EvaluationSettings | None = None,
) -> Evaluation:
    """What :func:`evaluate` says, from ranks that are there already.

    Args:
        ranked: the rank of every target of the part.
        split: which events are predicted.
        catalog: the items.
        name: of the ranker.
        ranker_settings: what was chosen for it.
        part: the targets.
        settings: cutoffs and intervals.
    """
    settings = settings or EvaluationSettings()
    generator = np.random.default_rng(settings.seed)
    everything = Slice("all", "all", np.ones(len(ranked), dtype=bool))
    slices = [
        *by_modality(ranked.rows, catalog.presence),
        *by_popularity(ranked.rows, split.train_counts(len(catalog))),
        *by_history(ranked.history_lengths),
    ]
    overall, *results = _measure(ranked, [everything, *slices], settings, generator)
    cutoffs = ", ".join(map(str, settings.cutoffs))
    choices = Choices(
        split=f"{split.description}; {part} targets",
        candidates=f"all {ranked.num_items:,} items of the catalog",
        masked="the user's history; never the target",
        metrics=f"HR, NDCG and MRR at {cutoffs}, and MRR; ties at their mean rank",
        skipped=split.skipped,
    )
    return Evaluation(name, ranker_settings, choices, settings, overall, tuple(results), ranked)


def _measure(
    ranked: RankedTargets, slices: Sequence[Slice], settings: EvaluationSettings, generator: np.random.Generator
) -> list[SliceResult]:
    columns = metric_columns(ranked.ranks, settings.cutoffs)
    values_EM = np.column_stack(list(columns.values()))
    _, users_E = np.unique(ranked.users.to_numpy(), return_inverse=True)
    results = []
    for part in slices:
        intervals = bootstrap(
            values_EM[part.mask_E],
            users_E[part.mask_E],
            generator,
            resamples=settings.resamples,
            confidence=settings.confidence,
        )
        targets = int(part.mask_E.sum())
        metrics = dict(zip(columns, intervals, strict=True))
        results.append(SliceResult(part.group, part.label, targets, targets < settings.small_slice, metrics))
    return results


def compare(first: Evaluation, second: Evaluation, *, metric: str = "NDCG@10") -> Difference:
    """By how much the first ranker exceeds the second on the same targets, paired by user.

    Args:
        first: of one ranker.
        second: of another, on the same split and part.
        metric: a name as in ``overall.metrics``.

    Raises:
        EvaluationError: the two were not measured on the same targets, or there is no such metric.
    """
    settings = first.settings
    same = len(first.ranked) == len(second.ranked) and (
        first.ranked.users.equals(second.ranked.users) and np.array_equal(first.ranked.rows, second.ranked.rows)
    )
    if not same:
        raise EvaluationError(
            f"{first.ranker!r} and {second.ranker!r} were measured on different targets",
            remedy="evaluate both on the same dataset, split and part",
        )
    columns = [metric_columns(evaluation.ranked.ranks, settings.cutoffs) for evaluation in (first, second)]
    if metric not in columns[0]:
        raise EvaluationError(f"there is no metric {metric!r}", remedy=f"known are {', '.join(columns[0])}")
    _, users_E = np.unique(first.ranked.users.to_numpy(), return_inverse=True)
    return paired_difference(
        columns[0][metric],
        columns[1][metric],
        users_E,
        np.random.default_rng(settings.seed),
        resamples=settings.resamples,
        confidence=settings.confidence,
    )
