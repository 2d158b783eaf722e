"""Vectors that grow: what was read stays what it was, whoever writes behind it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transrec.retrieval.growing import ItemVectors
from transrec.scoring import CosineScorer, DotScorer, PrefixScorer


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=5, unique=True), max_size=6), st.integers(0, 9))
def test_any_changes_lead_to_what_a_plain_matrix_would_be(changes: list[list[int]], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    plain = torch.randn(6, 3, generator=generator)
    vectors, states = ItemVectors(plain.clone()), []
    vectors.lengths()
    vectors.lengths(2)
    for wanted in changes:
        old = [row for row in wanted if row < len(plain)]
        new = list(range(len(plain), len(plain) + len(wanted) - len(old)))
        replaced, made = np.array(old + new), torch.randn(len(wanted), 3, generator=generator)
        states.append((vectors, plain))
        plain = torch.cat([plain, torch.zeros(len(new), 3)])
        plain[torch.from_numpy(replaced)] = made
        vectors = vectors.with_versions(made, replaced)
    users = torch.randn(2, 3, generator=generator)
    for state, expected in [*states, (vectors, plain)]:
        assert len(state) == len(expected)
        assert torch.equal(state.whole(), expected)
        for scorer in (DotScorer(), CosineScorer(), PrefixScorer(CosineScorer(), 2)):
            assert torch.allclose(state.scores(scorer, users), scorer(users, expected), atol=1e-5)
        cosines = torch.nn.functional.cosine_similarity(users[:, None], expected[None], dim=2)
        assert torch.allclose(state.cosines(users), cosines, atol=1e-5)


def test_two_that_grow_from_one_do_not_write_over_each_other() -> None:
    first = ItemVectors(torch.zeros(2, 2)).with_versions(torch.ones(1, 2), np.array([2]))
    left = first.with_versions(torch.full((1, 2), 5.0), np.array([3]))
    right = first.with_versions(torch.full((1, 2), 7.0), np.array([3]))
    assert left.whole()[3].tolist() == [5.0, 5.0] and right.whole()[3].tolist() == [7.0, 7.0]


def test_room_is_used_without_a_copy() -> None:
    memory = torch.zeros(10, 2)
    vectors = ItemVectors(memory[:4], memory)
    grown = vectors.with_versions(torch.ones(3, 2), np.arange(4, 7))
    assert memory[4:7].all() and grown.whole().data_ptr() == memory.data_ptr()
    full = grown.with_versions(torch.ones(9, 2), np.arange(7, 16))
    assert full.whole().data_ptr() != memory.data_ptr() and len(full) == 16


@pytest.mark.parametrize("scorer", [DotScorer(), CosineScorer(), PrefixScorer(CosineScorer(), 3)])
def test_half_precision_is_scored_in_float32(scorer: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transrec.retrieval.growing.ITEMS_AT_ONCE", 7)
    whole = torch.randn(20, 8, generator=torch.Generator().manual_seed(0)).half()
    users = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    vectors = ItemVectors(whole)
    assert torch.allclose(vectors.scores(scorer, users), scorer(users, whole.float()), atol=1e-5)
    assert vectors.take(torch.tensor([3])).dtype == torch.float32
    assert vectors.with_versions(torch.ones(1, 8), np.array([4])).take(torch.tensor([4])).tolist() == [[1.0] * 8]


def test_what_is_beside_the_rows_has_the_rows_behind_them() -> None:
    vectors = ItemVectors(torch.eye(2))
    beside = torch.tensor([[5.0, 5.0], [6.0, 6.0]])
    assert vectors.take(torch.tensor([[0, 3], [2, 1]]), beside).tolist() == [[[1, 0], [6, 6]], [[5, 5], [0, 1]]]
