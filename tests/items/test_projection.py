"""The projection: standardises by what it was shown, and keeps that with the weights."""

import torch

from transrec.items.projection import Projection


def test_calibration_gives_mean_zero_and_deviation_one():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(500, 6, generator=generator) * torch.tensor([1e-3, 1, 50, 1, 1, 0]) + torch.tensor(
        [5, 0, -9, 1, 1, 3]
    )
    projection = Projection(6, 6)
    projection.calibrate(vectors)
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
    one.calibrate(torch.randn(9, 4, generator=torch.Generator().manual_seed(0)) + 7)
    two.load_state_dict(one.state_dict())
    vectors = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(one(vectors), two(vectors))
