"""Batches: distinct items once, histories and targets pointing into them by index.

Axes: B users (windows), L history length, T targets, K negatives, U distinct items of the batch, R items of former batches,
C candidates (the U and then the R), M pairs.
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
from transrec.data.drawing import Draws
from transrec.data.histories import Histories
from transrec.data.ragged import moved
from transrec.data.sharing import dealt
from transrec.data.splits import Split
from transrec.data.windows import WindowPlan


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
class Shares:
    """Which items of a batch each of several processes encodes; together they have every one of them once.

    Attributes:
        order_U: places of all items among the U, int64; those of the first process first.
        sizes: how many each process has.
    """

    order_U: Tensor
    sizes: tuple[int, ...]

    def to(self, device: torch.device) -> Shares:
        """The same on another device."""
        return replace(self, order_U=moved(self.order_U, device))


@dataclass(frozen=True, slots=True, eq=False)
class SequenceBatch:
    """What one training step sees; where several processes train together, each of them sees all of it.

    Attributes:
        items: the U distinct items that occur anywhere below; where processes share them, those of this one alone.
        rows_U: their catalog rows.
        history_BL: which item stands where, as an index below U; 0 in padded slots. Oldest first, padded on the right.
        mask_BL: which slots of the history are real.
        targets_BT: what has to be predicted, as indices below U. For ``"next"`` plans T = L and the target at a position is
            the item after it; for ``"following"`` plans these are the T items after the history; for ``"none"`` plans T = 0.
        target_mask_BT: which targets are real.
        negatives_BK: sampled items, as indices below U; K may be 0.
        own_M2: pairs (user, candidate below C) for all candidates that the user has in training, so that they are not taken
            for negatives.
        inclusion_U: the probability that an item is among those of such a batch, float32.
        inclusion_C: the probability that an item is among the candidates, those of former batches included, float32.
        popularity_C: each candidate's share of the training events, float32.
        counts_C: how often each candidate is a target in this batch, float32.
        hidden_BL: which real slots of the history an objective is to hide and fill in, bool; None if the plan hides nothing.
        views_2BL: which slot of the history stands at each place of two further views of it, int64, see
            :mod:`~transrec.data.augmenting`; None if the plan has none.
        times_BL: when the events of the history were, in whole seconds, int64, unknown in padded slots (see
            :data:`~transrec.data.times.UNKNOWN_TIME`); None if the plan does not ask.
        shares: which items each process encodes; None where one has them all.
        former_R: catalog rows of the former batches' items that this batch does not have, increasing; None if the plan
            remembers nothing. Their content is not here.
        evidence: what the platform's counts say about the candidates for every real target, in their order, each without the
            part of its own user; None if counts are not asked.
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
    inclusion_C: Tensor
    popularity_C: Tensor
    counts_C: Tensor
    hidden_BL: Tensor | None = None
    views_2BL: Tensor | None = None
    former_R: Tensor | None = None
    evidence: Evidence | None = None
    times_BL: Tensor | None = None
    shares: Shares | None = None

    def to(self, device: torch.device) -> SequenceBatch:
        """The same batch on another device."""
        own = {name: getattr(self, name) for name in self.__slots__ if name not in ("items", "evidence", "shares")}
        tensors: dict[str, Any] = {name: moved(tensor, device) for name, tensor in own.items() if tensor is not None}
        evidence = None if self.evidence is None else self.evidence.to(device)
        shares = None if self.shares is None else self.shares.to(device)
        return replace(self, items=self.items.to(device), evidence=evidence, shares=shares, **tensors)


