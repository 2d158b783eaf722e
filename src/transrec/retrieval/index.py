"""CatalogIndex: the vectors of a whole catalog under one model, encoded once, and exact ranks and lists from them.

Axes: B users, V items in the catalog, D width, L history length, K list length or interests, n items to add.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.store import ContentStore, Progress
from transrec.errors import EvaluationError, ModelError
from transrec.model import TransRec
from transrec.retrieval.ranking import TopK, mean_ranks, top_k
from transrec.retrieval.vectors import with_vectors
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
        vectors_VD: the vector of every catalog row.
        scorer: how a user and an item meet.
        unreadable: rows of items that the model can make nothing of, int64; they rank after all others.
    """

    def __init__(self, vectors_VD: Tensor, scorer: Scorer, unreadable: np.ndarray | None = None) -> None:
        self.vectors_VD = vectors_VD
        self.scorer = scorer
        self.unreadable = np.zeros(0, dtype=np.int64) if unreadable is None else unreadable

    @classmethod
    @torch.no_grad()
    def encode(
        cls, model: TransRec, store: ContentStore, *, batch_size: int = 256, progress: Progress | None = None
    ) -> CatalogIndex:
        """Encode every item of a catalog once.

        Args:
            model: is put into evaluation mode meanwhile.
            store: the prepared content of the catalog.
            batch_size: items at a time.
            progress: told how far it is.

        Raises:
            EvaluationError: the catalog is empty.
        """
        blocks = []
        was_training = model.training
        model.eval()
        try:
            for start in range(0, len(store), batch_size):
                rows = np.arange(start, min(start + batch_size, len(store)))
                blocks.append(model.items(store.gather(rows).to(model.device)).fused_UD)
                if progress:
                    progress("encoding the catalog", int(rows[-1]) + 1, len(store))
        finally:
            model.train(was_training)
        if not blocks:
            raise EvaluationError("the catalog has no items, so there is nothing to rank")
        return cls(torch.cat(blocks), model.scorer, store.unreadable)

    @classmethod
    def of(cls, model: TransRec, dataset: Dataset, *, progress: Progress | None = None) -> CatalogIndex:
        """The catalog of a dataset under a model; what was read before is found in the dataset's store.

        Args:
            model: as it is now, its encoders too.
            dataset: whose catalog.
            progress: told how far it is.

        Raises:
            DataError: the model can read nothing of what the items have.
        """
        folder = dataset.store_folder
        store = ContentStore.prepare(dataset.catalog, model.items.preparers(), folder, progress=progress)
        store.require_readable(model.items.encoders, dataset.name)
        return cls.encode(model, with_vectors(model, store, folder, progress=progress))

    def __len__(self) -> int:
        return len(self.vectors_VD)

    @torch.no_grad()
    def scores(self, users_BD: Tensor) -> Tensor:
        """Scores of every item for every user, (B, V) float32, in one block: the caller chooses B."""
        scores_BV: Tensor = self.scorer(users_BD, self.vectors_VD).float()
        if len(self.unreadable):
            scores_BV[:, torch.from_numpy(self.unreadable).to(scores_BV.device)] = scores_BV.min() - 1.0
        return scores_BV

    def rank(self, users_BD: Tensor, targets: np.ndarray, hidden: Histories) -> np.ndarray:
        """The rank of one target for each user among all items; see :func:`~transrec.retrieval.ranking.mean_ranks`.

        Args:
            users_BD: user vectors.
            targets: the catalog row of each user's target, int64 of shape (B,).
            hidden: the rows that each user must not be ranked against.

        Returns:
            Ranks of shape (B,), float64.

        Raises:
            EvaluationError: a score is not finite.
        """
        ranks = np.empty(len(targets), dtype=np.float64)
        for start, stop in self._blocks(len(targets)):
            scores_BV = self.scores(users_BD[start:stop])
            targets_B = torch.from_numpy(targets[start:stop]).to(scores_BV.device)
            ranks[start:stop] = mean_ranks(
                scores_BV, targets_B, hidden_pairs(hidden.block(start, stop), scores_BV.device)
            ).cpu()
        return ranks

    def search(self, users_BD: Tensor, k: int, hidden: Histories, allowed: np.ndarray | None = None) -> TopK:
        """The best ``k`` items of each user; see :func:`~transrec.retrieval.ranking.top_k`.

        Args:
            users_BD: user vectors.
            k: how many items.
            hidden: the rows that each user must not be shown.
            allowed: the rows that may be shown at all, bool of shape (V,); all when None.

        Raises:
            EvaluationError: a score is not finite.
        """
        device = self.vectors_VD.device
        allowed_V = None if allowed is None else torch.from_numpy(allowed).to(device)
        found = [
            top_k(self.scores(users_BD[start:stop]), k, hidden_pairs(hidden.block(start, stop), device), allowed_V)
            for start, stop in self._blocks(len(hidden))
        ]
        return TopK(torch.cat([top.rows_BK for top in found]), torch.cat([top.scores_BK for top in found]))

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
        return CatalogIndex(torch.cat([self.vectors_VD, vectors_nD.to(self.vectors_VD)]), self.scorer, self.unreadable)

    def _blocks(self, users: int) -> Iterator[tuple[int, int]]:
        step = users_at_once(len(self))
        # also with no users at all one empty block, so that results have their shape
        for start in range(0, max(users, 1), step):
            yield start, min(start + step, users)


def hidden_pairs(hidden: Histories, device: torch.device | None = None) -> Tensor:
    """The (user, row) pairs of histories, int64 of shape (M, 2)."""
    return torch.from_numpy(np.stack([hidden.owners, hidden.rows], axis=1)).to(device)


@torch.no_grad()
def encode_histories(model: TransRec, index: CatalogIndex, histories: Histories) -> Tensor:
    """User vectors of histories, whose items are looked up in the index instead of being encoded again.

    Only the newest items that fit the model's window are read.

    Args:
        model: is put into evaluation mode meanwhile.
        index: the catalog under this model.
        histories: of B users; an empty one gives a zero vector.

    Returns:
        (B, D); for a user encoder that gives interests (B, K, D).
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
            output = model.users(index.vectors_VD[rows_BL], mask_BL)
            blocks.append(output.last_BD if output.kind == "states" else output.vectors)
    finally:
        model.train(was_training)
    return torch.cat(blocks)
