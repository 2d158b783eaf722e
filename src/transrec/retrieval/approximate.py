"""Approximate search for millions of items (faiss, inverted lists): candidates are found fast and ranked by exact scores.

Axes: B users, V items in the catalog, S vectors that were written, n candidates, K list length or interests, D width.
"""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from transrec.data.histories import Histories
from transrec.errors import ModelError, RunError, require_extra
from transrec.retrieval.growing import ITEMS_AT_ONCE, ItemVectors
from transrec.retrieval.index import CatalogIndex
from transrec.retrieval.queries import KnownCounts, Queries
from transrec.retrieval.ranking import TopK

GOOD_RECALL = 0.95
FEWEST_PROBES = 4
SAMPLE_A_LIST = 64
"""Vectors by which the lists are found, for each of them."""
OVER = 10
"""So many times as many candidates are fetched as are wanted."""
POPULAR = 1000
"""So many of the items that counts like best are candidates always, where counts add something."""
FEW = 0.02
"""Where a filter leaves a smaller share of the items, all that it leaves are candidates."""

STATES = 4
"""What is made of a whole catalog is kept for so many states of it and weights of popularity."""

_INDEX, _SAID = "approximate.faiss", "approximate.json"


@final
@dataclass(frozen=True, slots=True, eq=False)
class ApproximateSearch:
    """Inverted lists over the vectors of a catalog, and how much they find.

    What is exact: the score of every item that is listed, filters, and what must not be shown. What is approximate: which
    items are looked at. These are the nearest by content in the lists that are searched, all that came after the lists were
    made, and, where counts add something, what tends to follow the history or is had with it, and the most popular items.
    When they do not fill a list, more are fetched, and in the end all are looked at.

    Attributes:
        lists: faiss's index over the vectors that there were.
        size: how many there were.
        probes: how many of the lists are searched.
        recall: the share of the exact best that was found when it was made.
        at: the length of the lists that were compared.
    """

    lists: Any
    size: int
    probes: int
    recall: float
    at: int
    _grounds: list[_Ground] = field(default_factory=list, repr=False)

    @classmethod
    def build(
        cls, index: CatalogIndex, queries: Queries, *, at: int = 10, lists: int | None = None, probes: int | None = None
    ) -> ApproximateSearch:
        """Make the lists and measure what they find; warns loudly where that is less than 95 %.

        Args:
            index: of the catalog.
            queries: by which recall is measured; those of a few hundred of the run's own users.
            at: recall at this length; what the users have done is hidden from them.
            lists: into how many the vectors are divided; 4 sqrt(V) when None.
            probes: how many of them are searched; when None, as many as recall needs.

        Raises:
            MissingExtraError: faiss is not installed.
            ModelError: the scorer goes neither by direction nor by inner product.
        """
        if index.scorer.nearest_by is None:
            raise ModelError(f"{type(index.scorer).__name__} cannot be searched approximately", remedy="search exactly")
        found = cls(_filled(index, lists), len(index.vectors.written_SD), 1, 0.0, at)
        exact = index.search(queries, at, queries.histories)
        most = found.lists.nlist
        trying = min(probes or FEWEST_PROBES, most)
        while True:
            tried = cls(found.lists, found.size, trying, 0.0, at)
            recall = _recall(exact, tried.search(index, queries, at, queries.histories))
            if probes is not None or recall >= GOOD_RECALL or trying >= most:
                break
            trying = min(2 * trying, most)
        if recall < GOOD_RECALL:
            warnings.warn(
                f"APPROXIMATE SEARCH FINDS ONLY {recall:.1%} of the exact {at} best ({trying} of {most} lists are "
                "searched): search more of them, or exactly",
                stacklevel=2,
            )
        return cls(found.lists, found.size, trying, recall, at)

    def search(
        self, index: CatalogIndex, queries: Queries, k: int, hidden: Histories, allowed: np.ndarray | None = None
    ) -> TopK:
        """The best ``k`` items of each user that were found; arguments as of :meth:`CatalogIndex.search`.

        Args:
            index: the catalog as it is now.
            queries: of B users.
            k: how many items.
            hidden: the rows that each user must not be shown.
            allowed: the rows that may be shown at all, bool of shape (V,); all when None.
        """
        k = min(k, len(index))
        shown_V = np.ones(len(index), dtype=bool) if allowed is None else allowed.copy()
        shown_V[index.removed] = False
        asked = _Asked(self, self._ground(index), index, queries)
        rows_BK = torch.full((len(queries), k), -1)
        scores_BK = torch.full((len(queries), k), -torch.inf)
        for user in range(len(queries)):
            own_V = shown_V.copy()
            own = hidden.block(user, user + 1)
            own_V[own.rows] = False
            candidates = asked.candidates(user, k, own_V)
            if candidates is None:
                top = index.search(queries.block(user, user + 1), k, own, shown_V)
                rows_BK[user], scores_BK[user] = top.rows_BK[0].cpu(), top.scores_BK[0].cpu()
                continue
            scores_n = asked.scores(user, candidates)
            order = np.lexsort((candidates, -scores_n))[:k]
            rows_BK[user, : len(order)] = torch.from_numpy(candidates[order])
            scores_BK[user, : len(order)] = torch.from_numpy(scores_n[order])
        return TopK(rows_BK, scores_BK)

    def _ground(self, index: CatalogIndex) -> _Ground:
        """What is the same for all who ask of this state of the catalog."""
        found = next((ground for ground in self._grounds if ground.fits(index)), None)
        if found is None:
            found = _Ground.of(index, self.size)
            self._grounds[:] = [found, *self._grounds[: STATES - 1]]
        return found

    def save(self, folder: Path) -> None:
        """Write the lists beside the vectors that they are of."""
        faiss = _faiss()
        faiss.write_index(self.lists, str(folder / _INDEX))
        said = {"size": self.size, "probes": self.probes, "recall": self.recall, "at": self.at}
        (folder / _SAID).write_text(json.dumps(said))

    @classmethod
    def open(cls, folder: Path) -> ApproximateSearch | None:
        """The lists that are kept in a folder; None where there are none.

        Raises:
            MissingExtraError: there are, and faiss is not installed.
            RunError: they cannot be read.
        """
        if not (folder / _SAID).exists():
            return None
        faiss = _faiss()
        try:
            return cls(faiss.read_index(str(folder / _INDEX)), **json.loads((folder / _SAID).read_text()))
        except (RuntimeError, ValueError, TypeError) as error:
            raise RunError(
                f"the lists of approximate search cannot be read: {error}",
                where=str(folder),
                remedy="make them again: transrec index RUN --approximate",
            ) from None


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Ground:
    """What is made of a whole catalog, once a state of it.

    Attributes:
        vectors: of the state.
        known: of the state.
        row_S: the row of each vector that was written.
        always: rows that are candidates for everybody.
    """

    vectors: ItemVectors
    known: KnownCounts | None
    row_S: np.ndarray
    always: np.ndarray

    @classmethod
    @torch.no_grad()
    def of(cls, index: CatalogIndex, size: int) -> _Ground:
        """That of this state, for lists over so many vectors."""
        row_S = _rows_of(index.vectors)
        always = [row_S[size:]]  # whatever came later is in no list
        known = index.known
        if known is not None:
            popularity_V = torch.from_numpy(known.counts.popularity_V).float().to(index.device)
            base_V = known.prior.base(popularity_V, known.popularity)
            always.append(base_V.topk(min(POPULAR, len(base_V))).indices.cpu().numpy())
        return cls(index.vectors, known, row_S, np.concatenate(always))

    def fits(self, index: CatalogIndex) -> bool:
        """Whether it is of this state; counts may have come in another wrapping."""
        if self.vectors is not index.vectors or self.known is None or index.known is None:
            return self.vectors is index.vectors and self.known is index.known
        mine, its = self.known, index.known
        return mine.counts is its.counts and mine.prior is its.prior and mine.popularity == its.popularity


