"""Votes: added up on any device they are the sparse product, less what is a query's own."""

from __future__ import annotations

import os

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transrec.data import votes as voting
from transrec.data.counts import KINDS, Counts
from transrec.data.histories import Histories
from transrec.data.votes import Votes, VoteTable

DEVICE = torch.device(os.environ.get("TRANSREC_TEST_DEVICE", "cuda" if torch.cuda.is_available() else "cpu"))
CPU = torch.device("cpu")


def sparse(shape: tuple[int, int], density: float, seed: int) -> sp.csr_array:
    generator = np.random.default_rng(seed)
    dense = generator.random(shape) * (generator.random(shape) < density)
    return sp.csr_array(dense.astype(np.float32))


@given(st.integers(1, 30), st.integers(1, 12), st.floats(0, 0.6), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_they_are_the_sparse_product_without_the_own_part(items: int, queries: int, density: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    table, asked = sparse((items, items), density, seed), sparse((queries, items), density, seed + 1)
    rows_C = generator.permutation(items)[: generator.integers(1, items + 1)]
    targets_Q = generator.integers(0, len(rows_C), queries)
    expected = (asked @ table).toarray()[:, rows_C]
    theirs_Q = expected[np.arange(queries), targets_Q]
    own_Q = theirs_Q * generator.choice([0.0, 0.5, 1.0], queries)
    expected[np.arange(queries), targets_Q] = theirs_Q - own_Q
    found = Votes.of(VoteTable(table), asked, rows_C, targets_Q, own_Q).added_up(DEVICE)
    assert found.device.type == DEVICE.type and found.dtype == torch.float32
    np.testing.assert_allclose(found.cpu().numpy(), expected, atol=2e-6)
    whole = own_Q == theirs_Q
    assert not found.cpu().numpy()[np.arange(queries), targets_Q][whole].any(), "nothing is left of what is all one's own"


def test_a_table_that_is_too_large_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    table = VoteTable(sparse((9, 9), 0.5, 0))
    asked = Votes.of(table, sparse((3, 9), 0.5, 1), np.arange(9), np.zeros(3, dtype=np.int64), np.zeros(3))
    expected = asked.added_up(CPU)
    monkeypatch.setattr(voting, "MOST_BYTES", table.nbytes - 1)
    elsewhere = torch.device("meta")  # takes tensors, and cannot compute with what lies on the CPU
    assert asked.added_up(elsewhere).device == elsewhere
    assert set(table._copies) == {CPU}
    monkeypatch.setattr(voting, "MOST_BYTES", table.nbytes)
    torch.testing.assert_close(asked.added_up(DEVICE).cpu(), expected)


def test_a_copy_is_made_once() -> None:
    table = VoteTable(sparse((9, 9), 0.5, 0))
    first, again = table.on(DEVICE), table.on(DEVICE)
    assert all(one is other for one, other in zip(first, again, strict=True))


def test_evidence_that_is_not_added_up_is_the_same_on_the_device() -> None:
    generator = np.random.default_rng(0)
    users = [generator.integers(0, 20, generator.integers(3, 9)).tolist() for _ in range(12)]
    training = Histories.from_lists(users)
    counts = Counts.of_histories(training, 20)
    asked = training, np.arange(12), np.full(12, 2), np.arange(20)
    there, left = counts.evidence_without_own(*asked), counts.evidence_without_own(*asked, added_up=False)
    assert not left.shares and set(left.votes) == set(KINDS) and not there.votes
    moved = left.to(DEVICE)
    assert not moved.votes and moved.untouched == there.untouched
    for kind in KINDS:
        assert there.shares[kind].count_nonzero() > 20
        torch.testing.assert_close(moved.shares[kind].cpu(), there.shares[kind])
