"""Pieces of work come back in order and once, also when the processes that make them are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from transrec.cluster.asked import Cluster
from transrec.cluster.streaming import made_in_order
from transrec.errors import ClusterError, DataError

PIECES = [range(start, start + 3) for start in range(0, 60, 3)]


def mortal(folder: Path) -> type:
    """A maker whose process is killed at three pieces, the first time that each of them is asked for."""

    class Mortal:
        def __init__(self, *, folder: str) -> None:
            self.folder = folder

        def __call__(self, piece: range) -> bytes:
            import os
            import signal
            from pathlib import Path

            died = Path(self.folder) / f"died at {piece.start}"
            if piece.start in (0, 21, 57) and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return f"{list(piece)}\0".encode()  # ends with a byte that arrays of bytes would lose

    return Mortal


def test_what_is_made_comes_in_order_and_once_though_processes_are_killed(joined_here: None, tmp_path: Path) -> None:
    import ray

    made = list(made_in_order(ray, Cluster("local", 2), mortal(tmp_path), {"folder": str(tmp_path)}, PIECES))
    assert made == [f"{list(piece)}\0".encode() for piece in PIECES]
    assert len(list(tmp_path.iterdir())) == 3, "three processes were killed"


def test_no_pieces_need_no_process(joined_here: None) -> None:
    import ray

    assert list(made_in_order(ray, Cluster("local", 2), mortal(Path()), {}, [])) == []


def test_a_mistake_is_told_as_it_was_raised(joined_here: None) -> None:
    import ray

    class Mistaken:
        def __call__(self, piece: range) -> bytes:
            from transrec.errors import DataError

            raise DataError(f"the item {piece.start} cannot be read", where="catalog", remedy="look at it")

    with pytest.raises(DataError, match=r"the item 0 cannot be read \[catalog\]\n  To mend it: look at it"):
        list(made_in_order(ray, Cluster("local", 1), Mistaken, {}, PIECES[:1]))


def test_another_failure_says_that_the_workers_failed(joined_here: None) -> None:
    import ray

    class Broken:
        def __call__(self, piece: range) -> bytes:
            raise ZeroDivisionError("a fault of the program")

    with pytest.raises(ClusterError, match="a fault of the program"):
        list(made_in_order(ray, Cluster("local", 1), Broken, {}, PIECES[:1]))
