"""Draws: what former batches had, as a function of the step alone. (What a batch is made of: test_batches.py.)"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from transrec.data.drawing import Draws
from transrec.data.interactions import Interactions
from transrec.data.splits import Split, leave_one_out
from transrec.data.windows import WindowPlan

NUM_ITEMS = 60


def split_of(users: int = 20, events: int = 8) -> Split:
    generator = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "user": np.repeat([f"u{u:02d}" for u in range(users)], events),
            "row": np.concatenate([generator.permutation(NUM_ITEMS)[:events] for _ in range(users)]),
            "time": np.tile(np.arange(events, dtype=float), users),
        }
    )
    return leave_one_out(Interactions.from_columns(table))


def draws(memory: int, **changes: int) -> Draws:
    plan = WindowPlan("next", length=5, shared_negatives=3, memory=memory)
    return Draws(split_of(), NUM_ITEMS, plan, **{"batch_size": 6, "seed": 2, **changes})


@pytest.mark.parametrize("memory", [0, 1, 3])
def test_former_items_are_those_of_the_last_batches_without_those_of_this(memory: int) -> None:
    made, plain = draws(memory), draws(0)
    for step in range(2 * made.steps_per_epoch + 1):  # across the ends of epochs
        drawn = made.at(step)
        assert np.array_equal(drawn.rows_U, plain.at(step).rows_U), "a memory changes nothing in the batch"
        former = made.before(step, drawn)
        past = [plain.at(back) for back in range(max(0, step - memory), step)]
        rows = {int(row) for one in past for row in one.rows_U} - set(drawn.rows_U.tolist())
        assert former.rows_R.tolist() == sorted(rows)
        assert former.batches == len(past) == min(step, memory)
        assert former.events == sum(one.events for one in past)
        assert bool(len(former.rows_R)) == bool(past)


def test_they_depend_on_the_step_alone() -> None:
    """A resumed training asks for a step first whose former ones it has not made."""
    forwards, backwards = draws(2), draws(2)
    steps = range(forwards.steps_per_epoch + 3)
    first = [forwards.before(step, forwards.at(step)).rows_R.tolist() for step in steps]
    second = [backwards.before(step, backwards.at(step)).rows_R.tolist() for step in reversed(steps)]
    assert first == second[::-1]


def test_former_batches_are_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked = draws(3), []
    at = Draws.at
    monkeypatch.setattr(Draws, "at", lambda self, step: asked.append(step) or at(self, step))  # type: ignore[func-returns-value]
    for step in range(6):
        made.before(step, made.at(step))
    assert asked == list(range(6))
