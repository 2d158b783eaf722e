"""ItemVectors: the vector of every catalog row, where new items and newer versions cost what they are and no copy of all.

Axes: V rows of the catalog, S vectors that were ever written, n vectors to write, B users, D width, W numbers that are kept
of an item: its vector, and perhaps its views behind it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import final

import numpy as np
import torch
from torch import Tensor

from transrec.scoring import Scorer
from transrec.views import Reader

ITEMS_AT_ONCE = 1 << 14
"""Vectors in half precision are made whole so many at a time."""
SMALLEST_ROOM = 256
ROOM = 0.25
"""Room for so many more vectors, as a share of those that there are, is made whenever there is none left."""


@final
class _Slots:
    """Memory that is written once, from its beginning to its end; what is written stays, for whoever reads it."""

    def __init__(self, memory: Tensor, written: int) -> None:
        self.memory = memory
        self.written = written
        self._lock = threading.Lock()

    def append(self, seen: int, vectors_nD: Tensor) -> _Slots:
        """Slots that hold the first ``seen`` of these and then the vectors: these, if nobody has written behind them."""
        stop = seen + len(vectors_nD)
        with self._lock:
            slots = self
            if self.written != seen or stop > len(self.memory):
                room = stop + max(SMALLEST_ROOM, int(stop * ROOM))
                memory = self.memory.new_empty((room, self.memory.shape[1]))
                memory[:seen] = self.memory[:seen]
                slots = _Slots(memory, seen)
            slots.memory[seen:stop] = vectors_nD.to(slots.memory)
            slots.written = stop
        return slots


@final
class ItemVectors:
    """The vectors of a catalog's rows; immutable, though what comes from it by :meth:`with_versions` shares its memory.

    Args:
        vectors_VW: of every row, float32 or float16; may be mapped from disk.
        room: behind them, memory of the same kind for vectors to come: ``vectors_VW`` is then the beginning of it.
        width: D, where a row holds more than a vector; W when None.
    """

    def __init__(self, vectors_VW: Tensor, room: Tensor | None = None, *, width: int | None = None) -> None:
        self._slots = _Slots(vectors_VW if room is None else room, len(vectors_VW))
        self._written = len(vectors_VW)
        self._width = int(vectors_VW.shape[1]) if width is None else width
        self._place_V: Tensor | None = None
        self._lengths_S: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return self._written if self._place_V is None else len(self._place_V)

    @property
    def width(self) -> int:
        """D."""
        return self._width

    @property
    def kept_width(self) -> int:
        """W."""
        return int(self._slots.memory.shape[1])

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self._slots.memory.device

    @property
    def written_SD(self) -> Tensor:
        """All vectors that were ever written, those of former versions too."""
        return self._slots.memory[: self._written, : self._width]

    @property
    def place_V(self) -> Tensor | None:
        """Which of the written vectors is that of each row, int64; None where it is the one with the row's number."""
        return self._place_V

    def whole(self) -> Tensor:
        """The vectors as one matrix of shape (V, D); new memory where some have newer versions."""
        return self.written_SD if self._place_V is None else self.written_SD[self._place_V]

    def read_by(self, reader: Reader) -> Tensor:
        """What a part of the model reads of every row, (V, W) or (V, D); new memory where some have newer versions."""
        read_SW = self._slots.memory[: self._written, : self._read(reader)]
        return read_SW if self._place_V is None else read_SW[self._place_V]

    def take(self, rows: Tensor, beside_nW: Tensor | None = None) -> Tensor:
        """The vectors of these rows, int64 of any shape, as float32 at least, (..., D).

        Args:
            rows: whose; where something is beside them, rows from V on are of that.
            beside_nW: what is kept of items that are in no row.
        """
        return self._taken(rows, beside_nW, self._width)

    def taken_by(self, reader: Reader, rows: Tensor, beside_nW: Tensor | None = None) -> Tensor:
        """What a part of the model reads of these rows, as :meth:`take` gives the vectors, (..., W) or (..., D)."""
        return self._taken(rows, beside_nW, self._read(reader))

    def _taken(self, rows: Tensor, beside_nW: Tensor | None, numbers: int) -> Tensor:
        """The first so many numbers of these rows."""
        inside = rows if beside_nW is None else rows.clamp(max=len(self) - 1)
        written = self._slots.memory[: self._written, :numbers]
        found = written[inside if self._place_V is None else self._place_V[inside]]
        found = found.float() if found.dtype == torch.float16 else found
        if beside_nW is not None:
            beside = rows >= len(self)
            found[beside] = beside_nW[rows[beside] - len(self), :numbers].to(found)
        return found

    def _read(self, reader: Reader) -> int:
        """How many numbers of a row it reads."""
        return self.kept_width if reader.reads_views else self._width

    def scores(self, scorer: Scorer, users: Tensor) -> Tensor:
        """What a scorer says of these users and every row, float32 of shape (B, V)."""
        blocks = self._blocks(self._read(scorer), scorer.reads)
        pieces = [scorer.measured(users, block, lengths).float() for block, lengths in blocks]
        scores_BS = pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)
        return scores_BS if self._place_V is None else scores_BS[:, self._place_V]

    def cosines(self, directions_BD: Tensor) -> Tensor:
        """The cosine of every row's vector and each of these, (B, V); 0 where a vector is zero."""
        units_BD = torch.nn.functional.normalize(directions_BD.float(), dim=1)
        pieces = [
            units_BD @ block.T / lengths.clamp(min=1e-12)
            for block, lengths in self._blocks(self._width, least=torch.float32)
        ]
        cosines_BS = torch.cat(pieces, dim=1)
        return cosines_BS if self._place_V is None else cosines_BS[:, self._place_V]

    def with_versions(self, vectors_nW: Tensor, replaced: np.ndarray) -> ItemVectors:
        """The vectors with newer ones for some rows, and further rows.

        Args:
            vectors_nW: what comes.
            replaced: the row of each, int64 of shape (n,); further rows follow the last one without a gap.
        """
        slots = self._slots.append(self._written, vectors_nW)
        grown = ItemVectors(slots.memory[: self._written + len(vectors_nW)], slots.memory, width=self._width)
        grown._slots = slots
        size = len(self)
        if self._place_V is not None or (replaced != size + np.arange(len(replaced))).any():
            known_V = torch.arange(size, device=self.device) if self._place_V is None else self._place_V
            more = int((replaced >= size).sum())
            place_V = torch.cat([known_V, known_V.new_zeros(more)])
            rows = torch.from_numpy(replaced).to(self.device)
            place_V[rows] = self._written + torch.arange(len(replaced), device=self.device)
            grown._place_V = place_V
        for reads, lengths_S in self._lengths_S.items():
            more_S = _lengths(grown.written_SD[self._written :, :reads])
            grown._lengths_S[reads] = torch.cat([lengths_S, more_S])
        return grown

    def lengths(self, reads: int | None = None) -> Tensor:
        """The Euclidean length of every vector that was written, or of its first numbers, (S,); found once."""
        reads = reads or self.width
        if reads not in self._lengths_S:
            starts = range(0, max(self._written, 1), ITEMS_AT_ONCE)
            each = [_lengths(self.written_SD[at : at + ITEMS_AT_ONCE, :reads]) for at in starts]
            self._lengths_S[reads] = torch.cat(each)
        return self._lengths_S[reads]

    def _blocks(
        self, numbers: int, reads: int | None = None, *, least: torch.dtype | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """So many numbers of all that is written, and the vectors' lengths; half precision made whole, a block at a time.

        Where a scorer reads the first numbers alone, these, and the lengths of them.
        """
        half = self._slots.memory.dtype == torch.float16
        step = ITEMS_AT_ONCE if half else max(self._written, 1)
        for start in range(0, max(self._written, 1), step):
            block = self._slots.memory[: self._written, : reads or numbers][start : start + step]
            yield (block.float() if half else block.to(least or block.dtype)), self.lengths(reads)[start : start + step]


def _lengths(vectors_nD: Tensor) -> Tensor:
    wide_nD = vectors_nD.float() if vectors_nD.dtype == torch.float16 else vectors_nD
    lengths_n: Tensor = torch.linalg.vector_norm(wide_nD, dim=1)
    return lengths_n
