"""CatalogIndex: the vectors of a whole catalog under one model, encoded once, and exact ranks and lists from them.

Axes: B users, V items in the catalog, D width, L history length, K list length or interests, n items to add, W numbers that
are kept of an item (see :meth:`~transrec.views.ItemViews.read_by`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from transrec.data.counts import Counts
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.store import ContentStore, Progress
from transrec.errors import ModelError
from transrec.model import TransRec
from transrec.retrieval.encoding import attune_elsewhere, encode_items, prepared_for
from transrec.retrieval.growing import ItemVectors
from transrec.retrieval.queries import KnownCounts as KnownCounts
from transrec.retrieval.queries import Queries as Queries
from transrec.retrieval.queries import hidden_pairs as hidden_pairs
from transrec.retrieval.ranking import TopK, mean_ranks, top_k
from transrec.scoring import Scorer

SCORES_AT_ONCE = 1 << 24
"""How many scores are held at a time (64 MiB in float32), whatever the number of users and items."""

HISTORIES_AT_ONCE = 512
"""How many histories the user encoder reads at a time."""


def users_at_once(num_items: int) -> int:
    """How many users' scores over a catalog of this size are held at a time."""
    return max(1, SCORES_AT_ONCE // max(num_items, 1))


class CatalogIndex:
    """A catalog's vectors under one model; what is measured offline and what people are served both rank through it.

    Build one with :meth:`encode`.

    Args:
        vectors: the vector of every catalog row; a tensor of shape (V, D) will do where nothing else is kept.
        scorer: how a user and an item meet.
        unreadable: rows of items that the model can make nothing of, int64; they rank after all others.
        known: what counts add; nothing when None.
        removed: rows that are never shown, int64.
    """

    def __init__(
        self,
        vectors: Tensor | ItemVectors,
        scorer: Scorer,
        unreadable: np.ndarray | None = None,
        known: KnownCounts | None = None,
        removed: np.ndarray | None = None,
    ) -> None:
        self.vectors = vectors if isinstance(vectors, ItemVectors) else ItemVectors(vectors)
        self.scorer = scorer
        self.unreadable = np.zeros(0, dtype=np.int64) if unreadable is None else unreadable
        self.known = known
        self.removed = np.zeros(0, dtype=np.int64) if removed is None else removed

    @property
    def vectors_VD(self) -> Tensor:
        """The vector of every row as one matrix; new memory where rows have newer versions."""
        return self.vectors.whole()

    @property
    def device(self) -> torch.device:
        """Where the vectors are."""
        return self.vectors.device

    @classmethod
    @torch.no_grad()
    def encode(
        cls,
        model: TransRec,
        store: ContentStore,
        counts: Counts | None = None,
        *,
        batch_size: int = 256,
        progress: Progress | None = None,
    ) -> CatalogIndex:
        """Encode every item of a catalog once.

        Args:
            model: is put into evaluation mode meanwhile.
            store: the prepared content of the catalog.
            counts: of the catalog's items, for a model with a prior; when None items are ranked by content alone.
            batch_size: items at a time.
            progress: told how far it is.

        Raises:
            EvaluationError: the catalog is empty.
        """
        kept_VW = encode_items(model, store, batch_size=batch_size, progress=progress)
        vectors = ItemVectors(kept_VW, width=model.items.width)
        return cls(vectors, model.scorer, store.unreadable, KnownCounts.of(model, counts))

    @classmethod
    def of(
        cls,
        model: TransRec,
        dataset: Dataset,
        counts: Counts | None = None,
        *,
        place: int | None = 0,
        progress: Progress | None = None,
    ) -> CatalogIndex:
        """The catalog of a dataset under a model; what was read before is found in the dataset's store.

        Args:
            model: as it is now, its encoders too.
            dataset: whose catalog.
            counts: see :meth:`encode`. To measure a model, give those of the training events; to serve it, those of all.
            place: which of the platforms that the model has learned from it is; None: none of them, then its items are first
                centred on their own mean and shown to a user encoder that attunes, which changes the model, and how often
                they were touched counts for nothing (see :meth:`~transrec.prior.CountPrior.elsewhere`).
            progress: told how far it is.

        Raises:
            DataError: the model can read nothing of what the items have.
        """
        store = prepared_for(model, dataset, place=place, progress=progress)
        kept_VW = encode_items(model, store)
        if place is None:
            attune_elsewhere(model, kept_VW)
        vectors = ItemVectors(kept_VW, width=model.items.width)
        return cls(vectors, model.scorer, store.unreadable, KnownCounts.of(model, counts, place))

    def __len__(self) -> int:
        return len(self.vectors)

    @torch.no_grad()
    def scores(self, queries: Queries) -> Tensor:
        """Scores of every item for every user, (B, V) float32, in one block: the caller chooses B."""
        scores_BV = self.vectors.scores(self.scorer, queries.vectors)
        if self.known is not None:
            evidence = self.known.counts.evidence(queries.histories).to(scores_BV.device)
            scores_BV = self.known.prior(scores_BV, evidence, self.known.popularity)
        return self.unreadable_last(scores_BV)

    def unreadable_last(self, scores_BV: Tensor) -> Tensor:
        """The same scores, in place, with items that the model can make nothing of below all others."""
        if len(self.unreadable):
            scores_BV[:, torch.from_numpy(self.unreadable).to(scores_BV.device)] = scores_BV.min() - 1.0
        return scores_BV

    def rank(self, queries: Queries, targets: np.ndarray, hidden: Histories) -> np.ndarray:
        """The rank of one target for each user among all items; see :func:`~transrec.retrieval.ranking.mean_ranks`.

        Args:
            queries: of B users.
            targets: the catalog row of each user's target, int64 of shape (B,).
            hidden: the rows that each user must not be ranked against.

        Returns:
            Ranks of shape (B,), float64.

        Raises:
            EvaluationError: a score is not finite.
        """
        ranks = np.empty(len(targets), dtype=np.float64)
        for start, stop in self._blocks(len(targets)):
            scores_BV = self.scores(queries.block(start, stop))
            targets_B = torch.from_numpy(targets[start:stop]).to(scores_BV.device)
            ranks[start:stop] = mean_ranks(
                scores_BV, targets_B, hidden_pairs(hidden.block(start, stop), scores_BV.device)
            ).cpu()
        return ranks

    def search(self, queries: Queries, k: int, hidden: Histories, allowed: np.ndarray | None = None) -> TopK:
        """The best ``k`` items of each user; see :func:`~transrec.retrieval.ranking.top_k`.

        Args:
            queries: of B users.
            k: how many items.
            hidden: the rows that each user must not be shown.
            allowed: the rows that may be shown at all, bool of shape (V,); all when None.

        Raises:
            EvaluationError: a score is not finite.
        """
        allowed_V = self._shown(allowed)
        found = [
            top_k(
                self.scores(queries.block(start, stop)), k, hidden_pairs(hidden.block(start, stop), self.device), allowed_V
            )
            for start, stop in self._blocks(len(queries))
        ]
        return TopK(torch.cat([top.rows_BK for top in found]), torch.cat([top.scores_BK for top in found]))

    def similar(self, row: int, k: int) -> TopK:
        """The ``k`` items whose vectors point most nearly in the direction of this one (cosine), without the item itself."""
        return self.nearest(self.vectors.take(torch.tensor([row], device=self.device)), k, Histories.from_lists([[row]]))

    def nearest(self, directions_BD: Tensor, k: int, hidden: Histories, allowed: np.ndarray | None = None) -> TopK:
        """The ``k`` items whose vectors point most nearly in each of these directions; scores are cosines.

        Args:
            directions_BD: B vectors.
            k: how many items.
            hidden: the rows that must not be listed for each.
            allowed: the rows that may be listed at all, bool of shape (V,); all when None.
        """
        cosines_BV = self.unreadable_last(self.vectors.cosines(directions_BD.to(self.device)))
        return top_k(cosines_BV, k, hidden_pairs(hidden, self.device), self._shown(allowed))

    def weighing(self, popularity: float) -> CatalogIndex:
        """The same index with popularity counting more or less than the model has learned.

        Args:
            popularity: 1 as learned; with less, rare and new items come up; 0 for none. Without counts it changes nothing.
        """
        return self._with(known=self.known and replace(self.known, popularity=popularity))

    def add(self, vectors_nW: Tensor) -> CatalogIndex:
        """An index with more items at the end; the rows of the present ones stay.

        Raises:
            ModelError: the vectors have another width.
        """
        return self.with_versions(vectors_nW, len(self) + np.arange(len(vectors_nW)))

    def with_versions(self, vectors_nW: Tensor, replaced: np.ndarray) -> CatalogIndex:
        """An index with newer vectors in some rows, and further rows, which have no counts; removed rows of these come back.

        Args:
            vectors_nW: what is kept of what comes; all of items that the model can read.
            replaced: the row of each, int64; further rows follow the last one without a gap.

        Raises:
            ModelError: the vectors have another width.
        """
        if vectors_nW.shape[1] != self.vectors.kept_width:
            raise ModelError(
                f"these item vectors have width {vectors_nW.shape[1]}, the index has {self.vectors.kept_width}",
                remedy="encode the new items with the model that the index was made with",
            )
        more = int((replaced >= len(self)).sum())
        known = self.known
        if known is not None and more:
            known = replace(known, counts=known.counts.with_unseen(more))
        return CatalogIndex(
            self.vectors.with_versions(vectors_nW, replaced),
            self.scorer,
            np.setdiff1d(self.unreadable, replaced),
            known,
            np.setdiff1d(self.removed, replaced),
        )

    def without(self, rows: np.ndarray) -> CatalogIndex:
        """An index that never shows these rows; they stay where they are, and may stand in histories."""
        return self._with(removed=np.union1d(self.removed, rows))

    def _with(self, *, known: KnownCounts | None = None, removed: np.ndarray | None = None) -> CatalogIndex:
        return CatalogIndex(
            self.vectors,
            self.scorer,
            self.unreadable,
            self.known if known is None else known,
            self.removed if removed is None else removed,
        )

    def _shown(self, allowed: np.ndarray | None) -> Tensor | None:
        """The rows that may be shown, bool (V,) on the device of the vectors; None for all."""
        if not len(self.removed):
            return None if allowed is None else torch.from_numpy(allowed).to(self.device)
        shown_V = np.ones(len(self), dtype=bool) if allowed is None else allowed.copy()
        shown_V[self.removed] = False
        return torch.from_numpy(shown_V).to(self.device)

    def _blocks(self, users: int) -> Iterator[tuple[int, int]]:
        step = users_at_once(len(self))
        # also with no users at all one empty block, so that results have their shape
        for start in range(0, max(users, 1), step):
            yield start, min(start + step, users)


@torch.no_grad()
def encode_histories(model: TransRec, index: CatalogIndex, histories: Histories, beside_nW: Tensor | None = None) -> Queries:
    """Histories under a model, whose items are looked up in the index instead of being encoded again.

    The model reads the newest items that fit its window, and when they were if it reads times and the histories have them.

    Args:
        model: is put into evaluation mode meanwhile.
        index: the catalog under this model.
        histories: of B users; an empty one gives a zero vector.
        beside_nW: what is kept of items that are not in the catalog: rows from V on stand for them. Counts know nothing of
            them.
    """
    recent = histories.last(model.window)
    was_training = model.training
    model.eval()
    blocks = []
    try:
        for start in range(0, max(len(recent), 1), HISTORIES_AT_ONCE):
            block = recent.block(start, min(start + HISTORIES_AT_ONCE, len(recent)))
            rows_BL, mask_BL = (torch.from_numpy(array).to(index.device) for array in block.padded())
            times_BL = block.padded_times()
            told_BL = None if times_BL is None else torch.from_numpy(times_BL).to(index.device)
            read_BLW = index.vectors.taken_by(model.users, rows_BL, beside_nW)
            blocks.append(model.users(read_BLW, mask_BL, told_BL).scored)
    finally:
        model.train(was_training)
    return Queries(torch.cat(blocks), histories if beside_nW is None else histories.below(len(index)))
