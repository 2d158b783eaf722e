"""The recurrent user encoder: its parallel scan against a sequential one, what it may see, padding, and how it begins."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from transrec.errors import ModelError, SettingsError
from transrec.nesting import Nesting
from transrec.testing import UserEncoderContract
from transrec.users.lru import LinearRecurrence, LRUUserEncoder
from transrec.users.settings import UserSettings

WIDTH = 8


def made(**changes: object) -> LRUUserEncoder:
    shape = {"kind": "lru", "window": 8, "layers": 2, "feedforward": 12, "start": "fresh", "lru": {"ring": 0.6}}
    with torch.random.fork_rng():
        torch.manual_seed(0)  # noqa: TID251  (the same weights each time)
        encoder = LRUUserEncoder(WIDTH, UserSettings.from_mapping({**shape, **changes})).double().eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():  # away from the start, where many differences would not show
            if ".log_" not in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.3)
    return encoder


def drawn(lengths: list[int], total: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    items_BLD = torch.randn(len(lengths), total, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return items_BLD, torch.arange(total) < torch.tensor(lengths)[:, None]


class TestContract(UserEncoderContract):
    def make(self) -> LRUUserEncoder:
        return made(start="similar").float()


class TestNestedContract(UserEncoderContract):
    def make(self) -> LRUUserEncoder:
        shape = {"kind": "lru", "window": 8, "feedforward": 12, "mask_token": True, "lru": {"states": 2}}
        with torch.random.fork_rng():
            torch.manual_seed(0)  # noqa: TID251  (the same weights each time)
            return LRUUserEncoder(WIDTH, UserSettings.from_mapping(shape), Nesting((4, 8)))


def one_after_the_other(layer: LinearRecurrence, inputs_BLD: Tensor) -> Tensor:
    """The recurrence as it is written, in complex numbers."""
    eigenvalues_H = torch.exp(torch.complex(-layer.log_decay.exp(), layer.log_angle.exp()))
    real_HD, imaginary_HD = layer.enter.weight.chunk(2)
    enter_HD = torch.complex(real_HD, imaginary_HD)
    leave_DH = torch.complex(layer.leave_real.weight, layer.leave_imaginary.weight)
    state_BH = torch.zeros(len(inputs_BLD), len(eigenvalues_H), dtype=enter_HD.dtype)
    found = []
    for position in range(inputs_BLD.shape[1]):
        entered_BH = inputs_BLD[:, position].to(enter_HD.dtype) @ enter_HD.T
        state_BH = eigenvalues_H * state_BH + layer.log_gain.exp() * entered_BH
        found.append((state_BH @ leave_DH.T).real)
    return torch.stack(found, dim=1)


@given(length=st.integers(1, 9), window=st.integers(9, 17), states=st.integers(1, 2), ring=st.sampled_from([0.0, 0.5, 0.89]))
@settings(max_examples=20)
def test_the_parallel_scan_is_the_recurrence(length: int, window: int, states: int, ring: float) -> None:
    layer = LinearRecurrence(Nesting.of(WIDTH), states=states, ring=ring, window=window).double()
    inputs_BLD, _ = drawn([length, length], length)
    torch.testing.assert_close(layer(inputs_BLD), one_after_the_other(layer, inputs_BLD), atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5])
def test_the_first_item_of_the_longest_history_is_remembered(window: int) -> None:
    layer = LinearRecurrence(Nesting.of(WIDTH), states=1, ring=0.8, window=window).double()
    inputs_BLD, _ = drawn([window], window)
    torch.testing.assert_close(layer(inputs_BLD), one_after_the_other(layer, inputs_BLD), atol=1e-12, rtol=1e-9)


def test_gradients_are_those_of_the_recurrence() -> None:
    layer = LinearRecurrence(Nesting.of(WIDTH), states=2, ring=0.5, window=6).double()
    inputs_BLD, _ = drawn([6], 6)
    found = torch.autograd.grad(layer(inputs_BLD).square().sum(), list(layer.parameters()))
    expected = torch.autograd.grad(one_after_the_other(layer, inputs_BLD).square().sum(), list(layer.parameters()))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-9)


@pytest.mark.parametrize("ring", [0.0, 0.5])
def test_eigenvalues_begin_on_the_ring_and_states_of_one_size(ring: float) -> None:
    layer = LinearRecurrence(Nesting.of(512), states=2, ring=ring, window=4)
    modulus_H = (-layer.log_decay.exp()).exp()
    assert (modulus_H >= ring - 1e-6).all() and (modulus_H <= ring + 0.1 + 1e-6).all()
    share_below = float((modulus_H.square() < (ring**2 + (ring + 0.1) ** 2) / 2).float().mean())
    assert abs(share_below - 0.5) < 0.07, "uniform by area"
    torch.testing.assert_close(layer.log_gain.exp().square(), 1 - modulus_H.square())
    angle_H = layer.log_angle.detach().exp()
    assert angle_H.min() >= 0 and 5.5 < float(angle_H.max()) <= 6.2832


@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4), extra=st.integers(0, 3), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_padding_has_no_influence(lengths: list[int], extra: int, seed: int) -> None:
    encoder = made(start="similar")
    items_BLD, mask_BL = drawn(lengths, total=5, seed=seed)
    padded = torch.cat([items_BLD, torch.full((len(lengths), extra, WIDTH), torch.nan, dtype=torch.float64)], dim=1)
    longer_mask = torch.cat([mask_BL, torch.zeros(len(lengths), extra, dtype=torch.bool)], dim=1)
    short, long = encoder(items_BLD, mask_BL).last_BD, encoder(padded, longer_mask).last_BD
    assert torch.allclose(short, long, atol=1e-12)
    alone = [encoder(items_BLD[b : b + 1, :n], mask_BL[b : b + 1, :n]).last_BD[0] for b, n in enumerate(lengths)]
    assert torch.allclose(short, torch.stack(alone), atol=1e-12)


def test_states_do_not_see_what_comes_next_and_see_what_came_before() -> None:
    encoder = made()
    items_BLD, mask_BL = drawn([6], total=6)
    changed = items_BLD.clone()
    changed[:, 4] *= -1.0
    before, after = encoder(items_BLD, mask_BL).vectors, encoder(changed, mask_BL).vectors
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 5], after[:, 5])
    swapped = encoder(items_BLD[:, [1, 0, 2, 3, 4, 5]], mask_BL).last_BD
    assert not torch.allclose(swapped, encoder(items_BLD, mask_BL).last_BD), "order matters"


def test_it_is_born_similar_and_hides_items() -> None:
    encoder = LRUUserEncoder(WIDTH, UserSettings(kind="lru", window=8, feedforward=8, mask_token=True, dropout=0.0))
    items_BLD, mask_BL = drawn([3], 3)
    items_BLD = items_BLD.float()
    weights_L = torch.softmax(-0.5 * torch.tensor([2.0, 1.0, 0.0]), dim=0)
    torch.testing.assert_close(encoder(items_BLD, mask_BL).last_BD[0], weights_L @ items_BLD[0])
    hidden = encoder.hide(items_BLD, torch.tensor([[False, True, False]]))
    assert torch.equal(hidden[0, 1], encoder.mask_token) and torch.equal(hidden[0, 0], items_BLD[0, 0])


def test_adapters_stand_behind_both_parts() -> None:
    encoder = made()
    items_BLD, mask_BL = drawn([4], 4)
    before = encoder(items_BLD, mask_BL).vectors
    encoder.add_adapters(4)
    adapters = [name for name, _ in encoder.named_parameters() if "adapter.down.weight" in name]
    assert len(adapters) == 4
    assert not torch.allclose(encoder.double()(items_BLD, mask_BL).vectors, before)
    assert LRUUserEncoder(WIDTH, UserSettings(kind="lru", adapter=2, feedforward=8)).blocks[0].feedforward_adapter.down


def test_what_a_recurrence_cannot_do_is_refused() -> None:
    with pytest.raises(SettingsError, match="sees earlier items only"):
        made(attention="bidirectional")
    with pytest.raises(SettingsError, match="norms before"):
        made(norm="post")
    with pytest.raises(ModelError, match="no mask token"):
        made().hide(*drawn([2], 2))
