"""Broken input: how a good folder is spoilt, what is typed then, what must be told; and the bytes of a folder, compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Spoils = Callable[[Path], object]

INGEST = "ingest --interactions views.csv --items items.csv --images pictures --vectors given=given --out new"
TRAIN = "train data --config small.yaml --out new"
RECOMMEND = "recommend run --history i1,i2"


@dataclass(frozen=True, slots=True)
class Refused:
    """Input that ends a command with one error.

    Attributes:
        name: of the kind.
        spoils: makes it, in a folder that holds a good platform.
        command: what is typed in that folder.
        told: what the message must hold: the place, and the remedy.
        prepares: a folder of prepared content that may come meanwhile, whole: it is kept for the next attempt.
    """

    name: str
    spoils: Spoils
    command: str
    told: tuple[str, ...]
    prepares: str = ""


@dataclass(frozen=True, slots=True)
class SetAside:
    """Rows, or parts of rows, that an ingest sets aside and goes on.

    Attributes:
        name: of the kind.
        spoils: makes it, in a folder that holds a good platform.
        reason: why they are set aside.
        dropped: how many rows.
        kept: how many rows are kept without what is wrong.
        told: what must be told besides: the place, and the remedy.
        command: what is typed in that folder.
        items: so many are left, at least.
    """

    name: str
    spoils: Spoils
    reason: str
    dropped: int
    kept: int
    told: tuple[str, ...]
    command: str = INGEST
    items: int = 11


def digests(folder: Path) -> dict[str, str]:
    """Of everything below a folder: for files what their bytes come to, for folders nothing, for links where they lead."""
    return {str(path.relative_to(folder)): _digest(path) for path in sorted(folder.rglob("*"))}


def _digest(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() if path.is_file() else ""


# ---- ways to spoil ----------------------------------------------------------------------------------------------------


def nothing(_: Path) -> None:
    """Leave everything as it is: the command is what is wrong."""


def with_text(name: str, text: str | bytes) -> Spoils:
    """A file with this content."""

    def spoil(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return spoil


def with_lines(name: str, *lines: str | bytes) -> Spoils:
    """A file with further lines at its end."""

    def spoil(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.writelines((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)

    return spoil


def with_instead(name: str, old: str, new: str) -> Spoils:
    """A text file with something else in place of the first ``old``."""

    def spoil(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text, f"{name} holds no {old!r}"
        (folder / name).write_text(text.replace(old, new, 1))

    return spoil


def cut_short(name: str, share: float = 0.5) -> Spoils:
    """A file of which only the beginning is left."""

    def spoil(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return spoil


def cut_after(name: str, last: str) -> Spoils:
    """A text file that ends in the middle of the line behind the first ``last``."""

    def spoil(folder: Path) -> None:
        before, found, after = (folder / name).read_text().partition(last)
        assert found, f"{name} holds no {last!r}"
        (folder / name).write_text(before + found + after[:8])

    return spoil


def without(name: str) -> Spoils:
    """A file or folder that is gone, or rather: that has another name."""

    def spoil(folder: Path) -> None:
        (folder / name).rename(folder / "gone")

    return spoil


def a_folder_at(name: str) -> Spoils:
    """A folder where a file belongs."""

    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()

    return spoil


def both(*steps: Spoils) -> Spoils:
    """One after the other."""

    def spoil(folder: Path) -> None:
        for step in steps:
            step(folder)

    return spoil
