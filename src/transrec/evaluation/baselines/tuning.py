"""Choosing each baseline's settings on the validation targets, before the test targets are opened.

Axes: B histories, V items in the catalog.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import scipy.sparse as sp

from transrec.data.histories import Histories
from transrec.data.splits import Split, Targets
from transrec.errors import EvaluationError
from transrec.evaluation.baselines.ease import Ease
from transrec.evaluation.baselines.knn import ItemKnn
from transrec.evaluation.baselines.markov import Markov, count_followers
from transrec.evaluation.baselines.matrices import sparse_mean_ranks, training_histories
from transrec.evaluation.baselines.popularity import Popularity
from transrec.evaluation.metrics import ndcg
from transrec.evaluation.ranks import Ranker, rank_targets, sampled

BaselineName = Literal["popularity", "markov", "ease", "knn"]

EASE_LIMIT = 15_000
"""Above this many items seen in training, item-kNN stands in for EASE, which inverts a matrix of that side (0.9 GB here)."""

TUNING_TARGETS = 5_000
"""At most this many validation targets are ranked for each setting tried."""

SPARSE_BLOCK = 1024
"""Histories that a sparse baseline scores at a time while it is tuned."""

WINDOWS = (1, 2, 3, 5, 10)
POWERS = (0.0, 0.1, 0.25, 0.5, 1.0)
VOTERS = (1, 2, 3, 5)
FADES = (0.0, 1.0)
RIDGES = (4.0, 20.0, 100.0, 500.0, 2500.0)
NEIGHBOURS = (20, 100, 1000)
SHRINKAGES = (0.0, 10.0, 50.0, 200.0)


class SparseBaseline(Ranker, Protocol):
    """A baseline whose scores are mostly 0 and whose ties are decided by popularity."""

    @property
    def counts_V(self) -> np.ndarray:
        """Training events of each item."""

    def sparse_scores(self, histories: Histories) -> sp.csr_array:
        """Scores, at least 0, of shape (B, V)."""


@dataclass(frozen=True, slots=True, eq=False)
class TunedBaseline:
    """A baseline with the settings that did best on validation.

    Attributes:
        name: what to call it in tables.
        ranker: fitted on training events.
        validation_ndcg: NDCG@10 on the validation targets that it was chosen by.
        tried: how many settings were compared.
    """

    name: str
    ranker: Ranker
    validation_ndcg: float
    tried: int


def tuned_baselines(
    split: Split,
    num_items: int,
    *,
    which: Sequence[BaselineName] = ("popularity", "markov", "ease"),
    seed: int = 0,
) -> list[TunedBaseline]:
    """Fit baselines on training events and choose their settings by NDCG@10 on validation targets.

    Args:
        split: its test targets are not touched.
        num_items: V.
        which: the baselines; ``"ease"`` becomes item-kNN where training saw more than ``EASE_LIMIT`` items.
        seed: of the sample of validation targets, where there are more than ``TUNING_TARGETS``.

    Raises:
        EvaluationError: there is no such baseline.
    """
    targets = sampled(split.validation, TUNING_TARGETS, np.random.default_rng(seed))
    tuners: dict[str, Callable[[Split, int, Targets], TunedBaseline]] = {
        "popularity": _popularity,
        "markov": _markov,
        "ease": _ease,
        "knn": _knn,
    }
    unknown = [name for name in which if name not in tuners]
    if unknown:
        raise EvaluationError(f"there is no baseline {unknown[0]!r}", remedy=f"known are {', '.join(tuners)}")
    return [tuners[name](split, num_items, targets) for name in which]


def _popularity(split: Split, num_items: int, targets: Targets) -> TunedBaseline:
    ranker = Popularity.fit(split, num_items)
    return TunedBaseline("popularity", ranker, _ndcg(ranker, split, targets), tried=1)


def _markov(split: Split, num_items: int, targets: Targets) -> TunedBaseline:
    counts_V = split.train_counts(num_items)
    histories = training_histories(split)

    def candidates() -> Iterator[Markov]:
        for window, fade in itertools.product(WINDOWS, FADES):
            follows = count_followers(histories, num_items, window=window, fade=fade)
            for power, voters in itertools.product(POWERS, VOTERS):
                yield Markov(follows, counts_V, window, power, voters, fade)

    return _best_sparse("Markov chain", candidates(), split, targets)


def _knn(split: Split, num_items: int, targets: Targets) -> TunedBaseline:
    def candidates() -> Iterator[ItemKnn]:
        for shrinkage in SHRINKAGES:
            widest = ItemKnn.fit(split, num_items, neighbours=max(NEIGHBOURS), shrinkage=shrinkage)
            for neighbours in NEIGHBOURS:
                yield widest.narrowed(neighbours)

    return _best_sparse("item-kNN", candidates(), split, targets)


def _ease(split: Split, num_items: int, targets: Targets) -> TunedBaseline:
    if np.count_nonzero(split.train_counts(num_items)) > EASE_LIMIT:
        return _knn(split, num_items, targets)
    # a fit is slow and quality has one hump over the ridge, so it is climbed from the middle instead of tried everywhere
    place, tried = len(RIDGES) // 2, 1
    best = Ease.fit(split, num_items, ridge=RIDGES[place])
    best_ndcg = _ndcg(best, split, targets)
    for step in (-1, 1):
        start = place
        while 0 <= place + step < len(RIDGES):
            candidate = Ease.fit(split, num_items, ridge=RIDGES[place + step])
            candidate_ndcg = _ndcg(candidate, split, targets)
            tried += 1
            if candidate_ndcg <= best_ndcg:
                break
            best, best_ndcg, place = candidate, candidate_ndcg, place + step
        if place != start:
            break
    return TunedBaseline("EASE", best, best_ndcg, tried)


def _best_sparse(name: str, candidates: Iterator[SparseBaseline], split: Split, targets: Targets) -> TunedBaseline:
    histories = Histories.before(split.interactions, targets)
    rows = split.interactions.rows[targets.positions]
    best: SparseBaseline | None = None
    best_ndcg, tried = -1.0, 0
    for candidate in candidates:
        ranks = []
        for start in range(0, len(targets), SPARSE_BLOCK):
            block = histories.block(start, min(start + SPARSE_BLOCK, len(targets)))
            scores = candidate.sparse_scores(block)
            ranks.append(sparse_mean_ranks(scores, rows[start : start + SPARSE_BLOCK], block, candidate.counts_V))
        candidate_ndcg = float(ndcg(np.concatenate(ranks), 10).mean())
        tried += 1
        if candidate_ndcg > best_ndcg:
            best, best_ndcg = candidate, candidate_ndcg
    assert best is not None, "a grid has at least one setting"
    return TunedBaseline(name, best, best_ndcg, tried)


def _ndcg(ranker: Ranker, split: Split, targets: Targets) -> float:
    return float(ndcg(rank_targets(ranker, split, targets).ranks, 10).mean())
