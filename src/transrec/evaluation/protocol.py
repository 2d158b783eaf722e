"""The protocol: rank every target among the whole catalog, and say in every result how it was done.

Axes: B histories in a block, V items in the catalog, E targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import polars as pl
import torch
from pydantic import Field
from torch import Tensor

from transrec.data.catalog import Catalog
from transrec.data.histories import Histories
from transrec.data.splits import Split, Targets
from transrec.errors import EvaluationError
from transrec.evaluation.intervals import Difference, Interval, bootstrap, paired_difference
from transrec.evaluation.metrics import metric_columns
from transrec.evaluation.slices import Slice, by_history, by_modality, by_popularity
from transrec.model import TransRec
from transrec.retrieval.index import CatalogIndex, encode_histories, hidden_pairs, users_at_once
from transrec.retrieval.ranking import mean_ranks
from transrec.settings import Settings

Part = Literal["validation", "test"]
"""Which targets of a split are predicted. The test targets are opened by ``transrec evaluate`` alone."""


class EvaluationSettings(Settings):
    """How rankers are measured."""

    cutoffs: tuple[int, ...] = (1, 5, 10, 20, 50)
    """The values of k in HR@k, NDCG@k and MRR@k."""
    resamples: int = Field(1000, ge=100)
    """How many times the users are drawn again for the intervals."""
    confidence: float = Field(0.95, gt=0, lt=1)
    """Share of the resampled means that lies inside an interval."""
    small_slice: int = Field(100, ge=0)
    """Slices with fewer targets are marked as small."""
    seed: int = 0
    """Of the resamples."""


class Ranker(Protocol):
    """Anything that scores the catalog for histories: a trained model, a baseline, a program of your own."""

    def scores(self, histories: Histories) -> Tensor:
        """Scores of every catalog row for every history, (B, V) float32; higher is better."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelRanker:
    """A trained model over an encoded catalog, as it is served.

    Attributes:
        model: the model.
        index: the catalog under it.
    """

    model: TransRec
    index: CatalogIndex

    def scores(self, histories: Histories) -> Tensor:
        return self.index.scores(encode_histories(self.model, self.index, histories))


@dataclass(frozen=True, slots=True, eq=False)
class RankedTargets:
    """The rank of each target, from which every metric follows.

    Attributes:
        users: ids of the users, (E,).
        rows: catalog rows of the targets, int64 of shape (E,).
        ranks: from 1, float64 of shape (E,).
        history_lengths: the number of events before each target, int64 of shape (E,).
        num_items: how many items the catalog has.
    """

    users: pl.Series
    rows: np.ndarray
    ranks: np.ndarray
    history_lengths: np.ndarray
    num_items: int

    def __len__(self) -> int:
        return len(self.ranks)

    def save(self, path: str | Path) -> None:
        """Write one Parquet file with the columns user, row, rank and history_length, for later paired comparisons."""
        columns = {"user": self.users, "row": self.rows, "rank": self.ranks, "history_length": self.history_lengths}
        pl.DataFrame(columns).write_parquet(path)


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
        }


def rank_targets(ranker: Ranker, split: Split, targets: Targets, *, block: int | None = None) -> RankedTargets:
    """Rank each target among all items of the catalog, from everything that its user did before it.

    Args:
        ranker: gives the scores.
        split: holds the events.
        targets: which of them to predict.
        block: histories scored at a time; by default as many as keep memory flat.

    Raises:
        EvaluationError: there are no targets, a score is not finite, or the ranker scores too few items.
    """
    if not len(targets):
        raise EvaluationError("there are no targets to rank", remedy="use another split, or longer histories")
    histories = Histories.before(split.interactions, targets)
    rows = split.interactions.rows[targets.positions]
    ranks = np.empty(len(targets), dtype=np.float64)
    # how large the catalog is shows in the first scores only, so the first block is a small one
    start, num_items, step = 0, 0, min(block or 16, len(targets))
    while start < len(targets):
        stop = min(start + step, len(targets))
        ranks[start:stop], num_items = _rank_block(ranker, histories.block(start, stop), rows[start:stop])
        start, step = stop, block or users_at_once(num_items)
    return RankedTargets(
        users=split.interactions.users.gather(targets.users),
        rows=rows,
        ranks=ranks,
        history_lengths=histories.lengths,
        num_items=num_items,
    )


def _rank_block(ranker: Ranker, histories: Histories, rows: np.ndarray) -> tuple[np.ndarray, int]:
    scores_BV = ranker.scores(histories)
    num_items = scores_BV.shape[1]
    largest = int(max(rows.max(), histories.rows.max(initial=0)))
    if largest >= num_items:
        raise EvaluationError(
            f"the ranker scores {num_items:,} items, but the events reach catalog row {largest:,}",
            remedy="fit the baseline, or encode the index, on the catalog that these events belong to",
        )
    targets_B = torch.from_numpy(rows).to(scores_BV.device)
    return mean_ranks(scores_BV, targets_B, hidden_pairs(histories, scores_BV.device)).cpu().numpy(), num_items


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
        ranker: a :class:`ModelRanker`, a baseline, or anything else that scores. What its ``settings`` attribute holds, if
            it has one, is shown beside its numbers.
        split: which events are predicted.
        catalog: the items; says which modalities a target has.
        name: what to call the ranker in tables.
        part: the targets; the test part is for final numbers alone.
        settings: cutoffs and intervals.

    Raises:
        EvaluationError: there is nothing to rank, or a score is not finite.
    """
    settings = settings or EvaluationSettings()
    ranked = rank_targets(ranker, split, getattr(split, part))
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
    return Evaluation(name, getattr(ranker, "settings", {}), choices, settings, overall, tuple(results), ranked)


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


def sampled(targets: Targets, limit: int | None, generator: np.random.Generator) -> Targets:
    """At most ``limit`` of the targets, drawn without replacement, in their order; all of them when it is None."""
    if limit is None or len(targets) <= limit:
        return targets
    chosen = np.sort(generator.choice(len(targets), size=limit, replace=False))
    return Targets(targets.users[chosen], targets.positions[chosen])


def validation_metrics(
    ranker: Ranker, split: Split, *, limit: int | None = None, seed: int = 0, cutoffs: Sequence[int] = (10,)
) -> dict[str, float]:
    """Mean metrics on the validation targets; what training stops by and baselines are tuned on.

    Args:
        ranker: gives the scores.
        split: its validation targets are ranked, its test targets are not touched.
        limit: rank a sample of this many; the same one for the same seed, so that epochs can be compared.
        seed: of the sample.
        cutoffs: the values of k.
    """
    targets = sampled(split.validation, limit, np.random.default_rng(seed))
    ranked = rank_targets(ranker, split, targets)
    return {name: float(values.mean()) for name, values in metric_columns(ranked.ranks, cutoffs).items()}