@final
class _Asked:
    """Some users and what their candidates are found in."""

    def __init__(self, search: ApproximateSearch, ground: _Ground, index: CatalogIndex, queries: Queries) -> None:
        self._search, self._index, self._queries = search, index, queries
        vectors = queries.vectors[..., : index.scorer.reads].float().cpu()
        self._directions_BKD = np.ascontiguousarray(vectors.reshape(len(vectors), -1, vectors.shape[-1]).numpy())
        self._row_S, self._always = ground.row_S, ground.always
        known = index.known
        self._votes: dict[str, sp.csr_array] = {} if known is None else dict(known.counts.votes(queries.histories))

    def candidates(self, user: int, k: int, may_V: np.ndarray) -> np.ndarray | None:
        """Rows that a user may be shown, increasing, at least k of them; None where all have to be looked at."""
        may_V[self._index.unreadable] = False
        left = int(may_V.sum())
        if left < k:
            return None
        if left <= FEW * len(may_V):
            return np.flatnonzero(may_V)
        wanted, probes = OVER * k, self._search.probes
        voted = [votes[[user]].indices for votes in self._votes.values()]
        while wanted < self._search.size:
            rows = np.unique(np.concatenate([self._nearest(user, wanted, probes), self._always, *voted]))
            rows = rows[rows >= 0]
            rows = rows[may_V[rows]]
            if len(rows) >= k:
                return np.asarray(rows)
            wanted, probes = 4 * wanted, 4 * probes
        return None

    @torch.no_grad()
    def scores(self, user: int, rows_n: np.ndarray) -> np.ndarray:
        """The exact scores of a user for some rows."""
        rows = torch.from_numpy(rows_n).to(self._index.device)
        vectors_1nD = self._index.vectors.take(rows)[None]
        scores_n: Tensor = self._index.scorer.paired(self._queries.vectors[user : user + 1], vectors_1nD)[0].float()
        known = self._index.known
        if known is not None:
            popularity_n = torch.from_numpy(known.counts.popularity_V[rows_n]).float().to(scores_n.device)
            scores_n = scores_n + known.prior.base(popularity_n, known.popularity)
            for kind, votes in self._votes.items():
                shares_n = torch.from_numpy(_at(votes, user, rows_n)).float().to(scores_n.device)
                scores_n = scores_n + known.prior.worth(kind, shares_n)
        return scores_n.cpu().numpy()

    def _nearest(self, user: int, wanted: int, probes: int) -> np.ndarray:
        """Rows of the nearest vectors in the lists that are searched, to each of a user's interests where there are several.

        -1 stands where there is none, or it is an older version.
        """
        chosen = _faiss().SearchParametersIVF(nprobe=min(probes, self._search.lists.nlist))
        _, places_Kn = self._search.lists.search(self._directions_BKD[user], wanted, params=chosen)
        return np.where(places_Kn >= 0, self._row_S[places_Kn], -1).ravel()


