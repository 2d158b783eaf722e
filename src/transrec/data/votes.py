"""Votes: what the items of histories say of candidates, added up on the device that needs it.

Dense, they are as large as the scores: a number for every query and candidate. An accelerator makes them from a table that
lies there, and from what little a batch asks of it, so that neither a CPU fills nor a bus carries as much in every step.

Axes: V items of the catalog, N votes, Q queries, R different voters, C candidates, E entries of their rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from transrec.data.ragged import moved, places_of_runs, repeated

MOST_BYTES = 2 << 30
"""A table that takes more stays off accelerators: votes are then added up on the CPU, with the batch."""
ROUNDING = 1e-6
"""What is left of a share when all of it is taken off."""


class VoteTable:
    """What each item says of each other, with copies on the devices that asked for it.

    Args:
        table: of each item (row) and each other (column), csr (V, V) float32.
    """

    def __init__(self, table: sp.csr_array) -> None:
        self._table = table
        self._copies: dict[torch.device, tuple[Tensor, Tensor, Tensor]] = {}

    @property
    def nbytes(self) -> int:
        """What a copy takes."""
        return int(self._table.indptr.nbytes + self._table.indices.nbytes + self._table.data.nbytes)

    @property
    def may_lie_elsewhere(self) -> bool:
        """Whether an accelerator has room for a copy."""
        return self.nbytes <= MOST_BYTES

    def entries_of(self, rows_R: np.ndarray) -> int:
        """How many entries these rows have."""
        return int((self._table.indptr[rows_R + 1] - self._table.indptr[rows_R]).sum())

    def on(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Where each row begins (V + 1,), and column and value of every entry, on a device."""
        if device not in self._copies:
            parts = (torch.from_numpy(part) for part in (self._table.indptr, self._table.indices, self._table.data))
            starts, columns, values = (part.to(device) for part in parts)
            self._copies[device] = starts.long(), columns, values
        return self._copies[device]


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """Shares of one kind, not added up yet.

    Attributes:
        table: what each item says.
        rows_R: the catalog rows that vote, each once, int64.
        entries: how many entries of the table they have; known here, so that no accelerator is waited for.
        voters_N: which of them each vote is of, int64; those of a query together.
        weights_N: what each counts, float32.
        starts_Q: where the votes of each query begin, int64.
        rows_C: the catalog rows of the candidates, int64.
        targets_Q: the candidate of which each query's own part is taken off, int64.
        own_Q: that part, float64.
    """

    table: VoteTable
    rows_R: Tensor
    entries: int
    voters_N: Tensor
    weights_N: Tensor
    starts_Q: Tensor
    rows_C: Tensor
    targets_Q: Tensor
    own_Q: Tensor

    @classmethod
    def of(
        cls, table: VoteTable, asked: sp.csr_array, rows_C: np.ndarray, *, targets_Q: np.ndarray, own_Q: np.ndarray
    ) -> Votes:
        """The votes of some histories' items.

        Args:
            table: what each item says.
            asked: which items each history asks, with what each counts, csr (Q, V).
            rows_C: the candidates, each once.
            targets_Q: the candidate of which each query's own part is taken off.
            own_Q: that part.
        """
        votes_V = np.zeros(asked.shape[1], dtype=bool)
        votes_V[asked.indices] = True
        rows_R = np.flatnonzero(votes_V)
        place_V = np.cumsum(votes_V) - 1
        return cls(
            table,
            torch.from_numpy(rows_R),
            table.entries_of(rows_R),
            torch.from_numpy(place_V[asked.indices]),
            torch.from_numpy(asked.data.astype(np.float32)),
            torch.from_numpy(asked.indptr[:-1].astype(np.int64)),
            torch.from_numpy(rows_C),
            torch.from_numpy(targets_Q),
            torch.from_numpy(own_Q.astype(np.float64)),
        )

    def to(self, device: torch.device) -> Votes:
        """The same on another device."""
        parts: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        if device.type == "mps":  # which knows no float64
            parts["own_Q"] = self.own_Q.float()
        there = {name: moved(part, device) for name, part in parts.items() if isinstance(part, Tensor)}
        return Votes(**parts | there)

    def added_up(self, device: torch.device) -> Tensor:
        """The shares, made on a device, at least 0, (Q, C) float32."""
        return self.to(device)._dense()

    def _dense(self) -> Tensor:
        """``asked @ table[:, rows_C]``, less the queries' own part, where the votes are.

        Few rows of the table are asked for, each by many queries: made dense once and added up by query they take a fifth of
        the time of a sparse product.
        """
        device, size = self.rows_C.device, len(self.rows_C)
        starts_V, column_of, value_of = self.table.on(device)
        first_R = starts_V[self.rows_R]
        length_R = starts_V[self.rows_R + 1] - first_R
        voter_E = repeated(torch.arange(len(self.rows_R), device=device), length_R, self.entries)
        place_E = places_of_runs(first_R, length_R, self.entries)
        # what is no candidate goes into a column more, for leaving it out an accelerator would be waited for
        candidate_V = torch.full((len(starts_V) - 1,), size, device=device)
        candidate_V[self.rows_C] = torch.arange(size, device=device)
        dense_RC = torch.zeros(len(self.rows_R), size + 1, device=device)
        dense_RC[voter_E, candidate_V[column_of[place_E].long()]] = value_of[place_E]
        shares_QC = F.embedding_bag(self.voters_N, dense_RC, self.starts_Q, mode="sum", per_sample_weights=self.weights_N)[
            :, :size
        ]
        queries_Q = torch.arange(len(self.targets_Q), device=device)
        less_Q = shares_QC[queries_Q, self.targets_Q] - self.own_Q
        # what is left when everything is taken off is rounding
        shares_QC[queries_Q, self.targets_Q] = less_Q.where(less_Q > ROUNDING, 0.0).float()
        return shares_QC
