"""Batches: distinct items once, histories and targets pointing into them by index.

Axes: B users (windows), L history length, T targets, K negatives, U distinct items of the batch, M pairs.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from transrec.data.counts import Counts, Evidence
from transrec.data.histories import Histories
from transrec.data.masking import hidden_slots
from transrec.data.ragged import moved
from transrec.data.sampling import UniformNegatives
from transrec.data.splits import Split
from transrec.data.times import UNKNOWN_TIME, whole_seconds
from transrec.data.windows import WindowPlan, windows_of


@dataclass(frozen=True, slots=True, eq=False)
class ItemPart:
    """The content of one modality for those items of a batch that have it.

    Attributes:
        index_n: which of the batch's U items these are, int64, increasing.
        content: what the modality's encoder prepared, by name: tensors of shape (n, ...) or ragged values of n items; or,
            where the encoder learns nothing, the vectors that it made of them once and for all, float of shape (n, width).
            Equal content may stand there once, see ``inverse_n``.
        below: how many of the encoder's lower blocks these have been through already; above 0 the content is what its
            ``lower`` returned.
        inverse_n: which entry of the content each of the n items has, int64; None: each its own, in this order.
    """

    index_n: Tensor
    content: Mapping[str, Any] | Tensor
    below: int = 0
    inverse_n: Tensor | None = None

    def to(self, device: torch.device) -> ItemPart:
        """The same part on another device."""
        content: Mapping[str, Any] | Tensor
        if isinstance(self.content, Tensor):
            content = moved(self.content, device)
        else:
            content = {
                name: moved(values, device) if isinstance(values, Tensor) else values.to(device)
                for name, values in self.content.items()
            }
        inverse_n = None if self.inverse_n is None else moved(self.inverse_n, device)
        return replace(self, index_n=moved(self.index_n, device), content=content, inverse_n=inverse_n)


@dataclass(frozen=True, slots=True, eq=False)
class ItemBatch:
    """U distinct items with the content that they have.

    Attributes:
        size: U.
        parts: by modality; a modality that none of the items has may be absent.
        platform: of the platforms that the model knows, the one that the items are from.
    """

    size: int
    parts: Mapping[str, ItemPart]
    platform: int = 0

    def to(self, device: torch.device) -> ItemBatch:
        """The same items on another device."""
        return replace(self, parts={name: part.to(device) for name, part in self.parts.items()})


@dataclass(frozen=True, slots=True, eq=False)
class SequenceBatch:
    """What one training step sees.

    Attributes:
        items: the U distinct items that occur anywhere below.
        rows_U: their catalog rows.
        history_BL: which item stands where, as an index below U; 0 in padded slots. Oldest first, padded on the right.
        mask_BL: which slots of the history are real.
        targets_BT: what has to be predicted, as indices below U. For ``"next"`` plans T = L and the target at a position is
            the item after it; for ``"following"`` plans these are the T items after the history; for ``"none"`` plans T = 0.
        target_mask_BT: which targets are real.
        negatives_BK: sampled items, as indices below U; K may be 0.
        own_M2: pairs (user, item below U) for all items of the batch that the user has in training, so that they are not
            taken for negatives.
        inclusion_U: the probability that an item is among the candidates of such a batch, float32.
        popularity_U: each item's share of the training events, float32.
        counts_U: how often each item is a target in this batch, float32.
        evidence: what the platform's counts say about the U items for every real target, in their order, each without the
            part of its own user; None if counts are not asked.
        hidden_BL: which real slots of the history an objective is to hide and fill in, bool; None if the plan hides nothing.
        times_BL: when the events of the history were, in whole seconds, int64, unknown in padded slots (see
            :data:`~transrec.data.times.UNKNOWN_TIME`); None if the plan does not ask.
    """

    items: ItemBatch
    rows_U: Tensor
    history_BL: Tensor
    mask_BL: Tensor
    targets_BT: Tensor
    target_mask_BT: Tensor
    negatives_BK: Tensor
    own_M2: Tensor
    inclusion_U: Tensor
    popularity_U: Tensor
    counts_U: Tensor
    hidden_BL: Tensor | None = None
    evidence: Evidence | None = None
    times_BL: Tensor | None = None

    def to(self, device: torch.device) -> SequenceBatch:
        """The same batch on another device."""
        own = {name: getattr(self, name) for name in self.__slots__ if name not in ("items", "evidence")}
        tensors = {name: moved(tensor, device) for name, tensor in own.items() if tensor is not None}
        evidence = None if self.evidence is None else self.evidence.to(device)
        return replace(self, items=self.items.to(device), evidence=evidence, **tensors)


class ItemSource(Protocol):
    """Where the content of items comes from: see :class:`transrec.data.store.ContentStore`."""

    def __len__(self) -> int: ...
    def gather(self, rows: np.ndarray) -> ItemBatch:
        """The items of these distinct rows, in this order."""
        ...


class Batches(Protocol):
    """All batches of a training."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every window is seen once."""
        ...

    def batch(self, step: int) -> SequenceBatch:
        """The batch of this step; a pure function of the step."""
        ...


