"""The adapter: the published form, and its place in the user encoder."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from transrec.users.adapter import Adapter
from transrec.users.settings import UserSettings
from transrec.users.transformer import TransformerUserEncoder


def test_it_is_a_bottleneck_with_a_residual_sum_and_a_layer_norm() -> None:
    adapter = Adapter(6, 3)
    adapter.reset(torch.Generator().manual_seed(2))
    adapter.up.weight.data.mul_(1000)
    states = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1))
    inner = torch.relu(states @ adapter.down.weight.T + adapter.down.bias)
    expected = F.layer_norm(states + inner @ adapter.up.weight.T + adapter.up.bias, (6,))
    torch.testing.assert_close(adapter(states), expected)
    assert (expected - F.layer_norm(states, (6,))).abs().max() > 0.01


def test_every_part_of_it_learns_from_the_first_step() -> None:
    adapter = Adapter(6, 3)
    adapter.reset(torch.Generator().manual_seed(2))
    states = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    (adapter(states) * torch.linspace(0, 1, 120).view(20, 6)).sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in adapter.parameters())


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_padding_and_later_items_have_no_influence_with_adapters_either(norm: str) -> None:
    settings = UserSettings.from_mapping({"window": 5, "heads": 2, "norm": norm, "adapter": 4})
    encoder = TransformerUserEncoder(8, settings).eval()
    items = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[True, True, True, False, False]])
    states = encoder(items, mask).vectors
    items[0, 3:] = 100.0
    torch.testing.assert_close(encoder(items, mask).vectors[:, :3], states[:, :3])
    items[0, 2] = 100.0
    torch.testing.assert_close(encoder(items, mask).vectors[:, :2], states[:, :2])


def test_without_adapters_there_is_no_trace_of_them() -> None:
    names = set(TransformerUserEncoder(8, UserSettings(heads=2)).state_dict())
    assert not any("adapter" in name for name in names)
    more = set(TransformerUserEncoder(8, UserSettings(heads=2, adapter=4)).state_dict())
    assert names < more and all("_adapter." in name for name in more - names)
