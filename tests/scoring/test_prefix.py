"""A scorer of first numbers: what the scorer inside says of vectors of that width, whichever way it is asked."""

from __future__ import annotations

import pytest
import torch

from transrec.errors import ModelError
from transrec.scoring import BestInterest, CosineScorer, DistanceScorer, DotScorer, FusedViewScorer, PrefixScorer, Scorer


def vectors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("scorer", [DotScorer(), CosineScorer().double(), DistanceScorer()])
def test_a_prefix_is_scored_as_vectors_of_that_width(scorer: Scorer) -> None:
    prefix = PrefixScorer(scorer, 2)
    users, items = vectors(3, 4), vectors(5, 4)
    assert torch.equal(prefix(users, items), scorer(users[:, :2], items[:, :2]))
    lengths = items[:, :2].norm(dim=1)
    assert torch.allclose(prefix.measured(users, items, lengths), prefix(users, items))
    interests = vectors(3, 6, 4)
    assert torch.equal(prefix.paired(users, interests), scorer.paired(users[:, :2], interests[..., :2]))
    assert (prefix.takes, prefix.reads, scorer.reads) == ("states", 2, None)
    assert (prefix.says, prefix.nearest_by) == (scorer.says, scorer.nearest_by)
    assert [p is q for p, q in zip(prefix.parameters(), scorer.parameters(), strict=True)] in ([], [True])


def test_a_prefix_of_several_interests_is_the_best_of_their_prefixes() -> None:
    users, items, scorer = vectors(3, 2, 4), vectors(5, 4), BestInterest(DistanceScorer())
    assert torch.equal(PrefixScorer(scorer, 3)(users, items), scorer(users[..., :3], items[:, :3]))


def test_first_numbers_of_views_mean_nothing() -> None:
    with pytest.raises(ModelError, match="reads views that have length 1 at full width"):
        PrefixScorer(FusedViewScorer(("text", "image")), 2)
