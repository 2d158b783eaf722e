"""Windows without targets; those with targets are tested through the batches that they make."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transrec.data.windows import WindowPlan, windows_of


def bounds(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Users with gaps between them, as held-out events leave."""
    starts = np.cumsum([0, *(length + 2 for length in lengths[:-1])])
    return starts, starts + np.array(lengths)


@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=8), length=st.integers(2, 7))
@settings(max_examples=60)
def test_histories_alone_show_every_training_event(lengths: list[int], length: int) -> None:
    starts, ends = bounds(lengths)
    seen: dict[int, set[int]] = {user: set() for user in range(len(lengths))}
    windows = windows_of(starts, ends, WindowPlan("none", length=length))
    for user, low, high, target_low, target_high in windows.tolist():
        assert starts[user] <= low and high <= ends[user]
        assert high - low == min(length, lengths[user]), "as long as it can be"
        assert target_low == target_high, "nothing is a target"
        seen[user] |= set(range(low, high))
    for user, count in enumerate(lengths):
        expected = set(range(starts[user], ends[user])) if count >= 2 else set()
        assert seen[user] == expected, "a single event shows nothing of what follows what"
    assert len(windows) == sum(-(-count // length) for count in lengths if count >= 2), "and no more often than needed"


def test_last_histories_are_the_latest() -> None:
    starts, ends = bounds([9, 1, 3])
    windows = windows_of(starts, ends, WindowPlan("none", length=4, windows="last"))
    assert windows[:, :3].tolist() == [[0, 5, 9], [2, 14, 17]]


@pytest.mark.parametrize(("targets", "width"), [("next", 7), ("following", 3), ("none", 0)])
def test_the_width_of_the_targets(targets: str, width: int) -> None:
    assert WindowPlan(targets, length=7, horizon=3).width == width  # type: ignore[arg-type]
