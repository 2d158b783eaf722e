"""Filling: columns that grow a chunk at a time; on disk, an interrupted filling is gone on with where it stopped."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, final

import numpy as np
from torch import Tensor

from transrec.data.columns import Column, Form, as_array, lengths_file, open_columns, values_file, write_description
from transrec.data.ragged import Ragged
from transrec.errors import DataError

COMMIT_BYTES = 64 << 20
"""How much may have to be done again after an interruption."""

_PROGRESS = "progress.json"


@final
class Filling:
    """Columns in the making.

    Args:
        folder: an empty folder, or one that an interrupted filling left; in memory when None.
        maker: who makes the values, for messages.
    """

    def __init__(self, folder: Path | None, maker: str) -> None:
        self._folder, self._maker = folder, maker
        self._forms: dict[str, Form] = {}
        self._arrays: dict[str, _GrowingArray] = {}
        self._uncommitted = 0
        self.done = 0
        """How much of the work is in the columns, in whatever the caller counts."""
        self.notes: dict[str, Any] = {}
        """What else the caller wants to know when the columns are opened; JSON."""
        if folder is not None and (folder / _PROGRESS).exists():
            self._restore(folder, json.loads((folder / _PROGRESS).read_text()))

    def check(self, chunk: Mapping[str, Tensor | Ragged], items: int) -> None:
        """See whether a chunk goes with what is there already.

        Args:
            chunk: by column.
            items: how many entries each column must get.

        Raises:
            DataError: it has other names, types or shapes than the chunk before, or another number of entries.
        """
        for name, values in chunk.items():
            self._check(name, values, items)

    def append(self, chunk: Mapping[str, Tensor | Ragged], done: int) -> None:
        """Add entries to the columns.

        Args:
            chunk: by column; of one form with the chunk before, see :meth:`check`.
            done: how much of the work is in the columns with these.
        """
        for name, values in chunk.items():
            self._forms.setdefault(name, Form.of(values))
            tensor = values.values if isinstance(values, Ragged) else values
            self._grow(values_file(name), as_array(tensor))
            if isinstance(values, Ragged):
                self._grow(lengths_file(name), as_array(values.lengths_n))
        self.done = done
        for array in self._arrays.values():
            array.settle()
        if self._uncommitted > COMMIT_BYTES:
            self.commit()

    def so_far(self, name: str) -> np.ndarray:
        """The values of a column that are there, as new memory; empty if there are none."""
        array = self._arrays.get(values_file(name))
        return np.empty(0) if array is None else array.so_far()

    def commit(self) -> None:
        """Make sure that an interruption from now on does not lose what is there."""
        if self._folder is None:
            return
        for array in self._arrays.values():
            array.flush()
        progress = {
            "done": self.done,
            "notes": self.notes,
            "forms": {name: [form.dtype, form.ragged] for name, form in self._forms.items()},
            "arrays": {name: array.described() for name, array in self._arrays.items()},
        }
        new = self._folder / (_PROGRESS + ".new")
        new.write_text(json.dumps(progress))
        new.replace(self._folder / _PROGRESS)
        self._uncommitted = 0

    def finish(self) -> dict[str, Column]:
        """The columns, complete."""
        arrays = {name: array.finish() for name, array in self._arrays.items()}
        if self._folder is None:
            return {
                name: form.column(arrays[values_file(name)], arrays.get(lengths_file(name)))
                for name, form in self._forms.items()
            }
        write_description(self._folder, self._forms, self.notes)
        (self._folder / _PROGRESS).unlink(missing_ok=True)
        return open_columns(self._folder)[0]

    def close(self) -> None:
        """Let go of the files; what was appended is kept for another time."""
        self.commit()
        for array in self._arrays.values():
            array.close()

    def _check(self, name: str, values: Tensor | Ragged, items: int) -> None:
        if not re.fullmatch(r"[a-zA-Z0-9][\w-]*", name):
            raise DataError(
                f"{self._maker} made something called {name!r}", remedy="begin with a letter; use a-z, 0-9, _ and -"
            )
        form = Form.of(values)
        known = self._forms.get(name, form)
        tensor = values.values if isinstance(values, Ragged) else values
        earlier = self._arrays.get(values_file(name))
        same = earlier is None or (known == form and tuple(tensor.shape[1:]) == earlier.shape)
        if not same or len(values) != items:
            before = "" if earlier is None else f"; earlier ones had {known.dtype} of shape {earlier.shape}"
            raise DataError(
                f"{self._maker} made {name!r} of {form.dtype} and shape {tuple(tensor.shape)} for {items} items{before}",
                remedy="it must return tensors whose further axes do not depend on the items, or Ragged values",
            )

    def _grow(self, file: str, values: np.ndarray) -> None:
        if file not in self._arrays:
            path = None if self._folder is None else self._folder / file
            self._arrays[file] = _GrowingArray(path, values.dtype, values.shape[1:])
        self._arrays[file].append(values)
        self._uncommitted += values.nbytes

    def _restore(self, folder: Path, progress: Mapping[str, Any]) -> None:
        self.done, self.notes = progress["done"], progress["notes"]
        self._forms = {name: Form(*form) for name, form in progress["forms"].items()}
        for file, (dtype, shape, rows) in progress["arrays"].items():
            self._arrays[file] = _GrowingArray(folder / file, np.dtype(dtype), tuple(shape), rows)


@final
class _GrowingArray:
    """An array that grows at its end: a list of pieces, or a file in numpy's format.

    Args:
        path: the file; in memory when None.
        dtype: of the array.
        shape: without the first axis.
        rows: how many of the rows that the file holds are to be kept.
    """

    def __init__(self, path: Path | None, dtype: np.dtype, shape: tuple[int, ...], rows: int = 0) -> None:
        self.dtype, self.shape = dtype, shape
        self._rows = self._settled = rows
        self._pieces: list[np.ndarray] = []
        self._file: BinaryIO | None = None
        self._start = 0
        if path is not None:
            self._file = path.open("r+b" if rows else "w+b")
            self._write_header(rows)
            self._start = self._file.tell()
            self._file.truncate(self._start + rows * self._row_bytes)
            self._file.seek(0, os.SEEK_END)

    @property
    def _row_bytes(self) -> int:
        return int(self.dtype.itemsize * np.prod(self.shape, dtype=np.int64))

    def append(self, values: np.ndarray) -> None:
        """Add rows."""
        if self._file is None:
            self._pieces.append(values.copy())
        else:
            self._file.write(np.ascontiguousarray(values).data)
        self._rows += len(values)

    def so_far(self) -> np.ndarray:
        """The rows that are there."""
        if self._file is None:
            return np.concatenate(self._pieces) if self._pieces else np.empty((0, *self.shape), self.dtype)
        self._file.flush()
        values = np.fromfile(self._file.name, self.dtype, offset=self._start)
        return values.reshape(-1, *self.shape)

    def settle(self) -> None:
        """From now on the rows count: all columns have those of the same items."""
        self._settled = self._rows

    def described(self) -> list[Any]:
        """Type, shape and rows that count."""
        return [np.lib.format.dtype_to_descr(self.dtype), list(self.shape), self._settled]

    def flush(self) -> None:
        """Bring the rows to the disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def finish(self) -> np.ndarray:
        """The array; a file then says in its head how long it is, and what is returned is empty."""
        if self._file is not None:
            self._write_header(self._rows)
            self.flush()
            self._file.close()
            return np.empty((0, *self.shape), self.dtype)
        whole, at = np.empty((self._rows, *self.shape), self.dtype), 0
        while self._pieces:  # a piece is let go as soon as it is copied, so that memory is not needed twice
            piece = self._pieces.pop(0)
            whole[at : at + len(piece)] = piece
            at += len(piece)
        return whole

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _write_header(self, rows: int) -> None:
        """Numpy's head, which it pads so that the first axis may grow in place."""
        assert self._file is not None
        self._file.seek(0)
        descr = np.lib.format.dtype_to_descr(self.dtype)
        shape = (rows, *self.shape)
        np.lib.format.write_array_header_1_0(self._file, {"descr": descr, "fortran_order": False, "shape": shape})
