"""Samplers: items that a user is not known to have touched; every draw takes a generator."""

from __future__ import annotations

import numpy as np

from transrec.data.histories import Histories
from transrec.errors import DataError

ROUNDS = 64
"""Rounds of drawing again before a user is given the exact, slower way."""


class UniformNegatives:
    """Items drawn uniformly, without replacement, from the catalog without a user's own items.

    Membership is a search in one sorted array of (user, row) keys, so a draw costs neither a set nor an array of catalog
    length for each user.

    Args:
        rows: catalog rows of all events, grouped by user.
        starts: where each user's events begin, (users,).
        ends: where the events end that are to be avoided, (users,).
        num_items: V.
    """

    def __init__(self, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray, num_items: int) -> None:
        self._num_items = num_items
        own = Histories.between(rows, starts, ends)
        self._keys = np.unique(own.owners * num_items + own.rows)

    def draw(self, users: np.ndarray, k: int, generator: np.random.Generator) -> np.ndarray:
        """Catalog rows, int64 of shape (users, k), distinct within each user.

        Raises:
            DataError: a user has touched so many items that fewer than ``k`` are left.
        """
        drawn = generator.integers(self._num_items, size=(len(users), k))
        for _ in range(ROUNDS):
            again = self._unusable(users, drawn)
            if not again.any():
                return drawn
            drawn[again] = generator.integers(self._num_items, size=int(again.sum()))
        for place in np.flatnonzero(self._unusable(users, drawn).any(axis=1)):
            drawn[place] = self._exact(int(users[place]), k, generator)
        return drawn

    def _unusable(self, users: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Which draws are the user's own or occur earlier in their row."""
        keys = users[:, None] * self._num_items + drawn
        found = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        order = np.argsort(drawn, axis=1, kind="stable")
        ordered = np.take_along_axis(drawn, order, axis=1)
        repeated = np.zeros_like(drawn, dtype=bool)
        np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
        unusable: np.ndarray = (self._keys[found] == keys) | repeated
        return unusable

    def _exact(self, user: int, k: int, generator: np.random.Generator) -> np.ndarray:
        low, high = np.searchsorted(self._keys, [user * self._num_items, (user + 1) * self._num_items])
        left = np.setdiff1d(np.arange(self._num_items), self._keys[low:high] - user * self._num_items)
        if len(left) < k:
            raise DataError(
                f"a user has touched all but {len(left)} of the {self._num_items:,} items; {k} negatives are asked for",
                remedy="ask for fewer negatives, or train with in-batch softmax",
            )
        return generator.choice(left, k, replace=False)
