"""Folders that are made once: whole, or not there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


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