class SequenceBatches:
    """The training batches of one platform: a pure function of (seed, step), so that resuming needs no state.

    Args:
        split: only its training events are used.
        source: where content comes from.
        plan: which windows.
        batch_size: windows in a batch, over all ranks.
        seed: of the order and of the negatives.
        counts: of the split's training events, to be asked about every target; not asked when None.

    Raises:
        DataError: no user has two training events, so there is nothing to predict.
    """

    def __init__(
        self,
        split: Split,
        source: ItemSource,
        plan: WindowPlan,
        *,
        batch_size: int,
        seed: int,
        counts: Counts | None = None,
    ) -> None:
        self._rows, self._times = split.interactions.rows, split.interactions.times
        self._source, self._plan, self._seed, self._counts = source, plan, seed, counts
        self._batch_size, self._rank, self._ranks = batch_size, 0, 1
        self._starts, self._train_ends = split.interactions.offsets[:-1], split.train_ends
        self._windows = windows_of(self._starts, self._train_ends, plan)
        split.require_trainable()
        self._kept_order: tuple[int, np.ndarray] | None = None
        events_V = split.train_counts(len(source))
        self._popularity = (events_V / events_V.sum()).astype(np.float32)
        avoided_ends = split.interactions.offsets[1:] if plan.negatives_avoid == "line" else split.train_ends
        self._negatives = UniformNegatives(self._rows, self._starts, avoided_ends, len(source)) if plan.negatives else None

    def of_rank(self, rank: int, ranks: int) -> SequenceBatches:
        """The same batches, of each the slice that one of several processes has."""
        own = copy.copy(self)
        own._rank, own._ranks = rank, ranks
        return own

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every window is seen once; the last of them may be smaller."""
        return -(-len(self._windows) // self._batch_size)

    def batch(self, step: int) -> SequenceBatch:
        """The batch of this step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = self._order(epoch)
        chosen = order[place * self._batch_size : (place + 1) * self._batch_size]
        if len(chosen) < self._ranks:  # every rank needs a window, so some are seen twice
            chosen = np.resize(np.concatenate([chosen, order]), self._ranks)
        return self._collate(
            self._windows[chosen[self._rank :: self._ranks]], np.random.default_rng([self._seed, step, 1 + self._rank])
        )

    def _order(self, epoch: int) -> np.ndarray:
        """The order of the windows in an epoch; kept, because every step of the epoch asks for it."""
        if self._kept_order is None or self._kept_order[0] != epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._windows))
            self._kept_order = (epoch, order)
        return self._kept_order[1]

    def _collate(self, windows: np.ndarray, generator: np.random.Generator) -> SequenceBatch:
        users, history_starts, history_ends, target_starts, target_ends = windows.T
        plan = self._plan
        events_BL, mask_BL = _slots(history_starts, history_ends, plan.length)
        events_BT, target_mask_BT = _slots(target_starts, target_ends, plan.width)
        history_BL, targets_BT = self._rows[events_BL], self._rows[events_BT]
        negatives_BK = np.empty((len(users), 0), dtype=np.int64)
        if self._negatives is not None:
            negatives_BK = self._negatives.draw(users, plan.negatives, generator)
        shared = generator.choice(
            len(self._source), min(plan.shared_negatives, len(self._source)), replace=False, shuffle=False
        )
        rows_U = np.unique(np.concatenate([history_BL[mask_BL], targets_BT[target_mask_BT], negatives_BK.ravel(), shared]))
        own_M2 = self._own(users, rows_U)
        targets_BU = np.searchsorted(rows_U, targets_BT).clip(max=len(rows_U) - 1)
        popularity_U = self._popularity[rows_U]
        # the targets of "next" are the history moved on by one event
        events = int(mask_BL.sum()) + (len(users) if plan.targets == "next" else int(target_mask_BT.sum()))
        # an item is missed by each of the events, drawn by popularity, and by the uniform draw
        missed_U = np.exp(events * np.log1p(-popularity_U.astype(np.float64).clip(max=1 - 1e-9)))
        missed_U *= 1 - len(shared) / len(self._source)
        arrays = {
            "rows_U": rows_U,
            "history_BL": np.where(mask_BL, np.searchsorted(rows_U, history_BL).clip(max=len(rows_U) - 1), 0),
            "mask_BL": mask_BL,
            "targets_BT": np.where(target_mask_BT, targets_BU, 0),
            "target_mask_BT": target_mask_BT,
            "negatives_BK": np.searchsorted(rows_U, negatives_BK),
            "own_M2": own_M2,
            "inclusion_U": (1 - missed_U).astype(np.float32),
            "popularity_U": popularity_U,
            "counts_U": np.bincount(targets_BU[target_mask_BT], minlength=len(rows_U)).astype(np.float32),
        }
        if plan.hidden:
            arrays["hidden_BL"] = hidden_slots(mask_BL, plan.hidden, generator)
        if plan.times:
            arrays["times_BL"] = np.where(mask_BL, whole_seconds(self._times[events_BL]), UNKNOWN_TIME)
        evidence = None
        if self._counts is not None:
            owners_Q, places_Q = target_mask_BT.nonzero()
            training = Histories.between(self._rows, self._starts[users], self._train_ends[users])
            seen_Q = target_starts[owners_Q] + places_Q - self._starts[users][owners_Q]
            evidence = self._counts.evidence_without_own(training, owners_Q, seen_Q, rows_U)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return SequenceBatch(items=self._source.gather(rows_U), evidence=evidence, **tensors)

    def _own(self, users: np.ndarray, rows_U: np.ndarray) -> np.ndarray:
        """Pairs (place in the batch, place in ``rows_U``) of all training events of these users, int64 of shape (M, 2)."""
        own = Histories.between(self._rows, self._starts[users], self._train_ends[users])
        found = np.searchsorted(rows_U, own.rows).clip(max=len(rows_U) - 1)
        inside = rows_U[found] == own.rows
        return np.stack([own.owners[inside], found[inside]], axis=1)


def _slots(starts: np.ndarray, ends: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The events between starts and ends, padded on the right with 0, and which slots are real; (B, at most ``width``)."""
    # most histories are far shorter than the longest that is read
    events = starts[:, None] + np.arange(min(width, int((ends - starts).max(initial=1))))
    mask = events < ends[:, None]
    return np.where(mask, events, 0), mask
