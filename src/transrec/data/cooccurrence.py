"""What occurs with what in users' histories, as sparse matrices; every one is made without a loop over users or items.

Axes: B histories, V items of the catalog.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from transrec.data.histories import Histories
from transrec.data.splits import Split

ITEMS_AT_ONCE = 1024
"""Rows of a table that are made at a time."""


def training_histories(split: Split) -> Histories:
    """What each user may be trained on, all users of the interactions in order."""
    lengths = split.train_ends - split.interactions.offsets[:-1]
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return Histories(split.train_rows(), offsets)


def occurrences(histories: Histories, num_items: int, *, weights: np.ndarray | None = None) -> sp.csr_array:
    """Which items are in each history, float32 of shape (B, V).

    Args:
        histories: of B users.
        num_items: V.
        weights: what each event counts, added up where an item repeats; when None every item of a history counts 1.
    """
    values = np.ones(len(histories.rows)) if weights is None else weights
    coordinates = (histories.owners, histories.rows)
    # coordinates that repeat are added up
    matrix = sp.coo_array((values.astype(np.float32), coordinates), shape=(len(histories), num_items)).tocsr()
    if weights is None:
        matrix.data[:] = 1.0
    return matrix


def last_items(histories: Histories, num_items: int, last: int, fade: float) -> sp.csr_array:
    """The last items of each history, of which the d-th counts d to the power of minus ``fade``; float32, (B, V).

    Args:
        histories: of B users.
        num_items: V.
        last: how many of the last items count.
        fade: how fast distance counts less; 0 counts all alike.
    """
    recent = histories.last(last)
    distances = recent.offsets[1:][recent.owners] - np.arange(len(recent.rows))
    return occurrences(recent, num_items, weights=distances.astype(np.float64) ** -fade)


def count_followers(histories: Histories, num_items: int, *, window: int, fade: float) -> sp.csr_array:
    """How often each item (column) came at most ``window`` events after each (row) in one history, (V, V) float32.

    Args:
        histories: to count in.
        num_items: V.
        window: the largest distance.
        fade: what follows at distance d counts d to the power of minus this.
    """
    total = sp.csr_array((num_items, num_items), dtype=np.float32)
    for _, earlier, later, weight in followers_by_distance(histories, window=window, fade=fade):
        values = np.full(len(earlier), weight, dtype=np.float32)
        total = total + sp.coo_array((values, (earlier, later)), shape=total.shape).tocsr()
    return total


def followers_by_distance(
    histories: Histories, *, window: int, fade: float
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, float]]:
    """The pairs of :func:`count_followers`, by distance: whose they are, the earlier rows, the later rows, the weight."""
    owners, found = histories.owners, []
    for distance in range(1, window + 1):
        together = owners[:-distance] == owners[distance:]
        pairs = (owners[:-distance][together], histories.rows[:-distance][together], histories.rows[distance:][together])
        found.append((*pairs, float(distance) ** -fade))
    return found


def count_companions(
    histories: Histories, num_items: int, *, weights_V: np.ndarray | None = None, kept: int | None = None
) -> sp.csr_array:
    """How many histories hold both of two different items, (V, V) float32.

    All pairs are never held at once: the table is made, and cut down, for some items after the other.

    Args:
        histories: to count in.
        num_items: V.
        weights_V: what each item's entries count when they are cut down; all alike when None.
        kept: entries of each item that are kept, the largest; all when None.
    """
    held = occurrences(histories, num_items)
    holders = held.T.tocsr()
    weights_V = np.ones(num_items) if weights_V is None else weights_V
    blocks = [sp.csr_array((0, num_items), dtype=np.float32)]
    for start in range(0, num_items, ITEMS_AT_ONCE):
        together = (holders[start : start + ITEMS_AT_ONCE] @ held).tocoo()
        different = together.row + start != together.col
        entries = (together.data[different], (together.row[different], together.col[different]))
        block = sp.coo_array(entries, shape=together.shape).tocsr()
        blocks.append(block if kept is None else strongest(block, weights_V, kept))
    return sp.csr_array(sp.vstack(blocks, format="csr"))


def strongest(table: sp.csr_array, weights_V: np.ndarray, count: int) -> sp.csr_array:
    """At most ``count`` entries of each row: those that are largest when each column counts its weight.

    Args:
        table: of shape (n, V), its entries above 0.
        weights_V: of the columns.
        count: entries of a row to keep.
    """
    lengths = np.diff(table.indptr)
    if lengths.max(initial=0) <= count:
        return table
    owners = np.repeat(np.arange(table.shape[0]), lengths)
    order = np.lexsort((-table.data * weights_V[table.indices], owners))
    place = np.arange(len(order)) - np.repeat(table.indptr[:-1], lengths)
    kept = np.sort(order[place < count])
    indptr = np.concatenate([[0], np.cumsum(np.minimum(lengths, count))])
    return sp.csr_array((table.data[kept], table.indices[kept], indptr), shape=table.shape)