def _at(table: sp.csr_array, row: int, columns_n: np.ndarray) -> np.ndarray:
    """What a row of a sparse table holds in these increasing columns, without making the row dense."""
    own = slice(table.indptr[row], table.indptr[row + 1])
    found_n = np.zeros(len(columns_n), dtype=table.dtype)
    place = np.searchsorted(columns_n, table.indices[own])
    inside = place < len(columns_n)
    inside[inside] = columns_n[place[inside]] == table.indices[own][inside]
    found_n[place[inside]] = table.data[own][inside]
    return found_n


def _rows_of(vectors: ItemVectors) -> np.ndarray:
    """The row of each vector that was written, -1 for those of former versions, int64 of shape (S,)."""
    size = len(vectors.written_SD)
    if vectors.place_V is None:
        return np.arange(size)
    row_S = np.full(size, -1, dtype=np.int64)
    row_S[vectors.place_V.cpu().numpy()] = np.arange(len(vectors))
    return row_S


def _filled(index: CatalogIndex, lists: int | None) -> Any:
    """Lists over everything that was written; of unit vectors where the scorer goes by direction."""
    faiss, vectors = _faiss(), index.vectors
    units, reads = index.scorer.nearest_by == "direction", index.scorer.reads or vectors.width
    size = len(vectors.written_SD)
    count = max(1, min(lists or round(4 * math.sqrt(size)), size))
    made = faiss.IndexIVFFlat(faiss.IndexFlatIP(reads), reads, count, faiss.METRIC_INNER_PRODUCT)
    made.cp.min_points_per_centroid = 1  # the lists of a small catalog are no worse for being small
    some = np.random.default_rng(0).choice(size, size=min(size, SAMPLE_A_LIST * count), replace=False)
    made.train(_plain(vectors.written_SD[torch.from_numpy(np.sort(some)), :reads], units))
    for start in range(0, size, ITEMS_AT_ONCE):
        made.add(_plain(vectors.written_SD[start : start + ITEMS_AT_ONCE, :reads], units))
    return made


def _plain(vectors_nD: Tensor, units: bool) -> np.ndarray:
    wide_nD = vectors_nD.float().cpu()
    return np.ascontiguousarray((F.normalize(wide_nD, dim=1) if units else wide_nD).numpy())


def _recall(exact: TopK, found: TopK) -> float:
    """The share of the exact lists that was found."""
    pairs = zip(exact.rows_BK.tolist(), found.rows_BK.tolist(), strict=True)
    hits = [(len({*best} & {*rows} - {-1}), len({*best} - {-1})) for best, rows in pairs]
    return sum(hit for hit, _ in hits) / max(sum(total for _, total in hits), 1)


def _faiss() -> Any:
    return require_extra("faiss", extra="ann", purpose="approximate search")
