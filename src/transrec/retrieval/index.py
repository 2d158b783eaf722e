"""CatalogIndex: the vectors of a whole catalog under one model, encoded once, and exact ranks and lists from them.

Axes: B users, V items in the catalog, D width, L history length, K list length or interests, n items to add.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from transrec.data.counts import Counts
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.store import ContentStore, Progress
from transrec.errors import EvaluationError, ModelError
from transrec.model import TransRec
from transrec.prior import CountPrior
from transrec.retrieval.ranking import TopK, mean_ranks, top_k
from transrec.retrieval.vectors import with_vectors
from transrec.scoring import Scorer

SCORES_AT_ONCE = 1 << 24
"""How many scores are held at a time (64 MiB in float32), whatever the number of users and items."""

SORTED_TOGETHER = 8
"""Batches of items that are put in order of length together."""

CENTRED_BY = 2048
"""Items by whose mean a platform is centred that a model has not learned from."""

HISTORIES_AT_ONCE = 512
"""How many histories the user encoder reads at a time."""


def users_at_once(num_items: int) -> int:
    """How many users' scores over a catalog of this size are held at a time."""
    return max(1, SCORES_AT_ONCE // max(num_items, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """What is known of some users when they are asked about; :func:`encode_histories` makes them.

    Attributes:
        vectors: under a model, (B, D); for a user encoder that gives interests (B, K, D).
        histories: what they did, of B users.
    """

    vectors: Tensor
    histories: Histories

    def __len__(self) -> int:
        return len(self.vectors)

    def block(self, start: int, stop: int) -> Queries:
        """The users from ``start`` to ``stop`` (exclusive)."""
        return Queries(self.vectors[start:stop], self.histories.block(start, stop))


@dataclass(frozen=True, slots=True, eq=False)
class KnownCounts:
    """What counts add to the scores of one catalog.

    Attributes:
        counts: of the catalog's items.
        prior: what they are worth.
        popularity: how much of what popularity is worth counts, 1 as learned; see :class:`~transrec.prior.CountPrior`.
    """

    counts: Counts
    prior: CountPrior
    popularity: float = 1.0


class CatalogIndex:
    """A catalog's vectors under one model; what is measured offline and what people are served both rank through it.

    Build one with :meth:`encode`.

    Args:
        vectors_VD: the vector of every catalog row.
        scorer: how a user and an item meet.
        unreadable: rows of items that the model can make nothing of, int64; they rank after all others.
        known: what counts add; nothing when None.
    """

    def __init__(
        self,
        vectors_VD: Tensor,
        scorer: Scorer,
        unreadable: np.ndarray | None = None,
        known: KnownCounts | None = None,
    ) -> None:
        self.vectors_VD = vectors_VD
        self.scorer = scorer
        self.unreadable = np.zeros(0, dtype=np.int64) if unreadable is None else unreadable
        self.known = known

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
        if not len(store):
            raise EvaluationError("the catalog has no items, so there is nothing to rank")
        vectors_VD = torch.empty(0)
        order = store.in_order(SORTED_TOGETHER * batch_size)
        was_training = model.training
        model.eval()
        try:
            for start in range(0, len(store), batch_size):
                rows = np.sort(order[start : start + batch_size])
                made = model.items(store.gather(rows).to(model.device)).fused_UD
                if start == 0:
                    vectors_VD = made.new_empty(len(store), made.shape[1])
                vectors_VD[torch.from_numpy(rows).to(made.device)] = made
                if progress:
                    progress("encoding the catalog", start + len(rows), len(store))
        finally:
            model.train(was_training)
        known = None if counts is None or model.prior is None else KnownCounts(counts, model.prior)
        return cls(vectors_VD, model.scorer, store.unreadable, known)

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
                centred on their own mean, which changes the model, and how often they were touched counts for nothing (see
                :meth:`~transrec.prior.CountPrior.elsewhere`).
            progress: told how far it is.

        Raises:
            DataError: the model can read nothing of what the items have.
        """
        folder = dataset.store_folder
        store = ContentStore.prepare(dataset.catalog, model.items.preparers(), folder, progress=progress)
        store.require_readable(model.items.encoders, dataset.name)
        store = with_vectors(model, store, folder, progress=progress)
        store = store.of_platform(place or 0)
        if place is None:
            model.items.centre(batch.to(model.device) for batch in store.sample(CENTRED_BY, seed=0))
            index = cls.encode(model, store, counts)
            known = index.known and replace(index.known, prior=index.known.prior.elsewhere())
            return cls(index.vectors_VD, index.scorer, index.unreadable, known)
        return cls.encode(model, store, counts)

    def __len__(self) -> int:
        return len(self.vectors_VD)

    @torch.no_grad()
    def scores(self, queries: Queries) -> Tensor:
        """Scores of every item for every user, (B, V) float32, in one block: the caller chooses B."""
        scores_BV: Tensor = self.scorer(queries.vectors, self.vectors_VD).float()
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
        device = self.vectors_VD.device
        allowed_V = None if allowed is None else torch.from_numpy(allowed).to(device)
        found = [
            top_k(self.scores(queries.block(start, stop)), k, hidden_pairs(hidden.block(start, stop), device), allowed_V)
            for start, stop in self._blocks(len(queries))
        ]
        return TopK(torch.cat([top.rows_BK for top in found]), torch.cat([top.scores_BK for top in found]))

    def weighing(self, popularity: float) -> CatalogIndex:
        """The same index with popularity counting more or less than the model has learned.

        Args:
            popularity: 1 as learned; with less, rare and new items come up; 0 for none. Without counts it changes nothing.
        """
        known = self.known and replace(self.known, popularity=popularity)
        return CatalogIndex(self.vectors_VD, self.scorer, self.unreadable, known)

    def similar(self, row: int, k: int) -> TopK:
        """The ``k`` items whose vectors point most nearly in the direction of this one (cosine), without the item itself."""
        unit_VD = F.normalize(self.vectors_VD.float(), dim=1)
        scores_1V = unit_VD[row][None] @ unit_VD.T
        return top_k(scores_1V, k, torch.tensor([[0, row]], device=scores_1V.device))

    def add(self, vectors_nD: Tensor) -> CatalogIndex:
        """An index with more items at the end; the rows of the present ones stay.

        Raises:
            ModelError: the vectors have another width.
        """
        if vectors_nD.shape[1] != self.vectors_VD.shape[1]:
            raise ModelError(
                f"these item vectors have width {vectors_nD.shape[1]}, the index has {self.vectors_VD.shape[1]}",
                remedy="encode the new items with the model that the index was made with",
            )
        known = self.known and replace(self.known, counts=self.known.counts.with_unseen(len(vectors_nD)))
        vectors_VD = torch.cat([self.vectors_VD, vectors_nD.to(self.vectors_VD)])
        return CatalogIndex(vectors_VD, self.scorer, self.unreadable, known)

    def _blocks(self, users: int) -> Iterator[tuple[int, int]]:
        step = users_at_once(len(self))
        # also with no users at all one empty block, so that results have their shape
        for start in range(0, max(users, 1), step):
            yield start, min(start + step, users)


def hidden_pairs(hidden: Histories, device: torch.device | None = None) -> Tensor:
    """The (user, row) pairs of histories, int64 of shape (M, 2)."""
    return torch.from_numpy(np.stack([hidden.owners, hidden.rows], axis=1)).to(device)


@torch.no_grad()
def encode_histories(model: TransRec, index: CatalogIndex, histories: Histories) -> Queries:
    """Histories under a model, whose items are looked up in the index instead of being encoded again.

    The model reads the newest items that fit its window, and when they were if it reads times and the histories have them.

    Args:
        model: is put into evaluation mode meanwhile.
        index: the catalog under this model.
        histories: of B users; an empty one gives a zero vector.
    """
    recent = histories.last(model.window)
    device = index.vectors_VD.device
    was_training = model.training
    model.eval()
    blocks = []
    try:
        for start in range(0, max(len(recent), 1), HISTORIES_AT_ONCE):
            block = recent.block(start, min(start + HISTORIES_AT_ONCE, len(recent)))
            rows_BL, mask_BL = (torch.from_numpy(array).to(device) for array in block.padded())
            times_BL = block.padded_times()
            told_BL = None if times_BL is None else torch.from_numpy(times_BL).to(device)
            output = model.users(index.vectors_VD[rows_BL], mask_BL, told_BL)
            blocks.append(output.last_BD if output.kind == "states" else output.vectors)
    finally:
        model.train(was_training)
    return Queries(torch.cat(blocks), histories)
