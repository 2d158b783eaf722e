"""The projection: standardises by what it was shown, and keeps that with the weights."""

import torch

from transrec.items.projection import Projection
from transrec.nesting import Nesting


def test_calibration_gives_mean_zero_and_deviation_one():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(500, 6, generator=generator) * torch.tensor([1e-3, 1, 50, 1, 1, 0]) + torch.tensor(
        [5, 0, -9, 1, 1, 3]
    )
    projection = Projection(6, 6)
    projection.calibrate({0: vectors})
    with torch.no_grad():
        projection.linear.weight.copy_(torch.eye(6))
        projection.linear.bias.zero_()
        found = projection(vectors)
    assert torch.allclose(found.mean(dim=0), torch.zeros(6), atol=1e-3)
    assert torch.allclose(found.std(dim=0, correction=0), torch.tensor([1.0, 1, 1, 1, 1, 0]), atol=1e-3)


def test_without_calibration_it_is_the_linear_map():
    projection = Projection(4, 3)
    vectors = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(projection(vectors), projection.linear(vectors))


def test_calibration_moves_with_the_weights():
    one, two = Projection(4, 3), Projection(4, 3)
    one.calibrate({0: torch.randn(9, 4, generator=torch.Generator().manual_seed(0)) + 7})
    two.load_state_dict(one.state_dict())
    vectors = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(one(vectors), two(vectors))


def cosines(vectors: torch.Tensor) -> torch.Tensor:
    unit = torch.nn.functional.normalize(vectors, dim=1)
    return unit @ unit.T


def test_born_similar_keeps_how_near_vectors_are():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(300, 6, generator=generator) * torch.tensor([3.0, 2, 1, 1, 1, 0.1]) + 5
    projection = Projection(6, 8)
    projection.calibrate({0: vectors}, "similar", generator=generator)
    found = projection(vectors).detach()
    assert torch.allclose(cosines(found), cosines(vectors - vectors.mean(dim=0)), atol=1e-4)
    assert torch.isclose(found.square().sum(dim=1).mean(), torch.tensor(1.0), atol=1e-3)
    # no number of the projected vectors carries nearly all of the difference
    assert found.var(dim=0).max() < 0.5


def test_born_similar_in_fewer_numbers_keeps_the_directions_of_most_difference():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(300, 6, generator=generator) * torch.tensor([5.0, 0.01, 4, 0.01, 3, 0.01])
    projection = Projection(6, 3)
    projection.calibrate({0: vectors}, "similar", generator=generator)
    kept = vectors[:, [0, 2, 4]]
    assert torch.allclose(cosines(projection(vectors)), cosines(kept - kept.mean(dim=0)), atol=0.02)


def test_vectors_that_do_not_differ_stay_finite():
    projection = Projection(4, 3)
    projection.calibrate({0: torch.ones(20, 4)}, "similar")
    assert torch.equal(projection(torch.ones(2, 4)), torch.zeros(2, 3))


def test_every_platform_is_centred_on_its_own_mean():
    generator = torch.Generator().manual_seed(0)
    films, books = torch.randn(200, 4, generator=generator) + 5, torch.randn(100, 4, generator=generator) - 3
    projection = Projection(4, 4, platforms=2)
    projection.calibrate({0: films, 1: books}, "similar", generator=generator)
    for platform, vectors in enumerate((films, books)):
        found = projection(vectors, platform).detach()
        assert torch.allclose(found.mean(dim=0), torch.zeros(4), atol=1e-5)
        assert torch.allclose(cosines(found), cosines(vectors - vectors.mean(dim=0)), atol=1e-4)


def test_centring_on_another_platform_leaves_the_map():
    generator = torch.Generator().manual_seed(0)
    projection = Projection(4, 3)
    projection.calibrate({0: torch.randn(50, 4, generator=generator)}, "similar", generator=generator)
    before = {name: tensor.clone() for name, tensor in projection.state_dict().items()}
    elsewhere = torch.randn(50, 4, generator=generator) + 9
    projection.centre({0: elsewhere})
    assert torch.allclose(projection(elsewhere).mean(dim=0), torch.zeros(3), atol=1e-5)
    after = projection.state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["means"]


def learned_elsewhere(generator: torch.Generator) -> tuple[Projection, torch.Tensor]:
    """A projection of 6 numbers onto 3, born where the first ones differ, and vectors of which the last ones do."""
    projection = Projection(6, 3)
    elsewhere = torch.randn(300, 6, generator=generator) * torch.tensor([5.0, 4, 3, 1, 0.1, 0.1])
    projection.calibrate({0: elsewhere}, "similar", generator=generator)
    return projection, torch.randn(300, 6, generator=generator) * torch.tensor([2.0, 0.1, 2, 4, 0.1, 5]) + 3


def test_aligned_it_is_born_similar_on_the_new_items():
    projection, vectors = learned_elsewhere(torch.Generator().manual_seed(0))
    projection.align({0: vectors})
    kept = (vectors - vectors.mean(dim=0))[:, [0, 2, 3, 5]]
    assert (cosines(projection(vectors)) - cosines(kept)).abs().mean() < 0.25, "it lost one direction of four"
    rows = projection.linear.weight.detach()
    assert torch.allclose(rows @ rows.T, torch.eye(3), atol=1e-5)


def test_aligned_it_agrees_with_what_it_was_as_well_as_any_turn_of_it():
    generator = torch.Generator().manual_seed(0)
    projection, vectors = learned_elsewhere(generator)
    projection.centre({0: vectors})
    old = projection(vectors).detach()
    projection.align({0: vectors})
    new = projection(vectors).detach()
    agreement = (old * new).sum()
    for _ in range(200):
        turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator))
        assert (old * (new @ turn.T)).sum() <= agreement + 1e-3


def test_where_nothing_was_learned_aligning_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(300, 6, generator=generator) * torch.tensor([5.0, 4, 3, 2, 1, 0.5])
    projection = Projection(6, 4)
    projection.calibrate({0: vectors}, "similar", generator=generator)
    before = projection.linear.weight.detach().clone()
    projection.align({0: vectors})
    assert torch.allclose(projection.linear.weight, before, atol=1e-5)


def test_born_similar_at_nested_widths_every_prefix_is_born_similar():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(300, 8, generator=generator) * torch.tensor([9.0, 8, 5, 4, 3, 2, 1, 0.5])
    nested = Projection(8, 8, nesting=Nesting((2, 4, 8)))
    nested.calibrate({0: vectors}, "similar", generator=torch.Generator().manual_seed(1))
    for width in (2, 4, 8):
        alone = Projection(8, width)
        alone.calibrate({0: vectors}, "similar", generator=torch.Generator().manual_seed(2))
        found, expected = nested(vectors)[:, :width], alone(vectors)
        assert torch.allclose(cosines(found), cosines(expected), atol=1e-3)


def test_where_there_are_fewer_directions_than_numbers_every_block_has_some():
    vectors = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    nested = Projection(4, 16, nesting=Nesting((4, 8, 16)))
    nested.calibrate({0: vectors}, "similar", generator=torch.Generator().manual_seed(1))
    assert torch.allclose(cosines(nested(vectors)), cosines(vectors - vectors.mean(dim=0)), atol=1e-4)
    assert all(nested.linear.weight[start:end].norm() > 0.5 for start, end in ((0, 4), (4, 8), (8, 16)))
