"""Nested layers: the leading part of a layer is that layer at a smaller width, exactly."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from transrec.errors import SettingsError
from transrec.nesting import NestedLayerNorm, NestedLinear, Nesting, leading

SIZES = (4, 8, 16)


@given(parts=st.integers(1, 3), inputs=st.sampled_from([16, 32]), outputs=st.sampled_from([16, 8]), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_the_leading_part_of_a_map_is_the_map_of_that_width(parts: int, inputs: int, outputs: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    whole = Nesting(SIZES).linear(inputs, parts * outputs, parts=parts)
    given_nI = torch.randn(5, inputs, generator=generator)
    for place, size in enumerate(SIZES):
        narrow, wide = inputs * size // 16, outputs * size // 16
        small = Nesting(SIZES[: place + 1]).linear(narrow, parts * wide, parts=parts)
        small.weight.data = leading(whole.weight, small.weight.shape, parts)
        small.bias.data = leading(whole.bias, small.bias.shape, parts)
        expected = whole(given_nI).unflatten(-1, (parts, outputs))[..., :wide].flatten(1)
        torch.testing.assert_close(small(given_nI[:, :narrow]), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("layer", ["linear", "norm", "gate"])
def test_a_number_changes_nothing_in_the_blocks_before_its_own(layer: str) -> None:
    nesting = Nesting(SIZES)
    made = {"linear": lambda: nesting.linear(16, 16), "norm": lambda: nesting.norm(16), "gate": nesting.gate}[layer]()
    jacobian_OI = torch.autograd.functional.jacobian(made, torch.randn(16, generator=torch.Generator().manual_seed(0)))
    ends = (1, 2, 3) if layer == "gate" else SIZES
    for end, size in zip(ends, SIZES, strict=True):
        assert not jacobian_OI[:end, size:].any()
    for (start, end), size in zip(((0, ends[0]), (ends[0], ends[1]), (ends[1], ends[2])), SIZES, strict=True):
        assert jacobian_OI[start:end, size - 1].any(), "the last number that a block may read, it reads"


def test_what_is_above_the_diagonal_counts_as_zero_whatever_it_is() -> None:
    layer = Nesting((2, 4)).linear(4, 4)
    given_nI = torch.randn(3, 4)
    before = layer(given_nI)
    with torch.no_grad():
        layer.weight[:2, 2:] = torch.nan
    assert torch.equal(layer(given_nI), before)
    layer(given_nI).sum().backward()
    assert not layer.weight.grad[:2, 2:].any() and layer.weight.grad[2:].all()


def test_one_width_is_torchs_own_layer() -> None:
    nesting = Nesting.of(8)
    assert type(nesting.linear(8, 24, parts=3)) is nn.Linear and nesting.linear(8, 24, parts=3).out_features == 24
    assert type(nesting.norm(8, eps=1e-6)) is nn.LayerNorm and nesting.norm(8, eps=1e-6).eps == 1e-6
    assert type(nesting.gate()) is nn.Linear and nesting.nested == () == Nesting.of(8, (8,)).nested


def test_a_norm_is_one_for_each_block() -> None:
    layer = NestedLayerNorm((2, 6))
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    given_nD = torch.randn(3, 6)
    for start, end in ((0, 2), (2, 6)):
        own = nn.LayerNorm(end - start)
        own.load_state_dict({"weight": layer.weight[start:end], "bias": layer.bias[start:end]})
        torch.testing.assert_close(layer(given_nD)[:, start:end], own(given_nD[:, start:end]))


def test_numbers_are_spread_over_their_blocks() -> None:
    assert Nesting((1, 3)).spread(torch.tensor([[2.0, 5.0]])).tolist() == [[2.0, 5.0, 5.0]]
    assert Nesting((3,)).spread(torch.tensor([[2.0]])).tolist() == [[2.0, 2.0, 2.0]]


def test_the_mask_is_not_kept_with_the_weights() -> None:
    assert set(NestedLinear((2, 4), (2, 4)).state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("sizes", [(4, 4, 8), (8, 4), (4, 6), (0, 8)])
def test_widths_that_do_not_grow_up_to_the_whole_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match="do not grow up to the width 8"):
        Nesting.of(8, sizes)


def test_a_layer_that_cannot_be_cut_in_proportion_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"6 cannot be cut in proportion at the nested width 4 of 16") as told:
        Nesting(SIZES).linear(16, 6, where="model.users.feedforward")
    assert told.value.where == "model.users.feedforward" and told.value.remedy.startswith("choose a multiple of 4,")
