"""MixedBatches: what a training on several platforms learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from transrec.data.batches import SequenceBatch, SequenceBatches

Mixture = Literal["proportional", "balanced"]


class MixedBatches:
    """The batches of several platforms, each batch from one of them, in an order that depends on (seed, epoch) alone.

    Negatives come from the batch's own platform: telling platforms apart would be easy and teach nothing.

    Args:
        platforms: the batches of each.
        seed: of the order.
        mixture: how many of an epoch's steps each platform has: ``"proportional"``: as many as it has batches, so every
            window is seen once; ``"balanced"``: all equally many, so that a large platform does not drown the others; small
            ones are then seen more than once an epoch and large ones in part.
    """

    def __init__(self, platforms: Sequence[SequenceBatches], *, seed: int, mixture: Mixture = "proportional") -> None:
        self._platforms, self._seed = platforms, seed
        steps = np.array([p.steps_per_epoch for p in platforms])
        if mixture == "balanced":
            steps = np.full(len(platforms), max(1, round(steps.mean())))
        self._steps = steps
        self._kept_order: tuple[int, np.ndarray] | None = None
        self._which = np.repeat(np.arange(len(platforms)), steps)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of all platforms."""
        return len(self._which)

    def batch(self, step: int) -> SequenceBatch:
        """The batch of this step."""
        which, own_step = self.which(step)
        return self._platforms[which].batch(own_step)

    def which(self, step: int) -> tuple[int, int]:
        """The platform of this step, and its own step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        kept = self._kept_order  # other threads look for other epochs
        if kept is None or kept[0] != epoch:
            kept = self._kept_order = (epoch, np.random.default_rng([self._seed, epoch, 7]).permutation(self._which))
        order = kept[1]
        which = int(order[place])
        return which, epoch * int(self._steps[which]) + int((order[:place] == which).sum())
