"""Dealing the items of a batch to several processes, so that each content is encoded once among all of them."""

from __future__ import annotations

import numpy as np


def dealt(same_U: np.ndarray, sizes_U: np.ndarray, ranks: int) -> list[np.ndarray]:
    """Which items each process encodes.

    Items of equal content go to one process. The largest are dealt first, back and forth, so that all have about as much
    to encode, and about as many of each length.

    Args:
        same_U: a number for each item, the same for items of equal content.
        sizes_U: how much there is to encode of each.
        ranks: how many processes.

    Returns:
        places of items, increasing, for each process; some may have none.
    """
    _, first, group_U = np.unique(same_U, return_index=True, return_inverse=True)
    order = np.argsort(-sizes_U[first], kind="stable")
    turns = np.arange(len(order)) % (2 * ranks)
    rank_of_group = np.empty(len(order), dtype=np.int64)
    rank_of_group[order] = np.minimum(turns, 2 * ranks - 1 - turns)
    rank_U = rank_of_group[group_U]
    return [np.flatnonzero(rank_U == rank) for rank in range(ranks)]
