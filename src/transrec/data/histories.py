"""Histories: what some users did so far, as ragged catalog rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from transrec.data.interactions import Interactions
from transrec.data.splits import Targets
from transrec.data.times import UNKNOWN_TIME, whole_seconds


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """The rows that each of B users touched, oldest first; a user may have none, and a row may repeat.

    Attributes:
        rows: catalog rows of all users one after another, int64 of shape (M,).
        offsets: the history of user ``b`` is ``rows[offsets[b]:offsets[b + 1]]``; int64 of shape (B + 1,).
        times: when, in whole seconds, int64 of shape (M,), :data:`~transrec.data.times.UNKNOWN_TIME` where that is not
            known; None where nobody asks.
    """

    rows: np.ndarray
    offsets: np.ndarray
    times: np.ndarray | None = None

    @classmethod
    def from_lists(cls, histories: Sequence[Sequence[int]] | Sequence[np.ndarray]) -> Histories:
        """Histories from one sequence of rows a user."""
        offsets = np.zeros(len(histories) + 1, dtype=np.int64)
        np.cumsum([len(history) for history in histories], out=offsets[1:])
        rows = np.concatenate(
            [np.asarray(history, dtype=np.int64) for history in histories] or [np.zeros(0, dtype=np.int64)]
        )
        return cls(rows, offsets)

    @classmethod
    def before(cls, interactions: Interactions, targets: Targets, *, times: bool = False) -> Histories:
        """For each target everything that its user did before it; with ``times``, also when."""
        starts, ends = interactions.offsets[targets.users], targets.positions
        found = cls.between(interactions.rows, starts, ends, interactions.times if times else None)
        return found if found.times is None else replace(found, times=whole_seconds(found.times))

    @classmethod
    def between(cls, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray, times: np.ndarray | None = None) -> Histories:
        """For each of B users the rows (and times) from its start to its end (exclusive), without a loop over users."""
        offsets = np.zeros(len(starts) + 1, dtype=np.int64)
        np.cumsum(ends - starts, out=offsets[1:])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], ends - starts)
        places = within + np.repeat(starts, ends - starts)
        return cls(rows[places], offsets, None if times is None else times[places])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """The number of rows of each user, int64 of shape (B,)."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> np.ndarray:
        """The user that each row belongs to, int64 of shape (M,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def block(self, start: int, stop: int) -> Histories:
        """The histories of the users from ``start`` to ``stop`` (exclusive), without a copy of the rows."""
        offsets = self.offsets[start : stop + 1]
        times = None if self.times is None else self.times[offsets[0] : offsets[-1]]
        return Histories(self.rows[offsets[0] : offsets[-1]], offsets - offsets[0], times)

    def last(self, length: int) -> Histories:
        """The newest ``length`` rows of each user; shorter histories stay as they are."""
        starts = np.maximum(self.offsets[:-1], self.offsets[1:] - length)
        return self.between(self.rows, starts, self.offsets[1:], self.times)

    def below(self, size: int) -> Histories:
        """The histories without what stands at rows from ``size`` on."""
        kept = self.rows < size
        lengths = np.bincount(self.owners[kept], minlength=len(self))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Histories(self.rows[kept], offsets, None if self.times is None else self.times[kept])

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows as a rectangle, oldest first and padded on the right with 0, and which slots are real: both (B, L)."""
        mask_BL = self._mask()
        rows_BL = np.zeros(mask_BL.shape, dtype=np.int64)
        rows_BL[mask_BL] = self.rows
        return rows_BL, mask_BL

    def padded_times(self) -> np.ndarray | None:
        """The times in the slots of :meth:`padded`, unknown in padded ones, int64 of shape (B, L); None without times."""
        if self.times is None:
            return None
        mask_BL = self._mask()
        times_BL = np.full(mask_BL.shape, UNKNOWN_TIME, dtype=np.int64)
        times_BL[mask_BL] = self.times
        return times_BL

    def _mask(self) -> np.ndarray:
        mask_BL: np.ndarray = np.arange(max(self.lengths.max(initial=0), 1)) < self.lengths[:, None]
        return mask_BL
