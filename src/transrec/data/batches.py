"""Batches: distinct items once, histories and targets pointing into them by index.

Axes: B users (windows), L history length, T targets, K negatives, U distinct items of the batch, M pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from transrec.data.histories import Histories
from transrec.data.sampling import UniformNegatives
from transrec.data.splits import Split


@dataclass(frozen=True, slots=True, eq=False)
class ItemPart:
    """The content of one modality for those items of a batch that have it.

    Attributes:
        index_n: which of the batch's U items these are, int64, increasing.
        content: what the modality's encoder prepared, tensors of shape (n, ...); or, where the encoder learns nothing,
            the vectors that it made of them once and for all, float of shape (n, width).
    """

    index_n: Tensor
    content: Mapping[str, Tensor] | Tensor

    def to(self, device: torch.device) -> ItemPart:
        """The same part on another device."""
        if isinstance(self.content, Tensor):
            return ItemPart(_moved(self.index_n, device), _moved(self.content, device))
        return ItemPart(_moved(self.index_n, device), {name: _moved(t, device) for name, t in self.content.items()})


@dataclass(frozen=True, slots=True, eq=False)
class ItemBatch:
    """U distinct items with the content that they have.

    Attributes:
        size: U.
        parts: by modality; a modality that none of the items has may be absent.
    """

    size: int
    parts: Mapping[str, ItemPart]

    def to(self, device: torch.device) -> ItemBatch:
        """The same items on another device."""
        return ItemBatch(self.size, {name: part.to(device) for name, part in self.parts.items()})


@dataclass(frozen=True, slots=True, eq=False)
class SequenceBatch:
    """What one training step sees.

    Attributes:
        items: the U distinct items that occur anywhere below.
        rows_U: their catalog rows.
        history_BL: which item stands where, as an index below U; 0 in padded slots. Oldest first, padded on the right.
        mask_BL: which slots of the history are real.
        targets_BT: what has to be predicted, as indices below U. For ``"next"`` plans T = L and the target at a position is
            the item after it; for ``"following"`` plans these are the T items after the history.
        target_mask_BT: which targets are real.
        negatives_BK: sampled items, as indices below U; K may be 0.
        own_M2: pairs (user, item below U) for all items of the batch that the user has in training, so that they are not
            taken for negatives.
        inclusion_U: the probability that an item is among the candidates of such a batch, float32.
        popularity_U: each item's share of the training events, float32.
        counts_U: how often each item is a target in this batch, float32.
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

    def to(self, device: torch.device) -> SequenceBatch:
        """The same batch on another device."""
        tensors = {name: _moved(getattr(self, name), device) for name in self.__slots__ if name != "items"}
        return replace(self, items=self.items.to(device), **tensors)


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """Which windows of a user's training events an objective learns from.

    Attributes:
        targets: ``"next"``: every position predicts the item after it; ``"following"``: the whole history predicts the
            ``horizon`` items after it.
        length: the longest history, L.
        horizon: T of ``"following"``.
        negatives: K items sampled for each user.
        windows: ``"all"``: windows that make every training event but the first a target once an epoch; ``"last"``: one
            window a user, the latest, as published.
        shared_negatives: items drawn uniformly for the whole batch, as further candidates.
        negatives_avoid: what sampled negatives avoid: the user's ``"training"`` events, or the whole ``"line"`` with
            the held-out events, as published (which tells the model a little about what is held out).
    """

    targets: Literal["next", "following"]
    length: int
    horizon: int = 1
    negatives: int = 0
    windows: Literal["all", "last"] = "all"
    shared_negatives: int = 0
    negatives_avoid: Literal["training", "line"] = "training"


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
        shard: which slice of every batch is ours (the rank), of how many.

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
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        self._rows = split.interactions.rows
        self._source, self._plan, self._seed = source, plan, seed
        self._batch_size, (self._rank, self._ranks) = batch_size, shard
        self._starts, self._train_ends = split.interactions.offsets[:-1], split.train_ends
        self._windows = _windows(self._starts, self._train_ends, plan)
        split.require_trainable()
        self._kept_order: tuple[int, np.ndarray] | None = None
        counts = split.train_counts(len(source))
        self._popularity = (counts / counts.sum()).astype(np.float32)
        avoided_ends = split.interactions.offsets[1:] if plan.negatives_avoid == "line" else split.train_ends
        self._negatives = UniformNegatives(self._rows, self._starts, avoided_ends, len(source)) if plan.negatives else None

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
        width = plan.length if plan.targets == "next" else plan.horizon
        history_BL, mask_BL = self._slots(history_starts, history_ends, plan.length)
        targets_BT, target_mask_BT = self._slots(target_starts, target_ends, width)
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
        events = (
            int(mask_BL.sum() + target_mask_BT.sum()) if plan.targets == "following" else int(mask_BL.sum() + len(users))
        )
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
        return SequenceBatch(items=self._source.gather(rows_U), **{n: torch.from_numpy(a) for n, a in arrays.items()})

    def _slots(self, starts: np.ndarray, ends: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows between starts and ends, padded on the right, and which slots are real; both (B, width)."""
        positions = starts[:, None] + np.arange(width)
        mask = positions < ends[:, None]
        return self._rows[np.where(mask, positions, 0)], mask

    def _own(self, users: np.ndarray, rows_U: np.ndarray) -> np.ndarray:
        """Pairs (place in the batch, place in ``rows_U``) of all training events of these users, int64 of shape (M, 2)."""
        own = Histories.between(self._rows, self._starts[users], self._train_ends[users])
        found = np.searchsorted(rows_U, own.rows).clip(max=len(rows_U) - 1)
        inside = rows_U[found] == own.rows
        return np.stack([own.owners[inside], found[inside]], axis=1)


class MixedBatches:
    """The batches of several platforms, each batch from one of them, in an order that depends on (seed, epoch) alone.

    An epoch holds every window of every platform once. Negatives come from the batch's own platform: telling platforms
    apart would be easy and teach nothing.
    """

    def __init__(self, platforms: Sequence[SequenceBatches], *, seed: int) -> None:
        self._platforms, self._seed = platforms, seed
        self._which = np.repeat(np.arange(len(platforms)), [p.steps_per_epoch for p in platforms])

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every window of every platform is seen once."""
        return len(self._which)

    def batch(self, step: int) -> SequenceBatch:
        """The batch of this step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order: np.ndarray = np.random.default_rng([self._seed, epoch, 7]).permutation(self._which)
        which = int(order[place])
        own_step = int((order[:place] == which).sum())
        return self._platforms[which].batch(epoch * self._platforms[which].steps_per_epoch + own_step)


def _windows(starts: np.ndarray, ends: np.ndarray, plan: WindowPlan) -> np.ndarray:
    """All windows as rows (user, history start, history end, targets start, targets end), int64 of shape (W, 5)."""
    stride = plan.length if plan.targets == "next" else plan.horizon
    predictable = np.maximum(ends - starts - 1, 0)
    per_user = -(-predictable // stride)
    if plan.windows == "last":
        per_user = np.minimum(per_user, 1)
    users = np.repeat(np.arange(len(starts)), per_user)
    backwards = np.arange(len(users)) - np.repeat(np.cumsum(per_user) - per_user, per_user)
    target_ends = ends[users] - backwards * stride
    target_starts = np.maximum(target_ends - stride, starts[users] + 1)
    if plan.targets == "next":
        history_starts, history_ends = target_starts - 1, target_ends - 1
    else:
        history_starts, history_ends = np.maximum(target_starts - plan.length, starts[users]), target_starts
    return np.stack([users, history_starts, history_ends, target_starts, target_ends], axis=1)


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
