"""Weighing popularity: what a prior learned of it in the past is set by what validation, which comes later, says.

Axes: B histories in a block, V items in the catalog, E validation targets, W weighings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import final

import numpy as np
import torch
from torch import Tensor

from transrec.data.histories import Histories
from transrec.evaluation.metrics import metric_columns
from transrec.evaluation.ranks import sampled
from transrec.evaluation.slices import TAIL
from transrec.model import TransRec
from transrec.prior import CountPrior
from transrec.recipes.platform import Platform
from transrec.retrieval.index import CatalogIndex, encode_histories, hidden_pairs, users_at_once
from transrec.retrieval.ranking import mean_ranks

FACTORS = (1.0, 0.75, 0.5, 0.25, 0.0)
"""What the learned worth of popularity is multiplied by."""
ADDED = (0.0, 0.5, 1.0, 1.5, -1.0)
"""What is added to the score of items that nobody has touched."""
RARE_ENOUGH = 100
"""Validation targets with few training events that there have to be before anything is given up for them."""


@final
@dataclass(frozen=True, slots=True)
class Weighing:
    """What was chosen for a model.

    Attributes:
        factor: what its worth of popularity was multiplied by.
        added: to the score of items that nobody has touched.
        reached: the validation metric with it.
        highest: the highest validation metric that was to be had.
    """

    factor: float
    added: float
    reached: float
    highest: float

    @property
    def settings(self) -> Mapping[str, float]:
        """What was chosen, and the metric with it, by name, for the run's card."""
        return {"popularity": self.factor, "unseen": self.added, "reached": self.reached}


@torch.no_grad()
def weigh_popularity(
    model: TransRec, platforms: Sequence[Platform], *, metric: str, users: int | None, allowance: float
) -> Weighing:
    """Weigh popularity, and what is new, by the validation targets; two weights of the prior are changed.

    Popularity is counted in the past. Later some of it has faded and some items are new, so what was worth most while
    training is too much afterwards. The validation targets come later than training, as what the model is used for will.
    Near the top the metric is flat, while rare items rank much better with less popularity: of all weighings that reach
    the highest metric but for the allowance, the one is taken that ranks rare targets best.

    Args:
        model: has a prior.
        platforms: whose validation targets decide; the mean over them.
        metric: the validation metric.
        users: at most so many of each are ranked.
        allowance: the share of the metric that may be given up for targets with at most four training events, if there are
            at least a hundred of them.
    """
    prior = model.prior
    assert prior is not None
    weighings = list(product(FACTORS, ADDED))
    values_W, rare_W, rare = np.zeros(len(weighings)), np.zeros(len(weighings)), 0
    for platform in platforms:
        values_WE, rare_E = _values(model, platform, weighings, metric=metric, users=users)
        values_W += values_WE.mean(axis=1) / len(platforms)
        rare_W += values_WE[:, rare_E].sum(axis=1)
        rare += int(rare_E.sum())
    chosen = choose(values_W, rare_W, weighings, allowance if rare >= RARE_ENOUGH else 0.0)
    factor, added = weighings[chosen]
    set_worth(prior, prior.popularity * factor, prior.unseen + added)
    return Weighing(factor, added, float(values_W[chosen]), float(values_W.max()))


def choose(values_W: np.ndarray, rare_W: np.ndarray, weighings: Sequence[tuple[float, float]], allowance: float) -> int:
    """Which weighing to take: within the allowance what ranks rare targets best; then all targets; then what is nearest.

    Args:
        values_W: the metric over all targets.
        rare_W: the sum of the metric over rare targets.
        weighings: what the popularity is multiplied by, and what is added to what is new.
        allowance: the share of the highest metric that may be given up.
    """
    within = np.flatnonzero(values_W >= (1 - allowance) * values_W.max())
    rare_W = rare_W if allowance else np.zeros_like(rare_W)
    distance_W = [1 - factor + abs(added) for factor, added in weighings]
    return int(min(within, key=lambda w: (-rare_W[w], -values_W[w], distance_W[w])))


def _values(
    model: TransRec, platform: Platform, weighings: Sequence[tuple[float, float]], *, metric: str, users: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The metric of every validation target under each weighing, (W, E), and which targets are rare, (E,)."""
    prior, counts, split = model.prior, platform.counts, platform.split
    assert prior is not None
    assert counts is not None
    index = CatalogIndex.encode(model, platform.store, counts)
    targets = sampled(split.validation, users, np.random.default_rng(0))
    histories = Histories.before(split.interactions, targets, times=model.users.reads_times)
    rows_E = split.interactions.rows[targets.positions]
    learned, unseen = prior.popularity.clone(), prior.unseen.clone()
    popularity_V = torch.as_tensor(counts.popularity_V, dtype=torch.float32, device=index.vectors_VD.device)
    ranks_WE = np.empty((len(weighings), len(rows_E)))
    step = users_at_once(len(index))
    for start in range(0, len(rows_E), step):
        block = histories.block(start, min(start + step, len(rows_E)))
        hidden_M2 = hidden_pairs(block, index.vectors_VD.device)
        targets_B = torch.from_numpy(rows_E[start : start + step]).to(index.vectors_VD.device)
        # all that does not depend on the weighing is computed once
        set_worth(prior, torch.zeros_like(learned), torch.zeros_like(unseen))
        rest_BV = index.scores(encode_histories(model, index, block))
        for place, (factor, added) in enumerate(weighings):
            set_worth(prior, learned * factor, unseen + added)
            scores_BV = index.unreadable_last(rest_BV + prior.base(popularity_V))
            ranks_WE[place, start : start + step] = mean_ranks(scores_BV, targets_B, hidden_M2).cpu()
    set_worth(prior, learned, unseen)
    values_WE = np.stack([metric_columns(ranks_E, (10,))[metric] for ranks_E in ranks_WE])
    return values_WE, counts.popularity_V[rows_E] <= TAIL


@torch.no_grad()
def set_worth(prior: CountPrior, popularity: Tensor, unseen: Tensor) -> None:
    """Set what popularity, and being touched by nobody, are worth: two numbers of shape ()."""
    prior.popularity.copy_(popularity)
    prior.unseen.copy_(unseen)
