"""Counts: against plain counting, and in training as if each user had never been counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transrec.data import counts as counting
from transrec.data.counts import COMPANIONS, FOLLOWERS, REACH, SHRINKAGE, VOTERS, Counts
from transrec.data.histories import Histories

ITEMS = 7

users_of_items = st.lists(st.lists(st.integers(0, ITEMS - 1), min_size=2, max_size=9), min_size=1, max_size=5)


def shares(users: list[list[int]], history: list[int], *, left_out: int | None = None) -> dict[str, np.ndarray]:
    """The shares by their description, in plain loops; the counts of one user may be left out, but not the totals."""
    follows, totals = np.zeros((ITEMS, ITEMS)), np.zeros(ITEMS)
    together, popularity = np.zeros((ITEMS, ITEMS)), np.zeros(ITEMS)
    for place, items in enumerate(users):
        for first, earlier in enumerate(items):
            popularity[earlier] += 1
            for second in range(first + 1, min(first + REACH, len(items) - 1) + 1):
                totals[earlier] += 1 / (second - first)
                follows[earlier, items[second]] += (place != left_out) / (second - first)
        for one in set(items):
            for other in set(items) - {one}:
                together[one, other] += place != left_out
    found = {FOLLOWERS: np.zeros(ITEMS), COMPANIONS: np.zeros(ITEMS)}
    for back, item in enumerate(reversed(history[-VOTERS[FOLLOWERS] :]), start=1):
        found[FOLLOWERS] += follows[item] / (totals[item] + SHRINKAGE) / back
    for item in history[-VOTERS[COMPANIONS] :]:
        found[COMPANIONS] += together[item] / (popularity[item] + SHRINKAGE)
    return found


@given(users_of_items, st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=8))
@settings(max_examples=60)
def test_evidence_is_what_plain_counting_gives(users: list[list[int]], history: list[int]) -> None:
    counts = Counts.of_histories(Histories.from_lists(users), ITEMS)
    evidence = counts.evidence(Histories.from_lists([history, history[:1]]))
    for row, asked in enumerate((history, history[:1])):
        for kind, expected in shares(users, asked).items():
            assert np.allclose(evidence.shares[kind][row].numpy(), expected, atol=1e-5), kind
    assert evidence.popularity_C.tolist() == np.bincount(np.concatenate(users), minlength=ITEMS).tolist()


@given(users_of_items, st.data())
@settings(max_examples=80)
def test_training_sees_targets_as_if_their_user_had_not_been_counted(users: list[list[int]], data: st.DataObject) -> None:
    counts = Counts.of_histories(Histories.from_lists(users), ITEMS)
    owners = data.draw(st.lists(st.integers(0, len(users) - 1), min_size=1, max_size=4))
    seen = [data.draw(st.integers(1, len(users[owner]) - 1)) for owner in owners]
    targets = [users[owner][before] for owner, before in zip(owners, seen, strict=True)]
    rows_C = np.unique([*targets, *data.draw(st.sets(st.integers(0, ITEMS - 1)))])
    training = Histories.from_lists(users)
    evidence = counts.evidence_without_own(training, np.array(owners), np.array(seen), rows_C)
    assert rows_C[evidence.targets_Q.numpy()].tolist() == targets
    for query, (owner, before, target) in enumerate(zip(owners, seen, targets, strict=True)):
        history = users[owner][:before]
        for kind in (FOLLOWERS, COMPANIONS):
            with_own, without = (shares(users, history, left_out=left)[kind] for left in (None, owner))
            expected = np.where(rows_C == target, without[rows_C], with_own[rows_C])
            assert np.allclose(evidence.shares[kind][query].numpy(), expected, atol=2e-6), kind
        others = sum(items.count(target) for place, items in enumerate(users) if place != owner)
        assert evidence.target_popularity_Q[query] == others


def test_a_platform_without_events_has_no_evidence() -> None:
    evidence = Counts.none(4).evidence(Histories.from_lists([[1, 2]]))
    assert not evidence.popularity_C.any() and not any(share.any() for share in evidence.shares.values())


def test_items_that_nobody_has_touched_can_be_added() -> None:
    counts = Counts.of_histories(Histories.from_lists([[0, 1, 2], [1, 2]]), 3)
    wider = counts.with_unseen(2).evidence(Histories.from_lists([[1]]))
    narrow = counts.evidence(Histories.from_lists([[1]]))
    for kind, share in narrow.shares.items():
        assert wider.shares[kind][0].tolist() == [*share[0].tolist(), 0.0, 0.0]
    assert wider.popularity_C.tolist() == [1, 2, 2, 0, 0]
    # they may be in a history at once
    assert not counts.with_unseen(2).evidence(Histories.from_lists([[4]])).shares[FOLLOWERS].any()


def test_only_so_many_of_an_items_followers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(counting.KEPT, FOLLOWERS, 1)
    users = [[0, 1], [0, 1], [0, 2]]
    counts = Counts.of_histories(Histories.from_lists(users), 3)
    followers = counts.evidence(Histories.from_lists([[0]])).shares[FOLLOWERS][0]
    assert followers[1] == pytest.approx(2 / (3 + SHRINKAGE)) and followers[2] == 0
    # where nothing was kept there is nothing of one's own to take off
    training = counts.evidence_without_own(Histories.from_lists(users), np.array([2]), np.array([1]), np.arange(3))
    assert training.shares[FOLLOWERS][0, 2] == 0


def test_what_was_not_kept_is_not_taken_off_what_others_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(counting.KEPT, COMPANIONS, 1)
    # of 0's companions 1 is kept, and 2 is not; 2 is what 3 is had with
    users = [[0, 1], [0, 1], [0, 1], [3, 2], [3, 2], [0, 3, 2]]
    counts = Counts.of_histories(Histories.from_lists(users), 4)
    assert counts.tables[COMPANIONS].toarray()[0].tolist() == [0, 3, 0, 0]
    evidence = counts.evidence_without_own(Histories.from_lists(users), np.array([5]), np.array([2]), np.arange(4))
    # the last user had 3 and 2 together once; that is taken off, and nothing for 0 and 2
    assert evidence.shares[COMPANIONS][0, 2] == pytest.approx((3 - 1) / (3 + SHRINKAGE))
