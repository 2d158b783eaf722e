"""Epochs: which windows each of them has, in which order; a pure function of (seed, epoch).

Axes: N events, W windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """What is learned again when a training goes on after another.

    Attributes:
        new_N: which events the earlier training has not learned from, bool.
        share: of an epoch's windows, how many are drawn from those without a new target, from 0 to below 1.
    """

    new_N: np.ndarray
    share: float

    def is_new(self, windows: np.ndarray) -> np.ndarray:
        """Which windows have a new target, or without targets a new event, bool (W,).

        Args:
            windows: see :func:`~transrec.data.windows.windows_of`.
        """
        _, history_starts, history_ends, target_starts, target_ends = windows.T
        aimless = target_starts == target_ends
        starts, ends = np.where(aimless, history_starts, target_starts), np.where(aimless, history_ends, target_ends)
        before = np.concatenate([[0], np.cumsum(self.new_N)])
        new: np.ndarray = before[ends] > before[starts]
        return new


@final
class Epochs:
    """The windows of every epoch, as indices.

    Without a replay each epoch has all of them. With one it has every window with something new, and as many of the others
    as the replay's share asks for: these take turns, so that in enough epochs all of them are seen. Where nothing is new
    all windows are in every epoch.

    Args:
        windows: see :func:`~transrec.data.windows.windows_of`, (W, 5).
        seed: of the order, and of the turns.
        replay: what is learned again; None: all windows are alike.
    """

    def __init__(self, windows: np.ndarray, seed: int, replay: Replay | None = None) -> None:
        self._seed = seed
        new_W = np.ones(len(windows), dtype=bool) if replay is None else replay.is_new(windows)
        self._old = np.flatnonzero(~new_W)
        if not new_W.any():
            new_W, self._old = ~new_W, self._old[:0]
        self._new = np.flatnonzero(new_W)
        share = replay.share if replay else 0.0
        self._replayed = min(len(self._old), round(len(self._new) * share / (1 - share)))
        self._kept: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        """Windows in an epoch."""
        return len(self._new) + self._replayed

    def order(self, epoch: int) -> np.ndarray:
        """The windows of an epoch in their order; kept, because every step of the epoch asks for it."""
        kept = self._kept  # other threads look for other epochs
        if kept is None or kept[0] != epoch:
            windows = np.concatenate([self._new, self._turns(epoch)])
            order = np.random.default_rng([self._seed, epoch]).permutation(len(windows))
            kept = self._kept = (epoch, windows[order])
        return kept[1]

    def _turns(self, epoch: int) -> np.ndarray:
        """The windows without anything new whose turn it is: a section of an endless row of permutations of them."""
        places = epoch * self._replayed + np.arange(self._replayed)
        turns, places = np.divmod(places, max(1, len(self._old)))
        drawn = [
            np.random.default_rng([self._seed, int(turn), 8]).permutation(self._old)[places[turns == turn]]
            for turn in np.unique(turns)
        ]
        return np.concatenate([self._old[:0], *drawn])
