"""Searching for a baseline's settings: all of a grid where trying is cheap, else climbing from its middle.

Axes: B histories, V items in the catalog.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from transrec.data.histories import Histories
from transrec.data.splits import Split, Targets
from transrec.evaluation.baselines.matrices import sparse_mean_ranks
from transrec.evaluation.metrics import ndcg
from transrec.evaluation.ranks import Ranker, rank_targets

SPARSE_BLOCK = 1024
"""Histories that a sparse baseline scores at a time while it is tuned."""


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


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where a climb is: the index on each axis, and the ranker there with its NDCG@10."""

    at: Mapping[str, int]
    ranker: Ranker
    ndcg: float


def best_sparse(name: str, candidates: Iterator[SparseBaseline], split: Split, targets: Targets) -> TunedBaseline:
    """The best of all these candidates, the first of equal ones.

    Args:
        name: of the baseline.
        candidates: fitted under one setting each.
        split: holds the events.
        targets: to choose by.
    """
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


def climbed(
    name: str,
    axes: Mapping[str, Sequence[float]],
    fit: Callable[[Mapping[str, float]], Ranker],
    split: Split,
    targets: Targets,
) -> TunedBaseline:
    """A ranker under settings that no step along one axis makes better, found from the middle of each.

    One axis after the other is climbed, until none leads higher. Nothing is fitted twice, and no more than two rankers are
    held at a time. Where quality has one hump over the settings, give or take the noise of the targets, little is lost
    against trying everything.

    Args:
        name: of the baseline.
        axes: by setting, what to choose among, in order.
        fit: makes the ranker under one value for each setting.
        split: holds the events.
        targets: to choose by.
    """
    known: set[tuple[int, ...]] = set()

    def tried(at: Mapping[str, int]) -> _Place:
        known.add(tuple(at.values()))
        ranker = fit({axis: axes[axis][index] for axis, index in at.items()})
        return _Place(at, ranker, mean_ndcg(ranker, split, targets))

    def higher(than: _Place, axis: str, step: int) -> _Place | None:
        at = {**than.at, axis: than.at[axis] + step}
        if not 0 <= at[axis] < len(axes[axis]) or tuple(at.values()) in known:
            return None
        place = tried(at)
        return place if place.ndcg > than.ndcg else None

    best = tried({axis: len(values) // 2 for axis, values in axes.items()})
    climbing = True
    while climbing:
        climbing = False
        for axis, step in itertools.product(axes, (-1, 1)):
            while (found := higher(best, axis, step)) is not None:
                best, climbing = found, True
    return TunedBaseline(name, best.ranker, best.ndcg, len(known))


def mean_ndcg(ranker: Ranker, split: Split, targets: Targets) -> float:
    """NDCG@10 of a ranker on these targets."""
    return float(ndcg(rank_targets(ranker, split, targets).ranks, 10).mean())
