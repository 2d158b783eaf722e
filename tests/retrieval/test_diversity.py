from __future__ import annotations

import pytest
import torch

from transrec.retrieval.diversity import pool_of, spread


def test_without_diversity_the_order_stays() -> None:
    scores_n, vectors_nD = torch.tensor([3.0, 2.0, 1.0]), torch.eye(3)
    assert spread(scores_n, vectors_nD, 2, 0.0).tolist() == [0, 1]


def test_a_twin_waits_for_what_is_different() -> None:
    scores_n = torch.tensor([3.0, 2.9, 2.0, 1.0])
    vectors_nD = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert spread(scores_n, vectors_nD, 3, 0.5).tolist() == [0, 3, 2]
    assert spread(scores_n, vectors_nD, 4, 1.0).tolist() == [0, 3, 2, 1]


@pytest.mark.parametrize("diversity", [0.2, 0.5, 0.8])
def test_every_choice_is_the_best_by_the_formula(diversity: float) -> None:
    generator = torch.Generator().manual_seed(0)
    scores_n = torch.rand(12, generator=generator).sort(descending=True).values
    vectors_nD = torch.randn(12, 4, generator=generator)
    units = torch.nn.functional.normalize(vectors_nD, dim=1)
    relevance = (scores_n - scores_n.min()) / (scores_n.max() - scores_n.min())
    chosen = spread(scores_n, vectors_nD, 6, diversity).tolist()
    assert chosen[0] == 0
    for place in range(1, 6):
        left = [n for n in range(12) if n not in chosen[:place]]
        worth = {
            n: (1 - diversity) * relevance[n] - diversity * max(units[n] @ units[j] for j in chosen[:place]) for n in left
        }
        assert chosen[place] == max(worth, key=worth.__getitem__)


def test_short_and_equal_lists() -> None:
    assert spread(torch.zeros(0), torch.zeros(0, 3), 5, 0.5).tolist() == []
    assert spread(torch.ones(2), torch.ones(2, 3), 5, 0.5).tolist() == [0, 1]
    assert pool_of(1) == 50 and pool_of(100) == 500
