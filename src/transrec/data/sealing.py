"""Sealing: files that are on disk as a whole or not at all, and folders whose damage is noticed before they are used."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

SEAL = "seal.json"
FORMAT = 1


def settle(path: Path) -> None:
    """Make sure that a file, or the names in a folder, are on the disk and not only in the system's buffers."""
    if path.is_dir() and sys.platform == "win32":
        return  # folders cannot be opened there, and their names are settled with the files
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put_in_place(made: Path, path: Path) -> None:
    """Let a file that was made aside take the place of another; whoever looks sees the old one or the new one, whole."""
    settle(made)
    made.replace(path)
    settle(path.parent)


def write_whole(path: Path, text: str) -> None:
    """Write a file of text; an interruption at any moment leaves the one that was there, or this."""
    aside = aside_of(path)
    aside.write_text(text, encoding="utf-8")
    put_in_place(aside, path)


def aside_of(path: Path) -> Path:
    """Where a file is made that :func:`put_in_place` puts at this path."""
    return path.with_name(f".{path.name}.new")


def seal(folder: Path) -> None:
    """Write down what every file of a folder holds, when all of them are on the disk.

    Args:
        folder: of files; one that changes afterwards is told to be damaged, until the folder is sealed again.
    """
    digests = {}
    for path in sorted(path for path in folder.iterdir() if path.name != SEAL):
        settle(path)
        digests[path.name] = _digest(path)
    (folder / SEAL).write_text(json.dumps({"format": FORMAT, "files": digests}))
    settle(folder / SEAL)
    settle(folder)


def damage(folder: Path) -> str | None:
    """What is wrong with a sealed folder, in words; None where every file is as it was sealed.

    A folder without a seal is told to be damaged, too: the seal is written last.
    """
    try:
        told = json.loads((folder / SEAL).read_text())
        files: dict[str, str] = told["files"]
        known = int(told["format"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"{SEAL} is missing or cannot be read"
    if known > FORMAT:
        return f"it has format {known}, this version of transrec reads up to {FORMAT}"
    for name, digest in files.items():
        try:
            if _digest(folder / name) != digest:
                return f"{name} is not what was written"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
