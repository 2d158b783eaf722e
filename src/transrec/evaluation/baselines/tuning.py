"""Choosing each baseline's settings on the validation targets, before the test targets are opened.

Axes: B histories, V items in the catalog.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from transrec.data.cooccurrence import count_followers, training_histories
from transrec.data.splits import Split, Targets
from transrec.errors import EvaluationError
from transrec.evaluation.baselines.ease import Ease
from transrec.evaluation.baselines.ials import Ials
from transrec.evaluation.baselines.knn import ItemKnn
from transrec.evaluation.baselines.markov import Markov
from transrec.evaluation.baselines.popularity import Popularity
from transrec.evaluation.baselines.search import TunedBaseline, best_sparse, climbed, mean_ndcg
from transrec.evaluation.baselines.similarity import ContentSimilarity
from transrec.evaluation.ranks import sampled

BaselineName = Literal["popularity", "markov", "ease", "knn", "ials", "similarity"]

EASE_LIMIT = 15_000
"""Above this many items seen in training, item-kNN stands in for EASE, which inverts a matrix of that side (0.9 GB here)."""

TUNING_TARGETS = 5_000
"""At most this many validation targets are ranked for each setting tried."""

WINDOWS = (1, 2, 3, 5, 10)
POWERS = (0.0, 0.1, 0.25, 0.5, 1.0)
VOTERS = (1, 2, 3, 5)
FADES = (0.0, 1.0)
RIDGES = (4.0, 20.0, 100.0, 500.0, 2500.0)
NEIGHBOURS = (20, 100, 1000)
SHRINKAGES = (0.0, 10.0, 50.0, 200.0)
FACTORS = (64, 128, 256)
UNOBSERVED = (0.01, 0.03, 0.1, 0.3, 1.0)
PULLS = (1e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
"""Of iALS, ``unobserved`` times ``penalty``: good settings lie along a line of one product, which a climb has to cross."""
LASTS = (1, 2, 3, 5, 10, 20)
SIMILARITY_FADES = (0.0, 0.5, 1.0, 2.0)
WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """What a tuner is given.

    Attributes:
        split: its training events are fitted, its test targets are not touched.
        num_items: V.
        targets: of validation, to choose by.
        vectors: by modality, (V, D); may be empty.
        seed: of fresh factors.
    """

    split: Split
    num_items: int
    targets: Targets
    vectors: Mapping[str, np.ndarray]
    seed: int


def tuned_baselines(
    split: Split,
    num_items: int,
    *,
    which: Sequence[BaselineName] = ("popularity", "markov", "ease"),
    vectors: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
) -> list[TunedBaseline]:
    """Fit baselines on training events and choose their settings by NDCG@10 on validation targets.

    Args:
        split: its test targets are not touched.
        num_items: V.
        which: the baselines; ``"ease"`` becomes item-kNN where training saw more than ``EASE_LIMIT`` items.
        vectors: by modality, a vector for every catalog row, (V, D), with zeros for an item that lacks the modality; what
            ``"similarity"`` compares, not needed without it.
        seed: of the sample of validation targets, where there are more than ``TUNING_TARGETS``, and of fresh factors.

    Raises:
        EvaluationError: there is no such baseline, or it lacks its vectors.
    """
    targets = sampled(split.validation, TUNING_TARGETS, np.random.default_rng(seed))
    task = _Task(split, num_items, targets, vectors or {}, seed)
    tuners: dict[str, Callable[[_Task], TunedBaseline]] = {
        "popularity": _popularity,
        "markov": _markov,
        "ease": _ease,
        "knn": _knn,
        "ials": _ials,
        "similarity": _similarity,
    }
    unknown = [name for name in which if name not in tuners]
    if unknown:
        raise EvaluationError(f"there is no baseline {unknown[0]!r}", remedy=f"known are {', '.join(tuners)}")
    return [tuners[name](task) for name in which]


def _popularity(task: _Task) -> TunedBaseline:
    ranker = Popularity.fit(task.split, task.num_items)
    return TunedBaseline("popularity", ranker, mean_ndcg(ranker, task.split, task.targets), tried=1)


def _markov(task: _Task) -> TunedBaseline:
    counts_V = task.split.train_counts(task.num_items)
    histories = training_histories(task.split)

    def candidates() -> Iterator[Markov]:
        for window, fade in itertools.product(WINDOWS, FADES):
            follows = count_followers(histories, task.num_items, window=window, fade=fade)
            for power, voters in itertools.product(POWERS, VOTERS):
                yield Markov(follows, counts_V, window, power, voters, fade)

    return best_sparse("Markov chain", candidates(), task.split, task.targets)


def _knn(task: _Task) -> TunedBaseline:
    def candidates() -> Iterator[ItemKnn]:
        for shrinkage in SHRINKAGES:
            widest = ItemKnn.fit(task.split, task.num_items, neighbours=max(NEIGHBOURS), shrinkage=shrinkage)
            for neighbours in NEIGHBOURS:
                yield widest.narrowed(neighbours)

    return best_sparse("item-kNN", candidates(), task.split, task.targets)


def _ease(task: _Task) -> TunedBaseline:
    if np.count_nonzero(task.split.train_counts(task.num_items)) > EASE_LIMIT:
        return _knn(task)

    def fit(settings: Mapping[str, float]) -> Ease:
        return Ease.fit(task.split, task.num_items, ridge=settings["ridge"])

    return climbed("EASE", {"ridge": RIDGES}, fit, task.split, task.targets)


def _ials(task: _Task) -> TunedBaseline:
    def fit(settings: Mapping[str, float]) -> Ials:
        return Ials.fit(
            task.split,
            task.num_items,
            factors=int(settings["factors"]),
            unobserved=settings["unobserved"],
            penalty=round(settings["pull"] / settings["unobserved"], 9),
            generator=torch.Generator().manual_seed(task.seed),
        )

    axes = {"unobserved": UNOBSERVED, "pull": PULLS, "factors": FACTORS}
    return climbed("iALS", axes, fit, task.split, task.targets)


def _similarity(task: _Task) -> TunedBaseline:
    whole = ContentSimilarity.fit(task.split, task.vectors)

    def alone(name: str) -> float:
        return mean_ndcg(replace(whole, weights={name: 1.0}), task.split, task.targets)

    # the best modality weighs 1, the others at most as much
    best = max(whole.units, key=alone) if len(whole.units) > 1 else next(iter(whole.units))

    def fit(settings: Mapping[str, float]) -> ContentSimilarity:
        weights = {name: settings.get(f"{name} weight", 1.0) for name in whole.units}
        return replace(whole, last=int(settings["last"]), fade=settings["fade"], weights=weights)

    others = {f"{name} weight": WEIGHTS for name in whole.units if name != best}
    axes = {"last": LASTS, "fade": SIMILARITY_FADES, **others}
    return climbed("content similarity", axes, fit, task.split, task.targets)
