from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from transrec.errors import EvaluationError
from transrec.retrieval.ranking import mean_ranks, top_k

NONE_HIDDEN = torch.zeros((0, 2), dtype=torch.int64)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    users, items = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    # few distinct values, so that ties are the rule
    values = draw(st.lists(st.integers(-2, 2), min_size=users * items, max_size=users * items))
    targets = draw(st.lists(st.integers(0, items - 1), min_size=users, max_size=users))
    pair = st.tuples(st.integers(0, users - 1), st.integers(0, items - 1))
    hidden = draw(st.lists(pair, max_size=2 * items))
    return (
        torch.tensor(values, dtype=torch.float32).view(users, items) / 3,
        torch.tensor(targets),
        torch.tensor(hidden, dtype=torch.int64).view(-1, 2),
    )


def candidates(user: int, items: int, hidden_M2: torch.Tensor) -> list[int]:
    taken = {row for owner, row in hidden_M2.tolist() if owner == user}
    return [row for row in range(items) if row not in taken]


@given(blocks())
def test_mean_ranks_are_those_of_counting_one_by_one(block: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    scores_BV, targets_B, hidden_M2 = block
    before = scores_BV.clone()
    ranks = mean_ranks(scores_BV, targets_B, hidden_M2)
    for user, target in enumerate(targets_B.tolist()):
        others = [row for row in candidates(user, scores_BV.shape[1], hidden_M2) if row != target]
        own = scores_BV[user, target]
        greater = sum(bool(scores_BV[user, row] > own) for row in others)
        equal = sum(bool(scores_BV[user, row] == own) for row in others)
        assert ranks[user].item() == 1 + greater + equal / 2
    assert ranks.dtype == torch.float64
    assert torch.equal(scores_BV, before)


@given(blocks(), st.integers(1, 12), st.data())
def test_lists_are_those_of_sorting_by_score_then_row(
    block: tuple[torch.Tensor, torch.Tensor, torch.Tensor], k: int, data: st.DataObject
) -> None:
    scores_BV, _, hidden_M2 = block
    items = scores_BV.shape[1]
    allowed = data.draw(st.none() | st.lists(st.booleans(), min_size=items, max_size=items))
    found = top_k(scores_BV, k, hidden_M2, None if allowed is None else torch.tensor(allowed))
    for user in range(len(scores_BV)):
        listed = [row for row in candidates(user, items, hidden_M2) if allowed is None or allowed[row]]
        listed = sorted(listed, key=lambda row: (-scores_BV[user, row].item(), row))[:k]
        short = min(k, items) - len(listed)
        assert found.rows_BK[user].tolist() == listed + [-1] * short
        assert found.scores_BK[user].tolist() == [scores_BV[user, row].item() for row in listed] + [-torch.inf] * short


def test_constant_scores_rank_in_the_middle() -> None:
    ranks = mean_ranks(torch.ones(2, 101), torch.tensor([0, 50]), torch.tensor([[0, 1], [0, 2], [0, 1]]))
    assert ranks.tolist() == [50.0, 51.0]


def test_a_target_in_the_history_still_competes() -> None:
    scores_BV = torch.tensor([[3.0, 2.0, 1.0]])
    assert mean_ranks(scores_BV, torch.tensor([1]), torch.tensor([[0, 0], [0, 1]])).tolist() == [1.0]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("row", [0, 2])
def test_a_score_that_is_not_finite_is_an_error_with_its_place(value: float, row: int) -> None:
    scores_BV = torch.zeros(2, 3)
    scores_BV[1, row] = value
    targets_B = torch.tensor([0, 0])
    with pytest.raises(EvaluationError, match=rf"1 of 6 scores are not finite, in 1 of 2 .*\n?.*history 1 .* row {row}"):
        mean_ranks(scores_BV, targets_B, NONE_HIDDEN)
    with pytest.raises(EvaluationError, match="not finite"):
        top_k(scores_BV, 2, NONE_HIDDEN)


def test_only_scores_that_count_must_be_finite() -> None:
    scores_BV = torch.tensor([[torch.nan, 2.0, 1.0]])
    hidden_M2 = torch.tensor([[0, 0]])
    assert mean_ranks(scores_BV, torch.tensor([2]), hidden_M2).tolist() == [2.0]
    assert top_k(scores_BV, 2, hidden_M2).rows_BK.tolist() == [[1, 2]]
    assert top_k(scores_BV, 1, NONE_HIDDEN, torch.tensor([False, True, True])).rows_BK.tolist() == [[1]]
    with pytest.raises(EvaluationError, match="not finite"):
        mean_ranks(scores_BV, torch.tensor([0]), hidden_M2)  # the target itself, though it is in the history


def test_huge_finite_scores_are_no_error() -> None:
    scores_BV = torch.full((1, 4), 3e38)
    assert mean_ranks(scores_BV, torch.tensor([0]), NONE_HIDDEN).tolist() == [2.5]


def test_ranks_come_from_the_scores_of_one_product() -> None:
    # the score of the target from another kernel differs in its last bits, which breaks ties between equal items
    generator = torch.Generator().manual_seed(0)
    users_BD = torch.randn(200, 64, generator=generator)
    items_VD = torch.randn(10, 64, generator=generator).repeat(30, 1)
    ranks = mean_ranks(users_BD @ items_VD.T, torch.arange(200), NONE_HIDDEN)
    assert set((ranks % 30).tolist()) == {15.5}


@given(st.integers(0, 1000))
def test_independently_random_scores_hit_as_often_as_chance(seed: int) -> None:
    generator = np.random.default_rng(seed)
    users, items, length = 4000, 120, 20
    scores_BV = torch.from_numpy(generator.random((users, items), dtype=np.float32))
    order = generator.permuted(np.tile(np.arange(items), (users, 1)), axis=1)
    hidden_M2 = torch.from_numpy(np.stack([np.repeat(np.arange(users), length), order[:, 1 : length + 1].ravel()], axis=1))
    hits = (mean_ranks(scores_BV, torch.from_numpy(order[:, 0]), hidden_M2) <= 10).double().mean().item()
    chance = 10 / (items - length)
    assert abs(hits - chance) < 5 * np.sqrt(chance * (1 - chance) / users)
