"""Mixed batches: every platform's own, as often as the mixture says."""

from __future__ import annotations

import numpy as np
import polars as pl

from transrec.data.batches import ItemBatch, SequenceBatches
from transrec.data.interactions import Interactions
from transrec.data.mixing import MixedBatches
from transrec.data.splits import leave_one_out
from transrec.data.windows import WindowPlan

NUM_ITEMS = 40


class Rows:
    """An item source without content."""

    def __len__(self) -> int:
        return NUM_ITEMS

    def gather(self, rows: np.ndarray) -> ItemBatch:
        return ItemBatch(len(rows), {})

    def loads(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return rows, np.ones(len(rows), dtype=np.int64)


def batches(lengths: list[int], plan: WindowPlan, *, seed: int = 0) -> SequenceBatches:
    generator = np.random.default_rng(seed)
    table = pl.DataFrame(
        {
            "user": [f"u{u:03d}" for u, n in enumerate(lengths) for _ in range(n)],
            "row": np.concatenate([generator.permutation(NUM_ITEMS)[:n] for n in lengths]),
            "time": np.concatenate([np.arange(n, dtype=float) for n in lengths]),
        }
    )
    return SequenceBatches(leave_one_out(Interactions.from_columns(table)), Rows(), plan, batch_size=4, seed=5)


def test_mixed_batches_hold_every_batch_of_every_platform_once() -> None:
    plan = WindowPlan("next", length=4)
    one, two = batches([9] * 20, plan), batches([15] * 7, plan, seed=9)
    mixed = MixedBatches([one, two], seed=2)
    assert mixed.steps_per_epoch == one.steps_per_epoch + two.steps_per_epoch
    for epoch in range(2):
        start = epoch * mixed.steps_per_epoch
        found = sorted(tuple(mixed.batch(start + s).rows_U.tolist()) for s in range(mixed.steps_per_epoch))
        expected = [
            tuple(p.batch(epoch * p.steps_per_epoch + s).rows_U.tolist())
            for p in (one, two)
            for s in range(p.steps_per_epoch)
        ]
        assert found == sorted(expected)


def test_a_balanced_mixture_gives_every_platform_as_many_steps() -> None:
    plan = WindowPlan("next", length=20)
    small, large = batches([5] * 8, plan), batches([5] * 40, plan)
    proportional = MixedBatches([small, large], seed=0)
    balanced = MixedBatches([small, large], seed=0, mixture="balanced")
    assert [small.steps_per_epoch, large.steps_per_epoch] == [2, 10]
    assert proportional.steps_per_epoch == balanced.steps_per_epoch == 12
    for mixed, expected in ((proportional, [2, 10]), (balanced, [6, 6])):
        for epoch in range(2):
            steps = range(12 * epoch, 12 * (epoch + 1))
            assert np.bincount([mixed.which(step)[0] for step in steps]).tolist() == expected
            # every batch of a platform is another one of its own
            own = [mixed.which(step) for step in steps]
            assert len(set(own)) == 12
            assert sorted(own_step for place, own_step in own if place == 1) == list(
                range(epoch * expected[1], (epoch + 1) * expected[1])
            )
