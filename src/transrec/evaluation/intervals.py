"""How sure a mean is: percentile bootstrap over users, and the paired difference of two rankers, also in percent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RESAMPLED_AT_ONCE = 1 << 22
"""How many drawn counts are held at a time, whatever the number of users and resamples."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and where it may lie.

    Attributes:
        value: the mean over targets.
        low: lower end of the interval.
        high: upper end of the interval.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True, slots=True)
class Difference:
    """How much one ranker gains over another on the same targets.

    Attributes:
        gain: the mean difference with its interval.
        p_value: two-sided, from the share of resamples on the other side of zero; at least 2 / (resamples + 1).
    """

    gain: Interval
    p_value: float


def bootstrap(
    values_EM: np.ndarray,
    users_E: np.ndarray,
    generator: np.random.Generator,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> list[Interval]:
    """A percentile interval for the mean of each of M columns, drawing whole users with replacement.

    Users, not targets, are drawn, because the targets of one user are not independent.

    Args:
        values_EM: the metrics of each target.
        users_E: whose target it is.
        generator: draws the resamples; all columns share them.
        resamples: how many.
        confidence: share of the resampled means inside the interval.

    Returns:
        M intervals; for no targets at all they are not-a-number.
    """
    if not len(values_EM):
        return [Interval(float("nan"), float("nan"), float("nan"))] * values_EM.shape[1]
    means_RM = _resampled_means(values_EM, users_E, generator, resamples)
    tail = (1 - confidence) / 2
    low_M, high_M = np.quantile(means_RM, [tail, 1 - tail], axis=0)
    columns = zip(values_EM.mean(axis=0), low_M, high_M, strict=True)
    return [Interval(float(value), float(low), float(high)) for value, low, high in columns]


def paired_difference(
    first_E: np.ndarray,
    second_E: np.ndarray,
    users_E: np.ndarray,
    generator: np.random.Generator,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> Difference:
    """By how much the mean of ``first_E`` exceeds that of ``second_E`` on the same targets.

    Args:
        first_E: a metric of each target under the first ranker.
        second_E: the same under the second.
        users_E: whose target it is.
        generator: draws the resamples.
        resamples: how many.
        confidence: share of the resampled differences inside the interval.
    """
    gains_E1 = (first_E - second_E)[:, None]
    means_R = _resampled_means(gains_E1, users_E, generator, resamples)[:, 0]
    tail = (1 - confidence) / 2
    low, high = np.quantile(means_R, [tail, 1 - tail])
    beyond = min(int((means_R <= 0).sum()), int((means_R >= 0).sum()))
    gain = Interval(float(gains_E1.mean()), float(low), float(high))
    return Difference(gain, p_value=min(1.0, 2 * (beyond + 1) / (resamples + 1)))


def paired_percent(
    first_E: np.ndarray,
    second_E: np.ndarray,
    users_E: np.ndarray,
    generator: np.random.Generator,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> Interval:
    """By how many percent of the mean of ``second_E`` that of ``first_E`` exceeds it, both resampled together.

    Args:
        first_E: a metric of each target under the first ranker.
        second_E: the same under the second.
        users_E: whose target it is.
        generator: draws the resamples.
        resamples: how many.
        confidence: share of the resampled percentages inside the interval.

    Returns:
        the interval; not-a-number where the second mean is 0, and as its ends where some resample's is.
    """
    both_E2 = np.column_stack([first_E, second_E])
    means_R2 = _resampled_means(both_E2, users_E, generator, resamples)
    tail = (1 - confidence) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 100 * (np.divide(*both_E2.mean(axis=0)) - 1)
        if not (means_R2[:, 1] > 0).all():
            return Interval(float(value) if np.isfinite(value) else float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(100 * (means_R2[:, 0] / means_R2[:, 1] - 1), [tail, 1 - tail])
    return Interval(float(value), float(low), float(high))


def _resampled_means(
    values_EM: np.ndarray, users_E: np.ndarray, generator: np.random.Generator, resamples: int
) -> np.ndarray:
    """Means of ``resamples`` draws of as many users as there are, (resamples, M)."""
    _, user_of_E = np.unique(users_E, return_inverse=True)
    num_users = int(user_of_E.max()) + 1
    sums_UM = np.zeros((num_users, values_EM.shape[1]))
    np.add.at(sums_UM, user_of_E, values_EM)
    targets_U = np.bincount(user_of_E, minlength=num_users)
    # users with the same outcome are exchangeable, so drawing how often each outcome occurs is the same as drawing users,
    # and there are few outcomes: ranks beyond the largest cutoff differ in little
    outcomes_C, counts_C = np.unique(np.column_stack([sums_UM, targets_U]), axis=0, return_counts=True)
    step = max(1, RESAMPLED_AT_ONCE // len(outcomes_C))
    means = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn_RC = generator.multinomial(num_users, counts_C / num_users, size=size)
        totals_R = drawn_RC @ outcomes_C
        means.append(totals_R[:, :-1] / totals_R[:, -1:])
    return np.concatenate(means)
