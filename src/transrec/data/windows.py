"""Windows: which parts of the users' training events make one example each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from transrec.data.augmenting import AugmentSettings


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """Which windows of a user's training events an objective learns from.

    Attributes:
        targets: ``"next"``: every position predicts the item after it; ``"following"``: the whole history predicts the
            ``horizon`` items after it; ``"none"``: there are no targets, for objectives that learn from the histories alone.
        length: the longest history, L.
        horizon: T of ``"following"``.
        negatives: K items sampled for each user.
        windows: ``"all"``: windows that make every training event but the first a target once an epoch (without targets:
            that show every training event); ``"last"``: one window a user, the latest, as published.
        shared_negatives: items drawn uniformly for the whole batch, as further candidates.
        negatives_avoid: what sampled negatives avoid: the user's ``"training"`` events, or the whole ``"line"`` with
            the held-out events, as published (which tells the model a little about what is held out).
        hidden: the share of every history that is hidden: each item with this probability, but at least one and, of two or
            more, not all.
        times: whether histories carry when their events were.
        memory: former batches of which the items are further candidates.
        views: how two further views of every history are made; None: there are none.
    """

    targets: Literal["next", "following", "none"]
    length: int
    horizon: int = 1
    negatives: int = 0
    windows: Literal["all", "last"] = "all"
    shared_negatives: int = 0
    negatives_avoid: Literal["training", "line"] = "training"
    hidden: float = 0.0
    times: bool = False
    memory: int = 0
    views: AugmentSettings | None = None

    @property
    def width(self) -> int:
        """T, the targets of a window at most."""
        return {"next": self.length, "following": self.horizon, "none": 0}[self.targets]


def windows_of(starts: np.ndarray, ends: np.ndarray, plan: WindowPlan) -> np.ndarray:
    """All windows of a platform.

    Args:
        starts: where each user's training events begin.
        ends: where they end.
        plan: which windows.

    Returns:
        rows (user, history start, history end, targets start, targets end), int64 of shape (W, 5).
    """
    if plan.targets == "none":
        return _histories(starts, ends, plan)
    stride = plan.width
    predictable = np.maximum(ends - starts - 1, 0)
    per_user = -(-predictable // stride)
    if plan.windows == "last":
        per_user = np.minimum(per_user, 1)
    users = np.repeat(np.arange(len(starts)), per_user)
    backwards = np.arange(len(users)) - np.repeat(np.cumsum(per_user) - per_user, per_user)
    target_ends = ends[users] - backwards * stride
    target_starts = np.maximum(target_ends - stride, starts[users] + 1)
    if plan.targets == "next":
        history_starts, history_ends = target_starts - 1, target_ends - 1
    else:
        history_starts, history_ends = np.maximum(target_starts - plan.length, starts[users]), target_starts
    return np.stack([users, history_starts, history_ends, target_starts, target_ends], axis=1)


def _histories(starts: np.ndarray, ends: np.ndarray, plan: WindowPlan) -> np.ndarray:
    """Windows without targets: every training event in one, the earliest window of a user as long as the others."""
    counts = np.where(ends - starts >= 2, ends - starts, 0)
    per_user = -(-counts // plan.length)
    if plan.windows == "last":
        per_user = np.minimum(per_user, 1)
    users = np.repeat(np.arange(len(starts)), per_user)
    backwards = np.arange(len(users)) - np.repeat(np.cumsum(per_user) - per_user, per_user)
    shortest = np.minimum(counts[users], plan.length)
    history_ends = np.maximum(ends[users] - backwards * plan.length, starts[users] + shortest)
    return np.stack([users, history_ends - shortest, history_ends, history_ends, history_ends], axis=1)
