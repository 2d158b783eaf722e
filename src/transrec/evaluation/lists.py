"""Lists: what people would be shown, beyond whether the target is in it: how spread it is, and how much of a user it covers.

Axes: E users, K list length, D width, V items in the catalog.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from transrec.data.catalog import Catalog
from transrec.data.histories import Histories
from transrec.data.splits import Split
from transrec.errors import EvaluationError
from transrec.evaluation.intervals import Interval, bootstrap
from transrec.evaluation.protocol import EvaluationSettings, Part
from transrec.evaluation.ranks import ModelRanker
from transrec.retrieval.index import encode_histories
from transrec.settings import Settings

USERS_AT_ONCE = 1024


class ListMeasureSettings(Settings):
    """Whether lists are looked at as wholes, and how."""

    length: int = Field(0, ge=0)
    """K, the items of a list; 0: lists are not looked at."""
    groups: str = ""
    """A column of the catalog, for example a genre or a category, by which it is told how many of the groups in a user's
    history the list serves; none when empty."""


@dataclass(frozen=True, slots=True)
class ListsMeasured:
    """What the lists of all users of a split are like.

    Attributes:
        length: K.
        spread: MaxDiv@K, the mean over users of :func:`max_div`.
        shown: the share of the catalog that is in anybody's list.
        covered: the mean over users of :func:`group_coverage`; None where no groups are given.
        groups: the column that says them.
    """

    length: int
    spread: Interval
    shown: float
    covered: Interval | None
    groups: str


def measure_lists(
    ranker: ModelRanker,
    split: Split,
    catalog: Catalog,
    lists: ListMeasureSettings,
    *,
    part: Part = "test",
    settings: EvaluationSettings | None = None,
) -> ListsMeasured:
    """The lists that a run gives before each target of a split, without what the history holds.

    Args:
        ranker: a run over the catalog.
        split: whose targets' histories.
        catalog: the items, for groups.
        lists: of what length, and by which groups.
        part: the targets.
        settings: how sure the means are told to be.

    Raises:
        EvaluationError: the column of groups is not there, or the catalog is too small for such lists.
    """
    settings = settings or EvaluationSettings()
    groups_V = groups_of(catalog, lists.groups) if lists.groups else None
    targets = getattr(split, part)
    histories = Histories.before(split.interactions, targets, times=ranker.reads_times)
    rows_EK = np.concatenate(
        [_listed(ranker, histories.block(at, at + USERS_AT_ONCE), lists.length) for at in _starts(histories)]
    )
    if not (rows_EK >= 0).all():
        raise EvaluationError(
            f"the catalog of {len(catalog):,} items does not fill lists of {lists.length} for everybody",
            remedy="ask for shorter lists: --lists.length",
        )
    columns = [max_div(ranker.index.vectors.whole(), torch.from_numpy(rows_EK))]
    if groups_V is not None:
        columns.append(group_coverage(rows_EK, groups_V, histories))
    found = bootstrap(
        np.column_stack(columns),
        targets.users,
        np.random.default_rng(settings.seed),
        resamples=settings.resamples,
        confidence=settings.confidence,
    )
    shown = len(np.unique(rows_EK)) / len(catalog)
    return ListsMeasured(lists.length, found[0], shown, found[1] if groups_V is not None else None, lists.groups)


def max_div(vectors_VD: Tensor, rows_EK: Tensor) -> np.ndarray:
    """``sum_{i != j} || v_i - v_j ||^2`` over the items of each list, in both orders, float64 of shape (E,).

    MaxDiv@K of DPCML (Bao et al. 2022, arXiv 2209.15292), of vectors of length 1 here, so that runs can be compared: from 0
    to 2 K^2. For K unit vectors it is 2 K^2 - 2 || sum v ||^2.

    Args:
        vectors_VD: of the catalog.
        rows_EK: of each list, int64.
    """
    length = rows_EK.shape[1]
    found = []
    for some_nK in rows_EK.to(vectors_VD.device).split(USERS_AT_ONCE):
        units_nKD = F.normalize(vectors_VD[some_nK].double().cpu(), dim=-1)
        held_n = units_nKD.square().sum(dim=(1, 2))  # K, but for items without a vector
        found.append(2 * length * held_n - 2 * units_nKD.sum(dim=1).square().sum(dim=1))
    return torch.cat(found).numpy() if found else np.zeros(0)


def group_coverage(rows_EK: np.ndarray, groups_V: np.ndarray, histories: Histories) -> np.ndarray:
    """Of the groups that each history touches, the share that its list touches too, float64 of shape (E,).

    As many groups as the list is long can be served at most, so the share is of the least of both. A history without any
    group counts as served.

    Args:
        rows_EK: of each list.
        groups_V: the group of every item, int64; -1 for none.
        histories: of E users.
    """
    most = int(groups_V.max(initial=0)) + 1
    had = _pairs(histories.owners, groups_V[histories.rows], most)
    listed = _pairs(np.repeat(np.arange(len(rows_EK)), rows_EK.shape[1]), groups_V[rows_EK].ravel(), most)
    held_E = np.bincount(had // most, minlength=len(rows_EK))
    served_E = np.bincount(np.intersect1d(had, listed) // most, minlength=len(rows_EK))
    possible_E = np.minimum(held_E, rows_EK.shape[1])
    return np.where(possible_E > 0, served_E / np.maximum(possible_E, 1), 1.0)


def groups_of(catalog: Catalog, column: str, *, where: str = "--lists.groups") -> np.ndarray:
    """The group of every item as a number, int64 of shape (V,); -1 where the column is empty.

    Args:
        catalog: the items.
        column: says the groups.
        where: the setting that named it.

    Raises:
        EvaluationError: the catalog has no such column.
    """
    if column not in catalog.columns:
        raise EvaluationError(
            f"the catalog has no column {column!r}",
            where=where,
            remedy=f"it has {', '.join(catalog.columns) or 'none besides its content'}",
        )
    # as texts, for a column may hold lists
    values = [None if value is None else str(value) for value in catalog.column(column).to_list()]
    named = {value: number for number, value in enumerate(dict.fromkeys(value for value in values if value is not None))}
    return np.array([-1 if value is None else named[value] for value in values], dtype=np.int64)


def _listed(ranker: ModelRanker, histories: Histories, length: int) -> np.ndarray:
    queries = encode_histories(ranker.model, ranker.index, histories)
    return ranker.index.search(queries, length, histories).rows_BK.cpu().numpy()


def _starts(histories: Histories) -> range:
    return range(0, max(len(histories), 1), USERS_AT_ONCE)


def _pairs(owners: np.ndarray, groups: np.ndarray, most: int) -> np.ndarray:
    """The distinct pairs (owner, group) as one number each, without items that have no group."""
    inside = groups >= 0
    return np.unique(owners[inside] * most + groups[inside])
