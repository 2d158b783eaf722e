"""The mean that users are born as."""

from __future__ import annotations

import math

import torch

from transrec.users.recency import RecencyMean


def test_newer_items_count_more_as_its_equation_says() -> None:
    recency = RecencyMean(5).double()
    with torch.no_grad():
        recency.weights.copy_(torch.tensor([0.3, -1.0, 2.0, 0.0, 9.0]))
        recency.gate.fill_(0.7)
    generator = torch.Generator().manual_seed(0)
    items_BLD, states_BLD = torch.randn(2, 2, 4, 3, generator=generator, dtype=torch.float64)
    mask_BL = torch.tensor([[True, True, True, False], [True, False, False, False]])
    found, log_weights = recency(items_BLD, mask_BL, states_BLD), recency.weights.tolist()
    for user, place in mask_BL.nonzero().tolist():
        weights = [math.exp(log_weights[place - i]) for i in range(place + 1)]
        mean = sum(w * items_BLD[user, i] for i, w in enumerate(weights)) / sum(weights)
        assert torch.allclose(found[user, place], mean + 0.7 * states_BLD[user, place])
    assert found.isfinite().all()
