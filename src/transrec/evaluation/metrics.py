"""Metrics of one relevant item a history, from its rank alone: HR, NDCG and MRR, vectorised over targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def hit_rate(ranks_E: np.ndarray, k: int) -> np.ndarray:
    """HR@k of each target: 1 where its rank is at most k. With one relevant item this is also recall@k."""
    return (ranks_E <= k).astype(np.float64)


def ndcg(ranks_E: np.ndarray, k: int) -> np.ndarray:
    """NDCG@k of each target: 1 / log2(rank + 1) where its rank is at most k, for the ideal list has it at rank 1."""
    return np.where(ranks_E <= k, 1 / np.log2(ranks_E + 1), 0.0)


def reciprocal_rank(ranks_E: np.ndarray, k: int | None = None) -> np.ndarray:
    """1 / rank of each target, and 0 below rank k where k is given."""
    return np.where(ranks_E <= (np.inf if k is None else k), 1 / ranks_E, 0.0)


def metric_columns(ranks_E: np.ndarray, cutoffs: Sequence[int]) -> dict[str, np.ndarray]:
    """Every metric of every target, by its name: HR@k, NDCG@k and MRR@k at each cutoff, and MRR.

    Args:
        ranks_E: ranks from 1; a mean rank between two whole ones counts as it is, so that 10.5 is no hit at 10.
        cutoffs: the values of k.
    """
    columns = {}
    for name, metric in (("HR", hit_rate), ("NDCG", ndcg), ("MRR", reciprocal_rank)):
        for k in cutoffs:
            columns[f"{name}@{k}"] = metric(ranks_E, k)
    columns["MRR"] = reciprocal_rank(ranks_E)
    return columns
