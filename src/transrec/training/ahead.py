"""Ahead: the batches of the next steps, made beside the present one."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

from transrec.data.batches import SequenceBatch

MOST_AHEAD = 4
"""Steps whose batches are made at a time, at most: each is held in memory until its turn comes."""


def batches_ahead(device: torch.device) -> int:
    """How many steps' batches are made at a time beside a training: several for an accelerator, which waits for them.

    A CPU that trains has no processors to spare; beside an accelerator some are left for its own calls.
    """
    return 1 if device.type == "cpu" else max(1, min(MOST_AHEAD, _processors() // 2 - 1))


def prefetched(
    make: Callable[[int], list[SequenceBatch]], steps: range, waited: Callable[[float], None], ahead: int = 1
) -> Iterator[list[SequenceBatch]]:
    """The batches of these steps; the next are made in other threads while the present ones train.

    Args:
        make: the batches of a step; called from other threads, and for several steps at a time.
        steps: in their order.
        waited: is told the seconds that each step had to wait for its batches.
        ahead: so many steps' batches are made at a time.
    """
    with ThreadPoolExecutor(max_workers=ahead) as pool:
        coming = deque(pool.submit(make, step) for step in steps[:ahead])
        for step in steps:
            asked = time.perf_counter()
            ready = coming.popleft().result()
            waited(time.perf_counter() - asked)
            if step + ahead < steps.stop:
                coming.append(pool.submit(make, step + ahead))
            yield ready


def _processors() -> int:
    """Those that this process may use; several that train together on a machine share them."""
    all_of_them = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, all_of_them // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
