"""Counts: what a platform's training events say without any content: how often, and what with what.

Nothing here is learned. A model learns how much such counts are worth (:mod:`transrec.prior`), and takes that along to
another platform, where the counts are others.

Axes: Q queries, C candidates, V items of the catalog, R items that are asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from transrec.data.cooccurrence import (
    count_companions,
    count_followers,
    followers_by_distance,
    last_items,
    strongest,
    training_histories,
)
from transrec.data.histories import Histories
from transrec.data.ragged import moved
from transrec.data.splits import Split
from transrec.data.votes import Votes, VoteTable

FOLLOWERS = "followers"
COMPANIONS = "companions"
KINDS = (FOLLOWERS, COMPANIONS)
"""What counts can say of a history and a candidate: it tends to follow; users who have the one have the other."""

REACH = 10
"""A follower is at most so many events behind; at distance d it counts 1/d."""
VOTERS = {FOLLOWERS: 5, COMPANIONS: 30}
"""So many of a history's last items are asked."""
FADE = {FOLLOWERS: 1.0, COMPANIONS: 0.0}
"""The d-th last of them counts d to the power of minus this."""
LONGEST = 100
"""Of each user so many of the last training events are looked at for companions: pairs grow with the square."""
KEPT = {FOLLOWERS: 1000, COMPANIONS: 200}
"""So many followers (the most frequent) and companions (those of the largest cosine) of an item are kept."""
SHRINKAGE = 5.0
"""Added to what shares are taken of, so that a pair seen once says little."""
CPU = torch.device("cpu")
"""Where batches are made."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What counts say about candidates for some queries.

    Attributes:
        popularity_C: training events of each candidate, float32.
        shares: by kind (see :data:`KINDS`), how strong it is for every query and candidate, float32 of shape (Q, C), at
            least 0.
        targets_Q: in training, the candidate that each query should find, int64; else None.
        target_popularity_Q: in training, the events of the target without those of the query's own user, float32; else None.
        some_untouched: whether a candidate has no training events, as far as it is known.
        votes: by kind, shares that are not there yet: they are added up by :meth:`to`, on the device.
    """

    popularity_C: Tensor
    shares: Mapping[str, Tensor]
    targets_Q: Tensor | None = None
    target_popularity_Q: Tensor | None = None
    some_untouched: bool | None = None
    votes: Mapping[str, Votes] = field(default_factory=dict)

    @property
    def untouched(self) -> bool:
        """Whether a candidate has no training events; an accelerator is waited for where that is not known."""
        return bool((self.popularity_C == 0).any()) if self.some_untouched is None else self.some_untouched

    def to(self, device: torch.device) -> Evidence:
        """The same on another device, with all shares."""
        untouched = self.untouched if self.popularity_C.device.type == "cpu" else self.some_untouched
        shares = {kind: moved(shares_QC, device) for kind, shares_QC in self.shares.items()}
        shares |= {kind: votes.added_up(device) for kind, votes in self.votes.items()}
        targets = None if self.targets_Q is None else moved(self.targets_Q, device)
        popularity = None if self.target_popularity_Q is None else moved(self.target_popularity_Q, device)
        return Evidence(moved(self.popularity_C, device), shares, targets, popularity, untouched)

    def of_queries(self, queries: slice) -> Evidence:
        """The same about some of the queries; nothing is copied."""
        assert not self.votes, "votes are added up first, by to()"
        shares = {kind: shares_QC[queries] for kind, shares_QC in self.shares.items()}
        targets = None if self.targets_Q is None else self.targets_Q[queries]
        popularity = None if self.target_popularity_Q is None else self.target_popularity_Q[queries]
        return Evidence(self.popularity_C, shares, targets, popularity, self.some_untouched)


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """The counts of one platform.

    Attributes:
        popularity_V: training events of each item, int64.
        tables: by kind, of each item (row) and each other (column), csr (V, V) float32: how much the other followed the one;
            how many users have both.
        totals: by kind, what the rows of a table are shares of, float32 of shape (V,): all that followed the item; its
            events.
        voting: the tables as votes are added up with, by kind.
    """

    popularity_V: np.ndarray
    tables: Mapping[str, sp.csr_array]
    totals: Mapping[str, np.ndarray]
    voting: Mapping[str, VoteTable] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "voting", {kind: VoteTable(table) for kind, table in self.tables.items()})

    @classmethod
    def of(cls, split: Split, num_items: int) -> Counts:
        """The counts of a split's training events; nothing else of it is looked at.

        Args:
            split: of the platform's events.
            num_items: V.
        """
        return cls.of_histories(training_histories(split), num_items)

    @classmethod
    def of_histories(cls, histories: Histories, num_items: int) -> Counts:
        """The counts of these histories.

        Args:
            histories: of all users.
            num_items: V.
        """
        popularity_V = np.bincount(histories.rows, minlength=num_items)
        followers = count_followers(histories, num_items, window=REACH, fade=1.0)
        totals = {FOLLOWERS: followers.sum(axis=1) + SHRINKAGE, COMPANIONS: popularity_V + SHRINKAGE}
        particular_V = np.maximum(popularity_V, 1) ** -0.5
        tables = {
            FOLLOWERS: strongest(followers, np.ones(num_items), KEPT[FOLLOWERS]),
            COMPANIONS: count_companions(histories.last(LONGEST), num_items, weights_V=particular_V, kept=KEPT[COMPANIONS]),
        }
        return cls(popularity_V, tables, {kind: total.astype(np.float32) for kind, total in totals.items()})

    @classmethod
    def none(cls, num_items: int) -> Counts:
        """The counts of a platform on which nothing has happened yet."""
        return cls.of_histories(Histories.from_lists([]), num_items)

    def __len__(self) -> int:
        return len(self.popularity_V)

    def with_unseen(self, number: int) -> Counts:
        """The counts of the same catalog with so many items at its end that nobody has touched yet."""
        size = len(self) + number
        tables = {}
        for kind, table in self.tables.items():
            ends = np.pad(table.indptr, (0, number), mode="edge")
            tables[kind] = sp.csr_array((table.data, table.indices, ends), shape=(size, size))
        totals = {k: np.pad(total, (0, number), constant_values=SHRINKAGE) for k, total in self.totals.items()}
        return Counts(np.pad(self.popularity_V, (0, number)), tables, totals)

    def lie_on(self, device: torch.device) -> None:
        """Copy to a device what batches that go there ask, which their first one would do otherwise."""
        for table in self.voting.values():
            if device.type != "cpu" and table.may_lie_elsewhere:
                table.on(device)

    def evidence(self, histories: Histories) -> Evidence:
        """What the counts say about the whole catalog after these histories.

        Args:
            histories: of Q users.
        """
        shares = {kind: torch.from_numpy(votes.toarray()) for kind, votes in self.votes(histories).items()}
        return Evidence(torch.from_numpy(self.popularity_V.astype(np.float32)), shares)

    def votes(self, histories: Histories) -> Mapping[str, sp.csr_array]:
        """The shares of :meth:`evidence` that are not 0, by kind, csr of shape (Q, V).

        Args:
            histories: of Q users.
        """
        return {kind: self._asked(kind, histories) @ self.tables[kind] for kind in KINDS}

    def evidence_without_own(
        self, training: Histories, owners_Q: np.ndarray, seen_Q: np.ndarray, rows_C: np.ndarray, *, added_up: bool = True
    ) -> Evidence:
        """What the counts would say of some candidates had each query's user not been counted: what training looks at.

        A model that is shown counts in which the very events that it is to predict are counted learns to trust them far too
        much. Only numbers of the targets are changed: the user's other items are no candidates, and what shares are taken of
        is the same for all candidates.

        Args:
            training: all training events of some users, as they were counted.
            owners_Q: whose query it is, as an index of these users.
            seen_Q: how many of the user's events come before the target, at least 1.
            rows_C: the catalog rows of the candidates, each once; the targets are among them.
            added_up: whether shares are to be there at once; if not, :meth:`Evidence.to` adds up, on its device, what may
                lie there.
        """
        starts_Q = training.offsets[owners_Q]
        before = Histories.between(training.rows, starts_Q, starts_Q + seen_Q)
        targets = training.rows[starts_Q + seen_Q]
        order = rows_C.argsort()
        targets_Q = order[np.searchsorted(rows_C, targets, sorter=order)]
        shares, votes = {}, {}
        for kind, own_of in ((FOLLOWERS, self._own_followers), (COMPANIONS, self._own_companions)):
            asked = self._asked(kind, before)
            own_Q = own_of(training, owners_Q, asked, targets)
            found = Votes.of(self.voting[kind], asked, rows_C, targets_Q=targets_Q, own_Q=own_Q)
            if added_up or not self.voting[kind].may_lie_elsewhere:
                shares[kind] = found.added_up(CPU)
            else:
                votes[kind] = found
        pairs, times = np.unique(training.owners * len(self) + training.rows, return_counts=True)
        own_times_Q = times[np.searchsorted(pairs, owners_Q * len(self) + targets)]
        return Evidence(
            torch.from_numpy(self.popularity_V[rows_C].astype(np.float32)),
            shares,
            torch.from_numpy(targets_Q),
            torch.from_numpy((self.popularity_V[targets] - own_times_Q).astype(np.float32)),
            votes=votes,
        )

    def _asked(self, kind: str, histories: Histories) -> sp.csr_array:
        """The last items of each history with what a share of theirs counts, csr (Q, V)."""
        asked = last_items(histories, len(self), VOTERS[kind], FADE[kind])
        asked.data = asked.data / self.totals[kind][asked.indices]
        return asked

    def _own_followers(
        self, training: Histories, owners_Q: np.ndarray, asked: sp.csr_array, targets: np.ndarray
    ) -> np.ndarray:
        """How much of each target's share of followers is from its own user, (Q,)."""
        size = len(self)
        pairs = followers_by_distance(training, window=REACH, fade=1.0)
        keys = np.concatenate([(owners * size + earlier) * size + later for owners, earlier, later, _ in pairs])
        weights = np.concatenate([np.full(len(owners), weight) for owners, _, _, weight in pairs])
        keys, places = np.unique(keys, return_inverse=True)
        queries = _queries(asked)
        wanted = (owners_Q[queries] * size + asked.indices) * size + targets[queries]
        own = _looked_up(keys, np.bincount(places, weights=weights), wanted) * asked.data
        own = own * self._listed(FOLLOWERS, asked.indices, targets[queries])
        return np.bincount(queries, weights=own, minlength=len(targets))

    def _own_companions(
        self, training: Histories, owners_Q: np.ndarray, asked: sp.csr_array, targets: np.ndarray
    ) -> np.ndarray:
        """How much of each target's share of companions is from its own user, (Q,)."""
        counted = training.last(LONGEST)
        keys = np.unique(counted.owners * len(self) + counted.rows)
        held = np.ones(len(keys))
        queries = _queries(asked)
        own = asked.data * (asked.indices != targets[queries])
        for rows in (asked.indices, targets[queries]):
            own = own * _looked_up(keys, held, owners_Q[queries] * len(self) + rows)
        own = own * self._listed(COMPANIONS, asked.indices, targets[queries])
        return np.bincount(queries, weights=own, minlength=len(targets))

    def _listed(self, kind: str, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Which pairs a table holds; from one that was not kept nothing can be taken off."""
        listed: np.ndarray = np.asarray(self.tables[kind][rows, columns]).ravel() > 0
        return listed


def _queries(asked: sp.csr_array) -> np.ndarray:
    """The query of each entry, int64."""
    return np.repeat(np.arange(asked.shape[0]), np.diff(asked.indptr))


def _looked_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The value of each wanted key, 0 where there is none; the keys are increasing."""
    if not len(keys):
        return np.zeros(len(wanted))
    found = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    looked: np.ndarray = np.where(keys[found] == wanted, values[found], 0.0)
    return looked
