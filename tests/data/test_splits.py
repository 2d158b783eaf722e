"""Splits: nothing trains that is predicted, and nothing is predicted from what came after it."""

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transrec.data.interactions import Interactions
from transrec.data.splits import Split, SplitSettings, by_time, few_users, leave_one_out, sample_size, split_of
from transrec.errors import DataError


def made(events: list[tuple[int, int]]) -> Interactions:
    table = pl.DataFrame(
        {"user": [f"u{u}" for u, _ in events], "row": range(len(events)), "time": [float(t) for _, t in events]},
        schema={"user": pl.String, "row": pl.Int64, "time": pl.Float64},
    )
    return Interactions.from_columns(table)


events = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=1, max_size=60).map(made)


def checked(split: Split) -> None:
    interactions, mask = split.interactions, split.train_mask()
    for targets in (split.validation, split.test):
        starts = interactions.offsets[targets.users]
        assert (targets.positions > starts).all(), "a target has a history"
        assert (targets.positions < interactions.offsets[targets.users + 1]).all(), "a target is its user's"
        assert not mask[targets.positions].any(), "nothing trains that is predicted"
        assert len(set(targets.users.tolist())) == len(targets), "one target a user"
    assert not set(split.validation.positions.tolist()) & set(split.test.positions.tolist())
    assert split.train_rows().tolist() == interactions.rows[mask].tolist()
    assert split.train_counts(len(interactions)).sum() == mask.sum()


@given(events)
def test_leave_one_out(interactions: Interactions) -> None:
    lengths = interactions.lengths
    if (lengths < 3).all():
        with pytest.raises(DataError, match="three events"):
            leave_one_out(interactions)
        return
    split = leave_one_out(interactions)
    checked(split)
    assert len(split.test) == len(split.validation) == (lengths >= 3).sum()
    assert split.skipped == {"fewer than three events": (lengths < 3).sum()}
    ends = interactions.offsets[1:]
    assert split.test.positions.tolist() == (ends[lengths >= 3] - 1).tolist()
    assert split.validation.positions.tolist() == (ends[lengths >= 3] - 2).tolist()
    assert split.train_mask().sum() == np.where(lengths >= 3, lengths - 2, lengths).sum()


@given(events)
def test_by_time_nothing_that_trains_is_later_than_what_is_predicted(interactions: Interactions) -> None:
    try:
        split = by_time(interactions, validation=0.2, test=0.2)
    except DataError:
        return
    checked(split)
    times, mask = interactions.times, split.train_mask()
    if mask.any():
        assert times[mask].max() < min(times[split.validation.positions].min(), times[split.test.positions].min())
    assert times[split.validation.positions].max() < times[split.test.positions].min()


def test_by_time_by_hand() -> None:
    split = by_time(
        made([(0, 0), (0, 5), (0, 9), (1, 1), (1, 2), (1, 6), (2, 3), (2, 4), (3, 7), (3, 8)]), validation=0.2, test=0.2
    )
    # the moments are 5.4 and 7.2: u1 validates at 6, u0 tests at 9, u3 at 8 from its event at 7
    interactions = split.interactions
    assert interactions.times[split.validation.positions].tolist() == [6]
    assert interactions.times[split.test.positions].tolist() == [9, 8]
    assert interactions.times[split.train_mask()].tolist() == [0, 5, 1, 2, 3, 4]
    assert split.skipped == {"no event after the test moment": 2, "no event before the test moment": 0}


@pytest.mark.parametrize("shares", [(0, 0.1), (0.1, 0), (0.5, 0.5), (-0.1, 0.2)])
def test_shares_out_of_range(shares: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="shares"):
        by_time(made([(0, 0), (0, 1)]), validation=shares[0], test=shares[1])


def many(users: int = 200) -> Interactions:
    lengths = np.random.default_rng(0).integers(1, 9, users)
    return made([(u, t) for u, n in enumerate(lengths) for t in range(n)])


def training_users(split: Split) -> set[int]:
    return set(np.flatnonzero(split.train_ends > split.interactions.offsets[:-1]).tolist())


@pytest.mark.parametrize("kind", ["leave-one-out", "time"])
def test_a_share_of_the_users_trains_and_validates_and_all_of_them_test(kind: str) -> None:
    interactions = many()
    whole = split_of(interactions, SplitSettings(kind=kind))
    split = split_of(interactions, SplitSettings(kind=kind, users=0.4, users_seed=3))
    checked(split)
    chosen = training_users(split)
    assert len(chosen) == round(0.4 * len(training_users(whole)))
    # nothing else of the events of the others is left, and nothing of those who were drawn is lost
    assert all(split.train_ends[u] == whole.train_ends[u] for u in chosen)
    assert set(split.validation.users.tolist()) == chosen & set(whole.validation.users.tolist())
    assert np.array_equal(split.test.users, whole.test.users) and np.array_equal(split.test.positions, whole.test.positions)
    assert f"{len(chosen)} of {len(training_users(whole))} users train and validate (sample 3)" in split.description
    assert split.skipped == whole.skipped


def test_more_users_are_the_earlier_ones_and_others() -> None:
    split = leave_one_out(many())
    samples = [training_users(few_users(split, share, seed=1, at_least=1)) for share in (0.05, 0.1, 0.5, 1.0)]
    assert all(small < large for small, large in itertools.pairwise(samples))
    other = training_users(few_users(split, 0.1, seed=2, at_least=1))
    assert len(other) == len(samples[1]) and other != samples[1]


def test_a_sample_has_at_least_fifty_users_where_there_are_so_many() -> None:
    split = leave_one_out(many())
    assert len(training_users(few_users(split, 0.01))) == 50
    assert few_users(leave_one_out(many(40)), 0.5).description == leave_one_out(many(40)).description
    assert [sample_size(1000, share) for share in (0.001, 0.05, 0.1, 1.0)] == [50, 50, 100, 1000]


def test_all_users_are_the_split_itself() -> None:
    split = leave_one_out(many())
    assert few_users(split, 1.0, seed=5) is split


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_a_share_out_of_range_is_an_error(share: float) -> None:
    with pytest.raises(DataError, match="share"):
        few_users(leave_one_out(many()), share)


def test_a_sample_in_which_nobody_validates_is_an_error() -> None:
    short = [(u, t) for u in range(60) for t in range(2)]  # too short to be held out
    split = leave_one_out(made([*short, (60, 0), (60, 1), (60, 2), (60, 3)]))
    with pytest.raises(DataError, match="larger share"):
        few_users(split, 0.02, at_least=1)
