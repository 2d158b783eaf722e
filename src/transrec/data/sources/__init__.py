"""Public formats, read as they are published: each says which files hold what, and how they are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from transrec.data.sources.amazon2023 import amazon2023
from transrec.data.sources.hm import hm
from transrec.data.sources.layout import Layout
from transrec.data.sources.mind import mind
from transrec.data.sources.movielens import movielens
from transrec.data.sources.recbole import recbole
from transrec.errors import DataError

SourceName = Literal["recbole", "movielens", "mind", "amazon2023", "hm"]

SOURCES: dict[SourceName, Callable[[Path], Layout]] = {
    "recbole": recbole,
    "movielens": movielens,
    "mind": mind,
    "amazon2023": amazon2023,
    "hm": hm,
}


def read_layout(name: SourceName, folder: Path) -> Layout:
    """What a folder in a public format holds.

    Raises:
        DataError: the format is not known, there is no such folder, or it does not hold the files of the format.
    """
    if name not in SOURCES:
        raise DataError(f"there is no source {name!r}", remedy=f"known are {', '.join(SOURCES)}")
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", remedy=f"--source {name} FOLDER takes the folder that holds the files")
    return SOURCES[name](folder)
