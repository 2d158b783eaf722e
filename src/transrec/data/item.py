"""Item: one thing that can be recommended, as what it is; and the table that items are stored in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from transrec.errors import DataError

VECTOR_PREFIX = "vector_"
RESERVED = ("id", "text", "image", "content")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can be recommended, as what it is.

    Attributes:
        id: the platform's own name for it.
        text: its text, or None.
        image: its picture as an encoded file (JPEG, PNG, WebP, ...), or None.
        vectors: given feature vectors by name, each of shape (width,); may be empty.

    Raises:
        DataError: it has no content at all.
    """

    id: str
    text: str | None = None
    image: bytes | None = None
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = {name: np.asarray(vector, dtype=np.float32) for name, vector in self.vectors.items()}
        object.__setattr__(self, "vectors", given)  # lists are welcome, too
        if self.text is None and self.image is None and not self.vectors:
            raise DataError(
                f"item {self.id!r} has no content",
                remedy="give it a text, a picture or a vector; an item without any cannot be recommended from content",
            )

    def has(self, modality: str) -> bool:
        """Whether this item has the modality: ``"text"``, ``"image"``, or the name of a given vector."""
        if modality == "text":
            return self.text is not None
        if modality == "image":
            return self.image is not None
        return modality in self.vectors

    def content_key(self) -> bytes:
        """16 bytes that are equal for two items with the same content, whatever their ids."""
        digest = hashlib.blake2b(digest_size=16)
        for name, blob in self._blobs():
            digest.update(f"{name}:{len(blob)}:".encode())
            digest.update(blob)
        return digest.digest()

    def _blobs(self) -> Iterator[tuple[str, bytes]]:
        if self.text is not None:
            yield "text", self.text.encode()
        if self.image is not None:
            yield "image", self.image
        for name in sorted(self.vectors):
            yield f"vector {name}", np.ascontiguousarray(self.vectors[name], dtype=np.float32).tobytes()


def table_of_items(items: Sequence[Item], columns: Mapping[str, Sequence[Any]] | None = None) -> pa.Table:
    """The Arrow table that a catalog stores: id, text, image, content key, vectors, presence flags, further columns.

    A further column whose name is taken is kept as ``column_<name>``.

    Raises:
        DataError: vectors have several widths, or a column holds values that do not go together.
    """
    names = sorted({name for item in items for name in item.vectors})
    data: dict[str, pa.Array] = {
        "id": pa.array([item.id for item in items], pa.string()),
        "text": pa.array([item.text for item in items], pa.large_string()),
        "image": pa.array([item.image for item in items], pa.large_binary()),
        "content": pa.array([item.content_key() for item in items], pa.binary(16)),
        "has_text": pa.array([item.text is not None for item in items], pa.bool_()),
        "has_image": pa.array([item.image is not None for item in items], pa.bool_()),
    }
    for name in names:
        data[VECTOR_PREFIX + name] = _vector_column(items, name)
        data[f"has_{VECTOR_PREFIX}{name}"] = pa.array([name in item.vectors for item in items], pa.bool_())
    for name, values in (columns or {}).items():
        taken = name in RESERVED or name.startswith((VECTOR_PREFIX, "has_"))
        try:
            data[f"column_{name}" if taken else name] = pa.array(values)
        except pa.ArrowException as error:
            raise DataError(f"the column {name!r} cannot be kept: {error}", remedy="give it values of one type") from None
    return pa.table(data)


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table of items with its columns as those of the same name are that it is to stand beside.

    Raises:
        DataError: a value cannot be had as its column has them.
    """
    for place, name in enumerate(table.column_names):
        if name not in schema.names or schema.field(name).type == table.schema.field(name).type:
            continue
        wanted, given = schema.field(name).type, table.schema.field(name).type
        try:
            if pa.types.is_null(wanted):
                continue
            if _sort(given) != _sort(wanted) and not pa.types.is_null(given):
                raise pa.ArrowInvalid(f"{given} is not {wanted}")
            table = table.set_column(place, name, table.column(name).cast(wanted))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            label = name.removeprefix(VECTOR_PREFIX)
            raise DataError(
                f"what is given for {label!r} does not fit: the catalog has {wanted}, these items have {given} ({error})",
                remedy="give values of the type that the column has, or leave the column out",
            ) from None
    return table


def _sort(kind: pa.DataType) -> str:
    """Text, numbers and truths are not made of each other, though Arrow could: '12 EUR' is no price, and 1 no truth."""
    if pa.types.is_boolean(kind):
        return "truth"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else "other"


def _vector_column(items: Sequence[Item], name: str) -> pa.Array:
    widths = {item.vectors[name].shape for item in items if name in item.vectors}
    if len(widths) != 1 or len(next(iter(widths))) != 1:
        first, *others = [item for item in items if name in item.vectors]
        other = next((item for item in others if item.vectors[name].shape != first.vectors[name].shape), first)
        raise DataError(
            f"the vectors {name!r} have the shapes {sorted(widths)}",
            where=f"item {other.id!r}",
            remedy="give all of them the same one width",
        )
    width = next(iter(widths))[0]
    values = [item.vectors[name].tolist() if name in item.vectors else None for item in items]
    return pa.array(values, pa.list_(pa.float32(), width))