class ItemSource(Protocol):
    """Where the content of items comes from: see :class:`transrec.data.store.ContentStore`."""

    def __len__(self) -> int: ...
    def gather(self, rows: np.ndarray) -> ItemBatch:
        """The items of these distinct rows, in this order."""
        ...

    def loads(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each of these rows a number that items of equal content share, and how much there is to encode, both int64."""
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
        batch_size: windows in a batch.
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
        events = split.interactions
        self._rows, self._starts, self._train_ends = events.rows, events.offsets[:-1], split.train_ends
        self._source, self._plan, self._counts = source, plan, counts
        self._rank, self._ranks, self._device = 0, 1, torch.device("cpu")
        self._draws = Draws(split, len(source), plan, batch_size=batch_size, seed=seed)
        events_V = split.train_counts(len(source))
        self._popularity = (events_V / events_V.sum()).astype(np.float32)

    def of_rank(self, rank: int, ranks: int) -> SequenceBatches:
        """The same batches, with the content of those items alone that one of several processes is to encode."""
        own = copy.copy(self)
        own._rank, own._ranks = rank, ranks
        return own

    def going_to(self, device: torch.device) -> SequenceBatches:
        """The same batches; an accelerator is left to add up what counts say, which it does sooner than it is sent there."""
        own = copy.copy(self)
        own._device = device
        return own

    def __len__(self) -> int:
        return len(self._draws)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every window is seen once; the last of them may be smaller."""
        return self._draws.steps_per_epoch

    def batch(self, step: int) -> SequenceBatch:
        """The batch of this step."""
        drawn = self._draws.at(step)
        former = self._draws.before(step, drawn)
        rows_U, rows_C = drawn.rows_U, np.concatenate([drawn.rows_U, former.rows_R])
        targets_BU = np.searchsorted(rows_U, drawn.targets_BT).clip(max=len(rows_U) - 1)
        history_BU = np.searchsorted(rows_U, drawn.history_BL).clip(max=len(rows_U) - 1)
        training = Histories.between(self._rows, self._starts[drawn.users], self._train_ends[drawn.users])
        arrays = {
            "rows_U": rows_U,
            "history_BL": np.where(drawn.mask_BL, history_BU, 0),
            "mask_BL": drawn.mask_BL,
            "targets_BT": np.where(drawn.target_mask_BT, targets_BU, 0),
            "target_mask_BT": drawn.target_mask_BT,
            "negatives_BK": np.searchsorted(rows_U, drawn.negatives_BK),
            "own_M2": _own(training, rows_C),
            "inclusion_U": self._inclusion(rows_U, drawn.events, batches=1),
            "inclusion_C": self._inclusion(rows_C, drawn.events + former.events, batches=1 + former.batches),
            "popularity_C": self._popularity[rows_C],
            "counts_C": np.bincount(targets_BU[drawn.target_mask_BT], minlength=len(rows_C)).astype(np.float32),
        }
        if drawn.hidden_BL is not None:
            arrays["hidden_BL"] = drawn.hidden_BL
        if drawn.views_2BL is not None:
            arrays["views_2BL"] = drawn.views_2BL
        if self._plan.memory:
            arrays["former_R"] = former.rows_R
        if drawn.times_BL is not None:
            arrays["times_BL"] = drawn.times_BL
        evidence = None
        if self._counts is not None:
            owners_Q, places_Q = drawn.target_mask_BT.nonzero()
            seen_Q = drawn.target_starts[owners_Q] + places_Q - self._starts[drawn.users][owners_Q]
            here = self._device.type == "cpu"
            evidence = self._counts.evidence_without_own(training, owners_Q, seen_Q, rows_C, added_up=here)
        tensors: dict[str, Any] = {name: torch.from_numpy(array) for name, array in arrays.items()}
        if self._ranks == 1:
            return SequenceBatch(items=self._source.gather(rows_U), evidence=evidence, **tensors)
        deal = dealt(*self._source.loads(rows_U), self._ranks)
        shares = Shares(torch.from_numpy(np.concatenate(deal)), tuple(len(own) for own in deal))
        items = self._source.gather(rows_U[deal[self._rank]])
        return SequenceBatch(items=items, evidence=evidence, shares=shares, **tensors)

    def _inclusion(self, rows: np.ndarray, events: int, *, batches: int) -> np.ndarray:
        """The probability that these items are in a batch, or in any of several, float32.

        An item is missed by each of their events, drawn by popularity, and by the uniform draw of each.
        """
        missed = np.exp(events * np.log1p(-self._popularity[rows].astype(np.float64).clip(max=1 - 1e-9)))
        missed *= (1 - self._draws.shared / len(self._source)) ** batches
        return np.asarray(1 - missed, dtype=np.float32)


def _own(training: Histories, rows_C: np.ndarray) -> np.ndarray:
    """Pairs (place in the batch, place in ``rows_C``) of all training events of its users, int64 of shape (M, 2)."""
    order = rows_C.argsort()
    found = order[np.searchsorted(rows_C, training.rows, sorter=order).clip(max=len(rows_C) - 1)]
    inside = rows_C[found] == training.rows
    return np.stack([training.owners[inside], found[inside]], axis=1)
