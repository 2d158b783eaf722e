from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transrec.data.epochs import Epochs, Replay
from transrec.data.windows import WindowPlan, windows_of

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=8)


def windows_and_events(lengths: list[int], new: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of users with so many events, and which events are new: the bits of a number."""
    ends = np.cumsum(lengths)
    windows = windows_of(ends - lengths, ends, WindowPlan("next", length=2))
    return windows, np.array([bool(new >> place & 1) for place in range(int(ends[-1]))], dtype=bool)


@given(LENGTHS, st.integers(0, 9), st.integers(0, 3))
def test_without_a_replay_an_epoch_is_every_window_in_the_order_of_its_seed(
    lengths: list[int], seed: int, epoch: int
) -> None:
    windows, _ = windows_and_events(lengths, 0)
    epochs = Epochs(windows, seed)
    assert len(epochs) == len(windows)
    assert np.array_equal(epochs.order(epoch), np.random.default_rng([seed, epoch]).permutation(len(windows)))


@given(LENGTHS, st.integers(0, 2**72 - 1), st.floats(0, 0.9), st.integers(0, 9))
def test_every_epoch_has_what_is_new_and_a_share_of_the_rest(lengths: list[int], bits: int, share: float, seed: int) -> None:
    windows, new_N = windows_and_events(lengths, bits)
    epochs = Epochs(windows, seed, Replay(new_N, share))
    new = {place for place, row in enumerate(windows.tolist()) if new_N[row[3] : row[4]].any()}
    old = set(range(len(windows))) - new
    if not new:
        new, old = old, new
    wanted = min(len(old), round(len(new) * share / (1 - share)))
    seen: set[int] = set()
    for epoch in range(-(-len(old) // wanted) if wanted else 1):
        order = epochs.order(epoch).tolist()
        again = Epochs(windows, seed, Replay(new_N, share)).order(epoch)
        assert order == again.tolist()  # whatever was asked for before
        assert len(order) == len(epochs) == len(new) + wanted
        assert set(order) & new == new and len([w for w in order if w in new]) == len(new)
        seen |= set(order) - new
    assert seen == (old if wanted else set())  # they take turns


@pytest.mark.parametrize(("new", "found"), [([0, 0, 0, 1], [False, True]), ([1, 0, 0, 0], [True, False])])
def test_windows_without_targets_are_new_by_their_histories(new: list[int], found: list[bool]) -> None:
    windows = windows_of(np.array([0, 2]), np.array([2, 4]), WindowPlan("none", length=4))
    assert Replay(np.array(new, dtype=bool), 0.5).is_new(windows).tolist() == found
