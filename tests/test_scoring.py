"""Scorers: what they compute, and that both ways of calling them agree."""

from __future__ import annotations

import pytest
import torch

from transrec.scoring import CosineScorer, DotScorer, Scorer


def vectors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_dot_is_the_inner_product() -> None:
    users, items = vectors(3, 4), vectors(5, 4)
    assert torch.allclose(DotScorer()(users, items)[2, 1], (users[2] * items[1]).sum())


def test_cosine_ignores_lengths_and_starts_at_its_temperature() -> None:
    scorer = CosineScorer(0.5).double()
    users, items = vectors(3, 4), vectors(5, 4)
    scores = scorer(users, items)
    expected = torch.nn.functional.cosine_similarity(users[:, None], items[None], dim=-1) / 0.5
    assert torch.allclose(scores, expected)
    assert torch.allclose(scores, scorer(users * 7, items * 0.1))


def test_cosine_scale_is_bounded() -> None:
    scorer = CosineScorer()
    with torch.no_grad():
        scorer.log_scale.fill_(50.0)
    scale = scorer.scale
    scale.backward()
    assert scale.item() == pytest.approx(100.0)
    assert scorer.log_scale.grad is not None and scorer.log_scale.grad.item() > 0, "it can come back"


@pytest.mark.parametrize("scorer", [DotScorer(), CosineScorer().double()])
def test_paired_equals_the_diagonal_of_all_against_all(scorer: Scorer) -> None:
    users, items = vectors(3, 4), vectors(3, 2, 4)
    everything = scorer(users, items.reshape(6, 4)).view(3, 3, 2)
    assert torch.allclose(scorer.paired(users, items), everything[torch.arange(3), torch.arange(3)])
