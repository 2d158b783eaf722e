"""Folders that are made once: whole, or not there; and those that are here or on the hub."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from transrec.errors import DataError, RunError, TransRecError

if sys.platform != "win32":
    import fcntl


def require_place(path: Path, *, flag: str = "--out") -> None:
    """Say before any work is done that something cannot be put at a place.

    Args:
        path: of the file or folder that is to be written.
        flag: that named it.

    Raises:
        DataError: it would lie below a file, or in a folder that may not be written to.
    """
    above = next((outer for outer in path.parents if os.access(outer, os.F_OK)), path.parent)
    if not above.is_dir():
        reason = f"{above} is a file"
    elif not os.access(above, os.W_OK | os.X_OK):
        reason = f"{above} may not be written to"
    else:
        return
    raise DataError(f"nothing can be put at {path}: {reason}", remedy=f"name another place with {flag}")


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder; made now if it is not there.

    It is made beside its place and then renamed, so that a half-made one is never taken for whole, and of two processes
    that make the same the first wins.

    Args:
        folder: where it is or shall be.
        make: fills an empty folder.
    """
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        make(building)
        building.rename(folder)
    except OSError:
        if not folder.exists():  # else another process has made the same meanwhile
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def grown_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder; made now if it is not there, from where an interruption stopped.

    Like :func:`made_once`, for what takes long: what an interrupted process leaves behind is given to the next, and of
    several processes that want the same one works while the others wait. Where folders cannot be locked (Windows, a few
    network file systems) it is :func:`made_once`.

    Args:
        folder: where it is or shall be.
        make: fills a folder that is empty or that an earlier call left unfinished. After an error of ours, which another
            attempt would meet again, nothing is left.
    """
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = folder.parent / f".{folder.name}.part"
    with _alone(building) as locked:
        if not locked:
            return made_once(folder, make)
        if folder.exists():  # another process has made it while this one waited
            building.rmdir()
            return folder
        try:
            make(building)
        except TransRecError:
            shutil.rmtree(building, ignore_errors=True)
            raise
        building.rename(folder)
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """The folder, which is made, for this process alone until the context ends; False where that cannot be had."""
    if sys.platform == "win32":
        yield False
        return
    handle = -1
    try:
        while True:
            folder.mkdir(exist_ok=True)
            handle = os.open(folder, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
            # while this process waited, the folder may have been finished, and another of its name begun
            if folder.exists() and os.fstat(handle).st_ino == folder.stat().st_ino:
                break
            os.close(handle)
            handle = -1
        locked = True
    except OSError:
        locked = False
        with suppress(OSError):  # it holds something: another process is at work
            folder.rmdir()
    try:
        yield locked
    finally:
        if handle >= 0:
            os.close(handle)


def local_folder(folder: str | Path) -> Path:
    """The folder itself, or a download of the hub repository of this name."""
    path = Path(folder)
    if path.exists() or isinstance(folder, Path) or str(folder).count("/") != 1:
        return path
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(folder)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise RunError(
            f"{folder} is neither a folder here nor a repository that the hub gave us ({type(error).__name__})",
            remedy="check the path; offline, download the run first and give its folder",
        ) from None
