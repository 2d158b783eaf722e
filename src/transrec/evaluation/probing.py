"""Probing: how much of something else than the next item user vectors tell, with few labels and a linear map.

Axes: E users, N users with a label, n labels that are known, D width, C values of a label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from transrec.data.catalog import Catalog
from transrec.data.histories import Histories
from transrec.data.splits import Split
from transrec.errors import EvaluationError
from transrec.evaluation.lists import USERS_AT_ONCE, groups_of
from transrec.evaluation.protocol import Part
from transrec.evaluation.ranks import ModelRanker
from transrec.retrieval.index import encode_histories
from transrec.settings import Listed, Settings

RIDGE = 10.0
"""The penalty of the map's squares, of vectors whose every number has the variance 1."""


class ProbeSettings(Settings):
    """Whether user vectors are probed, and by what."""

    column: str = ""
    """A column of the catalog, for example a category: from a user's vector a linear map tells the value of the item that
    comes next. Not done when empty."""
    labels: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Listed] = (50, 500)
    """Of how many users the value is known to the map; all others are asked."""
    draws: int = Field(10, ge=1)
    """How often those users are drawn."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a linear map tells from so many labels, as the share of the other users of whom it is right.

    Attributes:
        column: whose values are told.
        users: N.
        values: C.
        most_frequent: the share of the most frequent value.
        accuracy: by what the map reads (``"users"``, the run's user vectors; ``"items"``, the mean of the items of each
            history), and by the number of labels, the share of each draw.
    """

    column: str
    users: int
    values: int
    most_frequent: float
    accuracy: Mapping[str, Mapping[int, list[float]]]


def probe(
    ranker: ModelRanker, split: Split, catalog: Catalog, settings: ProbeSettings, *, part: Part = "test", seed: int = 0
) -> Probed:
    """Linear probes of the users before each target of a split; what a few labels are worth to them.

    Beside the run's user vectors stands the mean of the vectors of each history's items, which has learned nothing of
    histories: what it lacks is what the user encoder knows.

    Args:
        ranker: a run over the catalog.
        split: whose targets' histories and items.
        catalog: the items.
        settings: which column, and how many labels.
        part: the targets.
        seed: of the draws; the same users are drawn for both.

    Raises:
        EvaluationError: the column is not there, has one value, or fewer users have a label than are to be known.
    """
    labels_V = groups_of(catalog, settings.column, where="--probe.column")
    targets = getattr(split, part)
    labels_E = labels_V[split.interactions.rows[targets.positions]]
    labelled = np.flatnonzero(labels_E >= 0)
    labels_N = np.unique(labels_E[labelled], return_inverse=True)[1]
    sizes_C = np.bincount(labels_N)
    if len(sizes_C) < 2:
        raise EvaluationError(
            f"there is nothing to tell: the column {settings.column!r} has {len(sizes_C)} value among the next items",
            where="--probe.column",
            remedy=f"the catalog has {', '.join(catalog.columns)}",
        )
    if max(settings.labels) >= len(labels_N):
        raise EvaluationError(
            f"{max(settings.labels):,} labels are to be known and others to be told, and {len(labels_N):,} users have one",
            where="--probe.labels",
            remedy=f"ask for fewer, for example --probe.labels {max(2, len(labels_N) // 10)}",
        )
    histories = Histories.before(split.interactions, targets, times=ranker.reads_times)
    blocks = [_read(ranker, histories.block(at, at + USERS_AT_ONCE)) for at in range(0, len(histories), USERS_AT_ONCE)]
    users, items = (np.concatenate(each)[labelled] for each in zip(*blocks, strict=True))
    orders = [np.random.default_rng([seed, draw]).permutation(len(labels_N)) for draw in range(settings.draws)]
    accuracy = {
        name: {known: [told(read_ND, labels_N, order[:known]) for order in orders] for known in settings.labels}
        for name, read_ND in (("users", users), ("items", items))
    }
    return Probed(settings.column, len(labels_N), len(sizes_C), float(sizes_C.max() / sizes_C.sum()), accuracy)


def told(vectors_ND: np.ndarray, labels_N: np.ndarray, known_n: np.ndarray) -> float:
    """The share of the users that are not known of whom ridge regression on those that are tells the right value.

    Args:
        vectors_ND: of all users.
        labels_N: their values as numbers from 0.
        known_n: which of them are known.
    """
    spread_D = vectors_ND.std(axis=0)
    vectors_ND = (vectors_ND - vectors_ND.mean(axis=0)) / np.where(spread_D > 0, spread_D, 1.0)
    asked = np.ones(len(labels_N), dtype=bool)
    asked[known_n] = False
    known_nD = vectors_ND[known_n]
    targets_nC = np.eye(int(labels_N.max()) + 1)[labels_N[known_n]]
    shares_C = targets_nC.mean(axis=0)
    # in the form of n equations, for there are fewer labels than numbers
    gram_nn = known_nD @ known_nD.T + RIDGE * np.eye(len(known_nD))
    weights_DC = known_nD.T @ np.linalg.solve(gram_nn, targets_nC - shares_C)
    return float((np.argmax(vectors_ND[asked] @ weights_DC + shares_C, axis=1) == labels_N[asked]).mean())


def _read(ranker: ModelRanker, histories: Histories) -> tuple[np.ndarray, np.ndarray]:
    """User vectors, several interests side by side, and the mean of each history's items; zeros where it is empty."""
    users = encode_histories(ranker.model, ranker.index, histories).vectors.flatten(1)
    device = ranker.index.device
    rows, starts = (torch.from_numpy(numbers).to(device) for numbers in (histories.rows, histories.offsets[:-1]))
    means = F.embedding_bag(rows, ranker.index.vectors_VD.float(), starts, mode="mean")
    return users.double().cpu().numpy(), means.double().cpu().numpy()
