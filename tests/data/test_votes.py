"""Votes: added up on any device they are the sparse product, less what is a query's own."""

from __future__ import annotations

import os

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from cases import Case
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
@settings(max_examples=60)
def test_they_are_the_sparse_product_without_the_own_part(items: int, queries: int, density: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    table, asked = sparse((items, items), density, seed), sparse((queries, items), density, seed + 1)
    rows_C = generator.permutation(items)[: generator.integers(1, items + 1)]
    targets_Q = generator.integers(0, len(rows_C), queries)
    expected = (asked @ table).toarray()[:, rows_C]
    theirs_Q = expected[np.arange(queries), targets_Q]
    own_Q = theirs_Q * generator.choice([0.0, 0.5, 1.0], queries)
    expected[np.arange(queries), targets_Q] = theirs_Q - own_Q
    found = Votes.of(VoteTable(table), asked, rows_C, targets_Q=targets_Q, own_Q=own_Q).added_up(DEVICE)
    assert found.device.type == DEVICE.type and found.dtype == torch.float32
    np.testing.assert_allclose(found.cpu().numpy(), expected, atol=2e-6)
    whole = own_Q == theirs_Q
    assert not found.cpu().numpy()[np.arange(queries), targets_Q][whole].any(), "nothing is left of what is all one's own"


def test_a_table_that_is_too_large_is_asked_where_batches_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, asked = small()
    (_, fitting), (_, large) = sizes = sorted((table.nbytes, kind) for kind, table in counts.voting.items())
    assert sizes[0][0] < sizes[1][0]
    monkeypatch.setattr(voting, "MOST_BYTES", sizes[0][0])
    found = counts.evidence_without_own(*asked, added_up=False)
    assert set(found.shares) == {large} and set(found.votes) == {fitting}
    counts.lie_on(torch.device("meta"))
    assert set(counts.voting[large]._copies) == {CPU}, "it was asked on the CPU, and lies nowhere else"
    assert torch.device("meta") in counts.voting[fitting]._copies
    expected = counts.evidence_without_own(*asked)
    for kind, shares_QC in found.to(DEVICE).shares.items():
        torch.testing.assert_close(shares_QC.cpu(), expected.shares[kind])


def test_a_copy_is_made_once() -> None:
    table = VoteTable(sparse((9, 9), 0.5, 0))
    first, again = table.on(DEVICE), table.on(DEVICE)
    assert all(one is other for one, other in zip(first, again, strict=True))


def small() -> tuple[Counts, tuple[Histories, np.ndarray, np.ndarray, np.ndarray]]:
    """Counts of a few users, and a question about each of them."""
    generator = np.random.default_rng(0)
    users = [generator.integers(0, 20, generator.integers(3, 9)).tolist() for _ in range(12)]
    training = Histories.from_lists(users)
    return Counts.of_histories(training, 20), (training, np.arange(12), np.full(12, 2), np.arange(20))


def test_evidence_that_is_not_added_up_is_the_same_on_the_device() -> None:
    counts, asked = small()
    there, left = counts.evidence_without_own(*asked), counts.evidence_without_own(*asked, added_up=False)
    assert not left.shares and set(left.votes) == set(KINDS) and not there.votes
    moved = left.to(DEVICE)
    assert not moved.votes and moved.untouched == there.untouched
    for kind in KINDS:
        assert there.shares[kind].count_nonzero() > 20
        torch.testing.assert_close(moved.shares[kind].cpu(), there.shares[kind])
    with pytest.raises(AssertionError, match="added up first"):
        left.of_queries(slice(0, 2))


def test_batches_that_go_to_an_accelerator_leave_it_to_add_up() -> None:
    elsewhere = torch.device("meta")
    here, there = Case().batches, Case().batches.going_to(elsewhere).of_rank(0, 2)
    made, left = here.batch(1).evidence, there.batch(1).evidence
    assert made is not None and left is not None
    assert not made.votes and not left.shares and set(left.votes) == set(made.shares) == set(KINDS)
