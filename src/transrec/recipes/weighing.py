"""Weighing popularity: what a prior learned of it in the past is set by what validation, which comes later, says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from transrec.evaluation.ranks import ModelRanker, validation_metrics
from transrec.model import TransRec
from transrec.prior import CountPrior
from transrec.recipes.platform import Platform
from transrec.retrieval.index import CatalogIndex

FACTORS = (0.8, 0.6, 0.4, 0.2, 0.0)
"""What the learned worth of popularity is multiplied by, tried in this order."""
ADDED = (0.5, 1.0, 1.5, 2.0)
"""What is added to the score of items that nobody has touched, tried in this order, or else taken off in this order."""


@torch.no_grad()
def weigh_popularity(
    model: TransRec, platforms: Sequence[Platform], *, metric: str, users: int | None
) -> tuple[float, Mapping[str, float]]:
    """Weigh popularity, and what is new, by the validation targets; the weights of the prior are changed.

    Popularity is counted in the past. Later some of it has faded and some items are new, so what was worth most while
    training is too much afterwards. The validation targets come later than training, as what the model is used for will; two
    numbers are set by them, each as long as it helps.

    Args:
        model: has a prior.
        platforms: whose validation targets decide; the mean over them.
        metric: the validation metric.
        users: at most so many of each are ranked.

    Returns:
        the metric that is reached, and what was chosen: the factor, and what was added.
    """
    prior = model.prior
    assert prior is not None
    rankers = [(ModelRanker(model, CatalogIndex.encode(model, p.store, p.counts)), p.split) for p in platforms]

    def reached() -> float:
        return sum(validation_metrics(ranker, split, limit=users)[metric] for ranker, split in rankers) / len(rankers)

    best = reached()
    learned, unseen = prior.popularity.clone(), prior.unseen.clone()
    best, factor = _climbed(1.0, best, FACTORS, lambda value: _set(prior, learned * value, unseen), reached)
    weighed = prior.popularity.clone()
    best, added = _climbed(0.0, best, ADDED, lambda value: _set(prior, weighed, unseen + value), reached)
    if not added:
        less = [-value for value in ADDED]
        best, added = _climbed(0.0, best, less, lambda value: _set(prior, weighed, unseen + value), reached)
    return best, {"popularity": factor, "unseen": added}


def _climbed(
    start: float, best: float, tried: Sequence[float], apply: Callable[[float], None], reached: Callable[[], float]
) -> tuple[float, float]:
    """Go along the values as long as it helps, and leave the best one applied."""
    chosen = start
    for value in tried:
        apply(value)
        found = reached()
        if found <= best:
            break
        best, chosen = found, value
    apply(chosen)
    return best, chosen


def _set(prior: CountPrior, popularity: torch.Tensor, unseen: torch.Tensor) -> None:
    prior.popularity.copy_(popularity)
    prior.unseen.copy_(unseen)
