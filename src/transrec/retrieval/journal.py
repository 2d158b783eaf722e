"""Journal: changes to a catalog's items, written down one after the other so that neither a restart nor a kill loses one.

A file begins with :data:`HEAD`. Every change follows as its length and two checksums, and then as an Arrow table with the
content of the items, their further columns, and the vectors that a model made of them.
"""

from __future__ import annotations

import os
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, final

import numpy as np
import pyarrow as pa

from transrec.data.catalog import Catalog, Item, table_of_items
from transrec.data.rows import InMemory
from transrec.data.sealing import settle
from transrec.errors import DataError, RunError

if sys.platform != "win32":
    import fcntl

HEAD = b"transrec journal 1\n"
_FRAME = struct.Struct("<QII")
_VECTOR = "_vector"


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One change; all of it happens or nothing.

    Attributes:
        kind: ``"items"``: they are now what is said, new or not; ``"columns"``: only their columns changed; ``"removal"``.
        ids: of the items.
        items: their content, for ``"items"``; else empty.
        columns: further columns, each as long as the ids.
        vectors: what the model made of the items, float32 of shape (n, W); None where nothing was encoded.
        model: the fingerprint of that model; empty until it is written.
    """

    kind: Literal["items", "columns", "removal"]
    ids: tuple[str, ...]
    items: tuple[Item, ...] = ()
    columns: Mapping[str, Sequence[Any]] | None = None
    vectors: np.ndarray | None = None
    model: str = ""

    @classmethod
    def of_items(cls, items: Sequence[Item], columns: Mapping[str, Sequence[Any]], vectors: np.ndarray) -> Change:
        """Items came, or are something else now."""
        return cls("items", tuple(item.id for item in items), tuple(items), columns, vectors)

    @classmethod
    def of_columns(cls, ids: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> Change:
        """Items are what they were, and have other columns."""
        return cls("columns", tuple(ids), columns=columns)

    @classmethod
    def removal(cls, ids: Sequence[str]) -> Change:
        """Items went."""
        return cls("removal", tuple(ids))

    def packed(self, model: str) -> bytes:
        """The change as bytes."""
        if self.kind == "items":
            table = table_of_items(self.items, self.columns)
        else:
            table = pa.table(
                {"id": pa.array(self.ids, pa.string()), **{n: pa.array(v) for n, v in (self.columns or {}).items()}}
            )
        if self.vectors is not None:
            width = self.vectors.shape[1]
            flat = pa.array(np.ascontiguousarray(self.vectors, dtype=np.float32).ravel())
            table = table.append_column(_VECTOR, pa.FixedSizeListArray.from_arrays(flat, width))
        table = table.replace_schema_metadata({"change": self.kind, "model": model})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    @classmethod
    def unpacked(cls, payload: bytes) -> Change:
        """The change that :meth:`packed` made these bytes of."""
        with pa.ipc.open_stream(payload) as reader:
            table = reader.read_all()
        said = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
        vectors = None
        if _VECTOR in table.column_names:
            column = table.column(_VECTOR).combine_chunks()
            vectors = column.flatten().to_numpy().reshape(len(table), -1)
            table = table.drop_columns([_VECTOR])
        ids = tuple(table.column("id").to_pylist())
        if said["change"] != "items":
            columns = {name: table.column(name).to_pylist() for name in table.column_names if name != "id"}
            return cls(said["change"], ids, (), columns, None, said["model"])
        catalog = Catalog(InMemory(table))
        columns = {name: table.column(name).to_pylist() for name in catalog.columns}
        return cls("items", ids, tuple(catalog.items(range(len(ids)))), columns, vectors, said["model"])


@final
class Journal:
    """The file of the changes to one catalog.

    Args:
        path: of the file; made with the first change.
        model: the fingerprint of the model whose vectors are written.
    """

    def __init__(self, path: Path, model: str) -> None:
        self._file: BinaryIO | None = None
        self.path = path
        self.model = model
        self._end = 0

    def read(self) -> list[Change]:
        """All changes, oldest first; to be called before the first :meth:`append`.

        What a kill left unfinished at the end is left out, with a warning: nobody was told that it had been done.

        Raises:
            RunError: the file is damaged elsewhere, or of another format.
        """
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        changes, self._end = [], 0
        if not HEAD.startswith(content[: len(HEAD)]):
            raise RunError(
                "this is no journal of this version of transrec",
                where=str(self.path),
                remedy="upgrade transrec, or remove the file: the items are then those of the dataset",
            )
        for payload, end in _records(content, str(self.path)):
            changes.append(Change.unpacked(payload))
            self._end = end
        self._end = self._end or (len(HEAD) if len(content) >= len(HEAD) else 0)
        if self._end < len(content):
            warnings.warn(
                f"{self.path}: the last change was not written to its end and is left out "
                f"({len(content) - self._end} bytes)",
                stacklevel=2,
            )
        return changes

    def append(self, change: Change) -> None:
        """Write a change; it is on disk when this returns.

        Raises:
            RunError: another process writes this journal, or has changed it since it was read.
            DataError: a column holds what cannot be written.
        """
        try:
            payload = change.packed(self.model)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise DataError(f"these columns cannot be written: {error}", remedy="give values of one type a column") from None
        file = self._file or self._opened()
        length = struct.pack("<Q", len(payload))
        file.seek(self._end)
        file.truncate()  # what an append that failed, or a kill, left behind
        file.write(_FRAME.pack(len(payload), zlib.crc32(length), zlib.crc32(payload)) + payload)
        file.flush()
        os.fsync(file.fileno())
        self._end = file.tell()

    def close(self) -> None:
        """Let others write."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        self.close()

    def _opened(self) -> BinaryIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("r+b" if self.path.exists() else "w+b")
        try:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise RunError(
                "another process is changing the items of this run", where=str(self.path), remedy="make changes in one place"
            ) from None
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        whole = [end for _, end in _records(file.read(), str(self.path))]
        written = whole[-1] if whole else min(size, len(HEAD))
        if written != self._end and not (self._end == 0 and size <= len(HEAD)):
            file.close()
            raise RunError(
                "another process has changed the items of this run meanwhile",
                where=str(self.path),
                remedy="load the recommender again",
            )
        if self._end < len(HEAD):
            file.seek(0)
            file.truncate()
            file.write(HEAD)
            file.flush()
            os.fsync(file.fileno())
            self._end = len(HEAD)
            settle(self.path.parent)
        self._file = file
        return file


def _records(content: bytes, where: str) -> Iterator[tuple[bytes, int]]:
    """The changes that are whole, and where each ends."""
    at = len(HEAD)
    while at < len(content):
        frame = content[at : at + _FRAME.size]
        if len(frame) < _FRAME.size or not any(content[at:]):
            return  # the end was never written, or the disk only made room for it
        length, of_length, of_payload = _FRAME.unpack(frame)
        stop = at + _FRAME.size + length
        sound = zlib.crc32(struct.pack("<Q", length)) == of_length
        payload = content[at + _FRAME.size : stop]
        if sound and stop <= len(content) and zlib.crc32(payload) == of_payload:
            yield payload, stop
            at = stop
        elif sound and stop >= len(content):
            return
        else:
            raise RunError(
                f"the journal of changed items is damaged at byte {at:,} of {len(content):,}",
                where=where,
                remedy="restore the file from a copy, or remove it: the items are then those of the dataset",
            )
