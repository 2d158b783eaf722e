"""Slices: the targets by what they are, how often training saw them, and how much was known of their user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

POPULARITY_EDGES = (0, 1, 5, 20)
"""Lower ends of the buckets of training events of the target."""

HISTORY_EDGES = (0, 1, 5, 10, 20, 50)
"""Lower ends of the buckets of history lengths."""

TAIL = 4
"""Targets that training saw at most this often are the tail."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Some of the targets.

    Attributes:
        group: what the targets are told apart by.
        label: which of them these are.
        mask_E: which targets belong, bool.
    """

    group: str
    label: str
    mask_E: np.ndarray


def by_modality(rows_E: np.ndarray, presence: Mapping[str, np.ndarray]) -> list[Slice]:
    """Targets by the set of modalities that they have, such as "text only" or "text + image".

    Args:
        rows_E: the catalog row of each target.
        presence: by modality, which items have it, bool of shape (V,).
    """
    names = list(presence)
    codes_E = np.zeros(len(rows_E), dtype=np.int64)
    for bit, name in enumerate(names):
        codes_E |= presence[name][rows_E].astype(np.int64) << bit
    slices = []
    for code in np.unique(codes_E):
        own = [name for bit, name in enumerate(names) if code >> bit & 1]
        label = " + ".join(own) if len(own) > 1 else f"{own[0]} only" if own else "no content"
        slices.append(Slice("content", label, codes_E == code))
    return slices


def by_popularity(rows_E: np.ndarray, train_counts_V: np.ndarray) -> list[Slice]:
    """Targets by how often training saw them; 0 is cold. The tail overlaps the lower buckets.

    Args:
        rows_E: the catalog row of each target.
        train_counts_V: training events of each item.
    """
    counts_E = train_counts_V[rows_E]
    group = "training events"
    buckets = _buckets(group, counts_E, POPULARITY_EDGES, names={0: "0 (cold)"})
    tail = Slice(group, f"0-{TAIL} (tail)", counts_E <= TAIL)
    return [*buckets, tail] if tail.mask_E.any() else buckets


def by_history(lengths_E: np.ndarray) -> list[Slice]:
    """Targets by the number of events before them."""
    return _buckets("history length", lengths_E, HISTORY_EDGES, names={})


def _buckets(group: str, values_E: np.ndarray, edges: Sequence[int], *, names: Mapping[int, str]) -> list[Slice]:
    bucket_E = np.searchsorted(edges, values_E, side="right") - 1
    slices = []
    for bucket in np.unique(bucket_E):
        low = edges[bucket]
        high = edges[bucket + 1] - 1 if bucket + 1 < len(edges) else None
        label = names.get(low) or (f"{low}+" if high is None else f"{low}" if low == high else f"{low}-{high}")
        slices.append(Slice(group, label, bucket_E == bucket))
    return slices
