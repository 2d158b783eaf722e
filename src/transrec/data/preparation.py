"""Preparation: content made ready, or made something of, for all items of a catalog, a chunk at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from transrec.data.catalog import Catalog, Item
from transrec.data.columns import RaggedColumn, as_array
from transrec.data.filling import Filling
from transrec.data.packing import Packing, packed
from transrec.data.parts import Content, Derivation, StoredPart
from transrec.data.ragged import Ragged
from transrec.data.room import free_bytes, readable_bytes
from transrec.errors import DataError

CHUNK = 256
"""Items that are prepared or encoded at a time."""
SORTED_TOGETHER = 8
"""Chunks of ragged content that are put in order of length together, so that items of one chunk are about equally long."""
WORTH_SAYING = 256 << 20
"""Bytes on disk from which on it is said how many they are going to be."""

Say = Callable[[str], None]
"""Told something in a line."""
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much is done, and of how much."""


class Preparer(Protocol):
    """What the store needs of a modality's encoder."""

    modality: str

    def reads(self, item: Item) -> bool:
        """Whether it can make something of the item."""
        ...

    def prepare(self, items: Sequence[Item]) -> Content:
        """Tensors of shape (n, ...) whose further axes do not depend on the items, or ragged values."""
        ...

    def preparation_key(self) -> str:
        """A text that changes whenever ``prepare`` would return something else for the same item."""
        ...

    def packings(self) -> Mapping[str, Packing]:
        """By name, how what is prepared is kept where it is not kept as it is."""
        ...

    def when_too_large(self) -> str:
        """What to do where a disk has no room for all that is prepared."""
        ...


def prepare_all(
    catalog: Catalog,
    encoder: Preparer,
    progress: Progress | None,
    room: Callable[[int, float], None] | None,
    filling: Filling,
) -> None:
    """Prepare all items that an encoder reads, a chunk at a time; content that is there already is not stored again.

    Args:
        catalog: the items.
        encoder: prepares them, and says how that is kept.
        progress: told how far it is.
        room: told for how many items how many bytes are needed, as soon as the first ones are prepared.
        filling: where the content goes.
    """
    packings = encoder.packings()
    present = catalog.presence.get(encoder.modality)
    rows = np.flatnonzero(present) if present is not None else np.arange(len(catalog))
    seen = {digest.tobytes(): slot for slot, digest in enumerate(filling.so_far("_digests"))}
    for at in range(filling.done, len(rows), CHUNK):
        chunk = rows[at : at + CHUNK]
        items = catalog.items(chunk)
        readable = [place for place, item in enumerate(items) if encoder.reads(item)]
        done = min(at + CHUNK, len(rows))
        if readable:
            prepared = packed(encoder.prepare([items[place] for place in readable]), packings)
            filling.check(prepared, len(readable))
            slots, new = [], []
            for place, digest in enumerate(digests := _digests(prepared, len(readable))):
                if digest not in seen:
                    seen[digest] = len(seen)
                    new.append(place)
                slots.append(seen[digest])
            own = {
                "_rows": torch.from_numpy(chunk[readable].astype(np.int64)),
                "_slots": torch.tensor(slots),
                "_digests": torch.from_numpy(np.array([list(digests[place]) for place in new], np.uint8).reshape(-1, 16)),
            }
            entries = {**_taken(prepared, torch.tensor(new, dtype=torch.int64)), **own}
            if room:
                room(len(rows) - at, _bytes(entries) / (done - at))
                room = None
            filling.append(entries, done)
        if progress:
            progress(f"preparing {encoder.modality}", done, len(rows))


def require_room(encoder: Preparer, folder: Path, say: Say | None, items: int, bytes_each: float) -> None:
    """Say what content is going to take, if that is much.

    Args:
        encoder: that prepares it.
        folder: where it goes.
        say: told, in a line.
        items: how many there are to prepare.
        bytes_each: what each takes, as far as is known.

    Raises:
        DataError: the disk has no room for it.
    """
    size, free = items * bytes_each, free_bytes(folder)
    if size > free:
        raise DataError(
            f"what is prepared of {encoder.modality} takes about {readable_bytes(size)} ({items:,} items of "
            f"{readable_bytes(bytes_each)}), and the disk has {readable_bytes(free)} left",
            where=str(folder),
            remedy=encoder.when_too_large(),
        )
    if say and size >= WORTH_SAYING:
        say(f"keeping what is prepared of {encoder.modality} for {items:,} items: about {readable_bytes(size)}")


def derive_all(part: StoredPart, derivation: Derivation, progress: Progress | None, filling: Filling) -> None:
    """Make something of every slot, a chunk at a time; of ragged content, items of about one length together."""
    ragged = any(isinstance(column, RaggedColumn) for column in part.columns.values())
    step = CHUNK * (SORTED_TOGETHER if ragged else 1)
    for at in range(filling.done, len(part), step):
        slots = np.arange(at, min(at + step, len(part)))
        by_size = np.argsort(part.sizes(slots), kind="stable")
        made = []
        for start in range(0, len(slots), CHUNK):
            content = part.take(slots[by_size[start : start + CHUNK]])
            values = derivation.make(content)
            filling.notes["passed"] = [name for name in values if name in content and values[name] is content[name]]
            made.append({name: value for name, value in values.items() if name not in filling.notes["passed"]})
        together = _taken(_joined(made), torch.from_numpy(np.argsort(by_size)))
        filling.check(together, len(slots))
        filling.append(together, int(slots[-1]) + 1)
        if progress:
            progress(derivation.label, int(slots[-1]) + 1, len(part))


def _joined(pieces: Sequence[Content]) -> Content:
    joined: dict[str, Any] = {}
    for name in pieces[0]:
        values = [piece[name] for piece in pieces]
        if isinstance(values[0], Ragged):
            lengths = torch.cat([ragged.lengths_n for ragged in values])
            joined[name] = Ragged(torch.cat([ragged.values for ragged in values]), lengths)
        else:
            joined[name] = torch.cat(values)
    return joined


def _taken(content: Content, index: Tensor) -> Content:
    return {name: values.take(index) if isinstance(values, Ragged) else values[index] for name, values in content.items()}


def _bytes(content: Content) -> int:
    return sum(values.values.nbytes if isinstance(values, Ragged) else values.nbytes for values in content.values())


def _digests(content: Content, count: int) -> list[bytes]:
    """16 bytes for each item that change when anything of its content does."""
    hashes = [hashlib.blake2b(digest_size=16) for _ in range(count)]
    for name in sorted(content):
        values = content[name]
        for own, entry in zip(hashes, values.each() if isinstance(values, Ragged) else values, strict=True):
            own.update(f"{name} {tuple(entry.shape)} ".encode())
            own.update(as_array(entry).tobytes())
    return [own.digest() for own in hashes]
