"""Draws: which windows and items every training batch has, as catalog rows; a pure function of (seed, step).

Axes: B users (windows), L history length, T targets, K negatives, U distinct items of the batch, R items of former batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from transrec.data.augmenting import two_views
from transrec.data.epochs import Epochs
from transrec.data.masking import hidden_slots
from transrec.data.sampling import UniformNegatives
from transrec.data.splits import Split
from transrec.data.times import UNKNOWN_TIME, whole_seconds
from transrec.data.windows import WindowPlan, windows_of

NEAR = 8
"""Steps away at which other threads may be, whose batches' items are kept for theirs."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What one batch is made of.

    Attributes:
        users: whose windows these are, (B,).
        target_starts: where the targets of each begin among all events, (B,).
        history_BL: catalog rows; anything in padded slots.
        mask_BL: which slots of the history are real.
        targets_BT: catalog rows; anything in padded slots.
        target_mask_BT: which targets are real.
        negatives_BK: catalog rows.
        hidden_BL: which real slots of the history are hidden; None if the plan hides nothing.
        views_2BL: two views of every history, see :mod:`~transrec.data.augmenting`; None if the plan has none.
        times_BL: when the events of the history were, in whole seconds, unknown in padded slots; None if the plan does not
            ask.
        rows_U: the distinct items of all of these and of the uniform draw, increasing.
        events: how many training events are in it, each of them a draw by popularity.
    """

    users: np.ndarray
    target_starts: np.ndarray
    history_BL: np.ndarray
    mask_BL: np.ndarray
    targets_BT: np.ndarray
    target_mask_BT: np.ndarray
    negatives_BK: np.ndarray
    hidden_BL: np.ndarray | None
    views_2BL: np.ndarray | None
    times_BL: np.ndarray | None
    rows_U: np.ndarray
    events: int


@dataclass(frozen=True, slots=True, eq=False)
class Former:
    """The items of the batches before one.

    Attributes:
        rows_R: those that the batch itself does not have, increasing.
        events: training events in the former batches.
        batches: how many they are.
    """

    rows_R: np.ndarray
    events: int
    batches: int


@final
class Draws:
    """What the training batches of one platform are made of.

    Args:
        split: only its training events are used.
        num_items: V.
        plan: which windows.
        batch_size: windows in a batch.
        seed: of the order, of the negatives and of what is hidden.

    Raises:
        DataError: no user has two training events, so there is nothing to predict.
    """

    def __init__(self, split: Split, num_items: int, plan: WindowPlan, *, batch_size: int, seed: int) -> None:
        split.require_trainable()
        self._rows, self._times = split.interactions.rows, split.interactions.times
        self._num_items, self._plan, self._seed = num_items, plan, seed
        self._batch_size = batch_size
        starts = split.interactions.offsets[:-1]
        self._windows = windows_of(starts, split.train_ends, plan)
        self._epochs = Epochs(self._windows, seed, split.replay)
        self._kept_rows: dict[int, tuple[np.ndarray, int]] = {}
        avoided_ends = split.interactions.offsets[1:] if plan.negatives_avoid == "line" else split.train_ends
        self._negatives = UniformNegatives(self._rows, starts, avoided_ends, num_items) if plan.negatives else None

    def __len__(self) -> int:
        return len(self._epochs)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every window of an epoch is seen once; the last of them may be smaller."""
        return -(-len(self._epochs) // self._batch_size)

    @property
    def shared(self) -> int:
        """Items that are drawn uniformly for a batch; all of the catalog's where more are asked for."""
        return min(self._plan.shared_negatives, self._num_items)

    def at(self, step: int) -> Drawn:
        """What the batch of this step is made of."""
        users, history_starts, history_ends, target_starts, target_ends = self._chosen(step).T
        plan, generator = self._plan, np.random.default_rng([self._seed, step, 1])
        events_BL, mask_BL = _slots(history_starts, history_ends, plan.length)
        events_BT, target_mask_BT = _slots(target_starts, target_ends, plan.width)
        history_BL, targets_BT = self._rows[events_BL], self._rows[events_BT]
        negatives_BK = np.empty((len(users), 0), dtype=np.int64)
        if self._negatives is not None:
            negatives_BK = self._negatives.draw(users, plan.negatives, generator)
        # a generator of its own: with or without views, the negatives are the same
        views = two_views(mask_BL, plan.views, np.random.default_rng([self._seed, step, 2])) if plan.views else None
        shared = generator.choice(self._num_items, self.shared, replace=False, shuffle=False)
        # the targets of "next" are the history moved on by one event
        more = len(users) if plan.targets == "next" else int(target_mask_BT.sum())
        return Drawn(
            users=users,
            target_starts=target_starts,
            history_BL=history_BL,
            mask_BL=mask_BL,
            targets_BT=targets_BT,
            target_mask_BT=target_mask_BT,
            negatives_BK=negatives_BK,
            hidden_BL=hidden_slots(mask_BL, plan.hidden, generator) if plan.hidden else None,
            views_2BL=views,
            times_BL=np.where(mask_BL, whole_seconds(self._times[events_BL]), UNKNOWN_TIME) if plan.times else None,
            rows_U=np.unique(
                np.concatenate([history_BL[mask_BL], targets_BT[target_mask_BT], negatives_BK.ravel(), shared])
            ),
            events=int(mask_BL.sum()) + more,
        )

    def before(self, step: int, drawn: Drawn) -> Former:
        """The items of as many batches before this step as the plan remembers; fewer at the beginning.

        Args:
            step: of a batch.
            drawn: what that batch is made of.
        """
        steps = range(max(0, step - self._plan.memory), step)
        others = self._kept_rows  # another thread may put others there meanwhile
        kept = {known: others[known] for known in steps if known in others}
        for missing in steps:
            if missing not in kept:
                former = self.at(missing)
                kept[missing] = (former.rows_U, former.events)
        if self._plan.memory:
            near = {known: rows for known, rows in others.items() if abs(known - step) <= self._plan.memory + NEAR}
            self._kept_rows = {**near, **kept, step: (drawn.rows_U, drawn.events)}  # the next steps ask for them
        rows = np.concatenate([np.empty(0, dtype=np.int64), *(rows_U for rows_U, _ in kept.values())])
        return Former(np.setdiff1d(rows, drawn.rows_U), sum(events for _, events in kept.values()), len(steps))

    def _chosen(self, step: int) -> np.ndarray:
        """The windows of this step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        chosen = self._epochs.order(epoch)[place * self._batch_size : (place + 1) * self._batch_size]
        windows: np.ndarray = self._windows[chosen]
        return windows


def _slots(starts: np.ndarray, ends: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The events between starts and ends, padded on the right, and which slots are real; both (B, at most ``width``)."""
    # most histories are far shorter than the longest that is read
    positions = starts[:, None] + np.arange(min(width, int((ends - starts).max(initial=1))))
    mask = positions < ends[:, None]
    return np.where(mask, positions, 0), mask
