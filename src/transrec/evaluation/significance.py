"""Could chance alone explain a difference: the paired randomisation test over users, and Holm's correction for several.

Axes: E targets, U users, R random relabellings, G groups of users with the same size of difference, N tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transrec.errors import EvaluationError

SIGNS_AT_ONCE = 1 << 22
"""How many drawn signs are held at a time, whatever the number of users and relabellings."""

ROUNDING = 1e-9
"""Sums that differ by less than this share of the sum of all sizes count as equal: the order of adding differs."""


def randomisation_test(
    gains_E: np.ndarray, users_E: np.ndarray, generator: np.random.Generator, *, permutations: int = 10_000
) -> float:
    """How often chance alone gives a mean difference at least as large, two-sided: Fisher's paired randomisation test.

    If it did not matter which of two rankers made which ranking, then the names of the two could be swapped for any user,
    and the user's difference would change its sign. The p-value is the share of such relabellings whose total is at least
    as far from zero as the one that was seen (Smucker, Allan and Carterette 2007, doi:10.1145/1321440.1321528, recommend it
    for rankings). It assumes nothing about how the differences are distributed.

    All relabellings are tried where they are no more than ``permutations``. Else that many are drawn, and the one that was
    seen counts as one of them, so that the test keeps its level and the p-value is never 0 (Phipson and Smyth 2010,
    doi:10.2202/1544-6115.1585).

    Args:
        gains_E: by how much one ranker exceeds the other on each target.
        users_E: whose target it is; a user's targets change their sign together.
        generator: draws the relabellings.
        permutations: how many.

    Raises:
        EvaluationError: there are no targets, a gain is not a number, or ``permutations`` is below 1.
    """
    if permutations < 1 or not len(gains_E):
        raise EvaluationError(f"a test needs targets and relabellings, not {len(gains_E)} and {permutations}")
    if not np.isfinite(gains_E).all():
        raise EvaluationError("a difference between two rankers is not a finite number")
    _, user_of_E = np.unique(users_E, return_inverse=True)
    sizes_U = np.abs(np.bincount(user_of_E, weights=gains_E))
    sizes_U = sizes_U[sizes_U > 0]  # a difference of nothing has no sign
    reached = abs(float(gains_E.sum())) - ROUNDING * float(sizes_U.sum())
    if len(sizes_U) < 63 and 2 ** len(sizes_U) <= permutations:
        return float(np.mean(np.abs(_every_total(sizes_U)) >= reached))
    beyond = sum(int((np.abs(totals_R) >= reached).sum()) for totals_R in _drawn_totals(sizes_U, generator, permutations))
    return (1 + beyond) / (1 + permutations)


def _every_total(sizes_U: np.ndarray) -> np.ndarray:
    """The totals under all assignments of signs, (2 ** U,)."""
    totals = np.zeros(1)
    for size in sizes_U:
        totals = np.concatenate([totals + size, totals - size])
    return totals


def _drawn_totals(sizes_U: np.ndarray, generator: np.random.Generator, permutations: int) -> list[np.ndarray]:
    """Totals under random signs, block by block.

    Users with the same size are exchangeable, so the number of positive signs among them is drawn instead of each sign; a
    hit rate has one size for all users.
    """
    sizes_G, counts_G = np.unique(sizes_U, return_counts=True)
    alone = counts_G == 1
    step = max(1, SIGNS_AT_ONCE // len(sizes_G))
    totals = []
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        signs_RG = generator.integers(0, 2, size=(rows, int(alone.sum())), dtype=np.int8) * 2 - 1
        net_RG = 2 * generator.binomial(counts_G[~alone], 0.5, size=(rows, int((~alone).sum()))) - counts_G[~alone]
        totals.append(signs_RG @ sizes_G[alone] + net_RG @ sizes_G[~alone])
    return totals


def holm(p_values_N: Sequence[float]) -> list[float]:
    """P-values made larger for being several (Holm 1979), in the order in which they came.

    Whoever calls those below alpha real is wrong about any of the N with a probability of at most alpha, whatever the
    dependence between the tests.

    Args:
        p_values_N: of the tests of one family.
    """
    order = np.argsort(p_values_N, kind="stable")
    factors = len(p_values_N) - np.arange(len(p_values_N))
    climbing = np.maximum.accumulate(np.asarray(p_values_N, dtype=np.float64)[order] * factors).clip(max=1.0)
    corrected = np.empty(len(p_values_N))
    corrected[order] = climbing
    return [float(value) for value in corrected]
