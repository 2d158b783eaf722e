"""Answering: several questions to one state of a catalog, those that ask alike together.

Axes: B users, n results, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from transrec.data.catalog import Catalog, Item
from transrec.data.histories import Histories
from transrec.data.times import UNKNOWN_TIME, whole_seconds
from transrec.errors import UnknownItemError
from transrec.model import TransRec
from transrec.retrieval.diversity import pool_of, spread
from transrec.retrieval.encoding import encode_given
from transrec.retrieval.explaining import Reason, nearest_of, view_shares, views_of
from transrec.retrieval.filters import allowed_by
from transrec.retrieval.index import CatalogIndex, Queries, encode_histories
from transrec.retrieval.live import Snapshot
from transrec.retrieval.ranking import TopK
from transrec.serving.request import Recommendation, Recommendations, Request


def answer(model: TransRec, now: Snapshot, requests: Sequence[Request], *, platform: int) -> list[Recommendations]:
    """The answers to some questions.

    Args:
        model: in evaluation mode.
        now: the state that is asked.
        requests: the questions.
        platform: which of the model's platforms it is.

    Raises:
        DataError: a filter cannot be used, or an item in a history cannot be read.
        UnknownItemError: a history holds nothing that is known.
    """
    read = _read(model, now, requests, platform)
    alike: dict[tuple[str | None, float], list[int]] = {}
    for place, request in enumerate(requests):
        alike.setdefault((request.where, request.popularity), []).append(place)
    answers: dict[int, Recommendations] = {}
    for (where, popularity), places in alike.items():
        index = now.index.weighing(popularity)
        allowed = None if where is None else allowed_by(where, now.catalog)
        wanted = max(_wanted(requests[place]) for place in places)
        queries = read.queries_of(places)
        hidden = Histories.from_lists([read.hidden[place] for place in places])
        if now.approximate is None:
            found = index.search(queries, wanted, hidden, allowed)
        else:
            found = now.approximate.search(index, queries, wanted, hidden, allowed)
        for user, place in enumerate(places):
            own = TopK(found.rows_BK[user : user + 1], found.scores_BK[user : user + 1])
            own = _listed(index, own, requests[place])
            reasons = None
            if requests[place].explain:
                reasons = _reasons(
                    _Asked(model, now.catalog, index, platform), queries.block(user, user + 1), own, read, place
                )
            answers[place] = Recommendations(named(now.catalog, own, reasons), read.used[place], read.unknown[place])
    return [answers[place] for place in range(len(requests))]


def named(catalog: Catalog, found: TopK, reasons: Sequence[Reason] | None = None) -> tuple[Recommendation, ...]:
    """A list of rows as a list of items.

    Args:
        catalog: of the rows.
        found: of one user.
        reasons: of each item; None where nobody asks.
    """
    rows, scores = _real(found)
    titles = catalog.titles(rows) if len(rows) else []
    why: Sequence[Reason | None] = [None] * len(rows) if reasons is None else reasons
    return tuple(
        Recommendation(catalog.ids[row], title, float(score), reason)
        for row, title, score, reason in zip(rows.tolist(), titles, scores.tolist(), why, strict=True)
    )


# ---- histories --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Histories:
    """The histories of some questions, read.

    Attributes:
        queries: of all of them.
        used: ids that were read, by question.
        unknown: ids that were not.
        hidden: rows that must not be recommended.
        vectors: of what was read, (L, D) by question.
    """

    queries: Queries
    used: list[tuple[str, ...]]
    unknown: list[tuple[str, ...]]
    hidden: list[np.ndarray]
    vectors: list[Tensor]

    def queries_of(self, places: Sequence[int]) -> Queries:
        """Those of some of the questions."""
        offsets = self.queries.histories.offsets
        rows = [self.queries.histories.rows[offsets[place] : offsets[place + 1]] for place in places]
        return Queries(self.queries.vectors[list(places)], Histories.from_lists(rows))


def _read(model: TransRec, now: Snapshot, requests: Sequence[Request], platform: int) -> _Histories:
    """The histories under the model; items that are given by content are encoded, all of them together."""
    size = len(now.catalog)
    given: list[Item] = [item for request in requests for item in request.history if isinstance(item, Item)]
    beside_nW = encode_given(model, _distinct(given), platform) if given else None
    at = size
    rows, when, used, unknown, hidden = [], [], [], [], []
    for request in requests:
        ids = [item.id if isinstance(item, Item) else item for item in request.history]
        inline = np.array([isinstance(item, Item) for item in request.history], dtype=bool)
        own = now.catalog.rows(ids)
        in_catalog = own[own >= 0]
        own[inline] = at + np.arange(inline.sum())
        at += int(inline.sum())
        known = own >= 0
        if not known.any():
            raise _nothing_known(ids, now.catalog)
        rows.append(own[known])
        told = request.when
        when.append(np.full(int(known.sum()), UNKNOWN_TIME) if told is None else whole_seconds(told[known]))
        used.append(tuple(item for item, there in zip(ids, known, strict=True) if there))
        unknown.append(tuple(item for item, there in zip(ids, known, strict=True) if not there))
        excluded = now.catalog.rows(request.exclude)
        hidden.append(np.concatenate([excluded[excluded >= 0], in_catalog[:0] if request.seen else in_catalog]))
    histories = Histories.from_lists(rows)
    if any(request.times is not None for request in requests):
        histories = Histories(histories.rows, histories.offsets, np.concatenate(when))
    vectors = [
        now.index.vectors.take(torch.from_numpy(own).to(now.index.device), beside_nW) if asked.explain else torch.empty(0)
        for own, asked in zip(rows, requests, strict=True)
    ]
    return _Histories(encode_histories(model, now.index, histories, beside_nW), used, unknown, hidden, vectors)


def _distinct(items: Sequence[Item]) -> list[Item]:
    """The items with names of their own: two histories may call different things alike."""
    return [Item(str(place), item.text, item.image, item.vectors) for place, item in enumerate(items)]


def _nothing_known(ids: Sequence[str], catalog: Catalog) -> UnknownItemError:
    if not ids:
        return UnknownItemError("the history is empty", remedy=f"name items: {', '.join(map(repr, catalog.ids[:3]))}, ...")
    return UnknownItemError(
        f"none of the {len(ids)} ids in the history is in the catalog, for example {ids[0]!r}",
        remedy=f"ids look like {', '.join(map(repr, catalog.ids[:3]))}",
    )


# ---- lists ------------------------------------------------------------------------------------------------------------


def _wanted(request: Request) -> int:
    return pool_of(request.k) if request.diversity else request.k


def _real(found: TopK) -> tuple[np.ndarray, np.ndarray]:
    """Rows and scores of one user without the empty places."""
    rows, scores = found.rows_BK[0].cpu().numpy(), found.scores_BK[0].cpu().numpy()
    return rows[rows >= 0], scores[rows >= 0]


def _listed(index: CatalogIndex, found: TopK, request: Request) -> TopK:
    """The ``k`` of a longer list that the question wants."""
    if not request.diversity:
        return TopK(found.rows_BK[:, : request.k], found.scores_BK[:, : request.k])
    real = int((found.rows_BK[0] >= 0).sum())
    pool = min(real, pool_of(request.k))
    rows_n, scores_n = found.rows_BK[0, :pool], found.scores_BK[0, :pool]
    chosen = spread(scores_n, index.vectors.take(rows_n), request.k, request.diversity)
    return TopK(rows_n[chosen][None], scores_n[chosen][None])


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What reasons are found in."""

    model: TransRec
    catalog: Catalog
    index: CatalogIndex
    platform: int


@torch.no_grad()
def _reasons(asked: _Asked, query: Queries, found: TopK, read: _Histories, place: int) -> list[Reason]:
    """Why each item of one list has its score."""
    rows, scores = _real(found)
    if not len(rows):
        return []
    rows_n, scorer = torch.from_numpy(rows).to(asked.index.device), asked.model.scorer
    vectors_nD = asked.index.vectors.take(rows_n)
    content = scorer(query.vectors, asked.index.vectors.taken_by(scorer, rows_n))[0].float().tolist()
    views = views_of(asked.model, asked.catalog.items(rows), asked.platform)
    shares = view_shares(asked.model, query.vectors, views)
    reasons = []
    for item in range(len(rows)):
        nearest = nearest_of(vectors_nD[item], read.vectors[place], read.used[place])
        # what the model can make nothing of has a place at the end of the list and no score of its own
        counts = float(scores[item]) - content[item] if shares[item] else 0.0
        reasons.append(Reason(content[item], counts, shares[item], nearest))
    return reasons
