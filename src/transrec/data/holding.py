"""Holding: a folder that one process writes at a time."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from transrec.errors import RunError

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"
LOOK_S = 0.2
"""Seconds between two looks whether a folder is free."""


@contextmanager
def holding(folder: Path | None, doing: str) -> Iterator[None]:
    """Keep other processes from writing this folder until the context ends; a process that is killed lets go, too.

    Where files cannot be locked (Windows, a few network file systems) nobody is kept from anything.

    Args:
        folder: made if it is not there, and gone again if nothing comes into it; None holds nothing.
        doing: what this process does, for those who come later: ``"transrec train"``.

    Raises:
        RunError: another process holds it; says which, and since when.
    """
    if folder is None or sys.platform == "win32":
        yield
        return
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                file.seek(0)
                raise RunError(
                    f"another process writes this folder: {file.read().strip() or 'it has not said which'}",
                    where=str(folder),
                    remedy="wait until it has ended, end it, or give another --out",
                ) from None
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        file.truncate(0)
        file.write(f"{doing}, process {os.getpid()} on {socket.gethostname()}, since {since}\n")
        file.flush()
        try:
            yield
        finally:
            (folder / LOCK).unlink(missing_ok=True)
            with suppress(OSError):
                if made:
                    folder.rmdir()  # only an empty one goes


def until_free(folder: Path, seconds: float) -> None:
    """Wait until no process holds a folder, at most so long: for one that takes the place of another that was ended.

    Args:
        folder: may be missing.
        seconds: after which it returns all the same; :func:`holding` then says who it is.
    """
    if sys.platform == "win32":
        return
    end = time.monotonic() + seconds
    while time.monotonic() < end and _is_held(folder):
        time.sleep(LOOK_S)


def _is_held(folder: Path) -> bool:
    try:
        with (folder / LOCK).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    return False
