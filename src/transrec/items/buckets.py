"""Buckets: items of about one length together, so that little padding is computed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

BUCKET_COST = 32
"""What another bucket costs, in tokens that could be computed in that time."""


def length_buckets(lengths_n: Tensor, cost: int = BUCKET_COST) -> list[Tensor]:
    """Places of items, in buckets that make padding and the number of buckets small together.

    With each bucket padded to its longest item, the buckets are those with the smallest sum of padded tokens and ``cost``
    for each bucket, found by dynamic programming over the different lengths.

    Args:
        lengths_n: of the items, on the CPU.
        cost: of a bucket, in tokens.

    Returns:
        Places (int64) of each bucket, shorter items first.
    """
    lengths = lengths_n.numpy()
    order = np.argsort(lengths, kind="stable")
    different, counts = np.unique(lengths, return_counts=True)
    items = np.concatenate([[0], np.cumsum(counts)])
    # best[j]: the least for the first j lengths; the last bucket of these holds the lengths from begins[j] on
    best = np.zeros(len(different) + 1)
    begins = np.zeros(len(different) + 1, dtype=np.int64)
    for j in range(1, len(different) + 1):
        sums = best[:j] + (items[j] - items[:j]) * different[j - 1] + cost
        begins[j] = np.argmin(sums)
        best[j] = sums[begins[j]]
    buckets, end = [], len(different)
    while end > 0:
        buckets.append(torch.from_numpy(order[items[begins[end]] : items[end]]))
        end = int(begins[end])
    return buckets[::-1] or [torch.from_numpy(order)]
