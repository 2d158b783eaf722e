"""Stamping: a file of tensors that says itself what it holds, so that a flipped bit is noticed when it is read.

The stamp is a digest of the whole file with zeros in the digest's place, kept in the header that safetensors leave for such
things. It is part of the file: no kill can come between the two.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

from transrec.data.sealing import settle

STAMP = "blake2b"
BLANK = "0" * 128
"""What stands in the stamp's place until the file is written."""
UNSTAMPED = {STAMP: BLANK}
"""The metadata to write a file with that is to be stamped."""

_AT_ONCE = 1 << 22
_LONGEST_HEADER = 100_000_000  # of safetensors


def stamp(path: Path) -> None:
    """Write its digest into a file of safetensors that was written with :data:`UNSTAMPED`."""
    place, _ = _place(path)
    digest = _digest(path, place)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(digest.encode())
    settle(path)


def stamp_damage(path: Path) -> str | None:
    """What is wrong with a file, in words; None where it is as it was stamped, or was never stamped.

    Files of earlier versions have no stamp. What is no file of safetensors at all is left to their reader.
    """
    place, written = _place(path)
    if place < 0 or _digest(path, place) == written:
        return None
    return f"{path.name} is not what was written"


def _place(path: Path) -> tuple[int, str]:
    """Where the stamp is in the file, and what it says; -1 where there is none."""
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        header = file.read(length) if length <= _LONGEST_HEADER else b""
    try:
        written = json.loads(header)["__metadata__"][STAMP]
        return 8 + header.index(written.encode()), str(written)
    except (ValueError, KeyError, TypeError, AttributeError):
        return -1, ""


def _digest(path: Path, place: int) -> str:
    """Of the file with zeros for what stands at this place."""
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        digest.update(file.read(place))
        digest.update(BLANK.encode())
        file.seek(place + len(BLANK))
        while block := file.read(_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()
