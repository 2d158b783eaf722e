"""The transformer user encoder: parity with torch's own blocks, padding, causality."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from transrec.errors import ModelError, SettingsError
from transrec.users.settings import UserSettings
from transrec.users.transformer import TransformerUserEncoder

WIDTH = 16


def made(**changes: object) -> TransformerUserEncoder:
    shape = {"window": 8, "layers": 2, "heads": 4, "feedforward": 24, "start": "fresh"}
    settings = UserSettings.from_mapping({**shape, **changes})
    encoder = TransformerUserEncoder(WIDTH, settings).double().eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in encoder.parameters():  # away from the start, where many differences would not show
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.2)
    return encoder


def drawn(lengths: list[int], total: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    items_BLD = torch.randn(len(lengths), total, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return items_BLD, torch.arange(total) < torch.tensor(lengths)[:, None]


def independent(encoder: TransformerUserEncoder, settings: UserSettings) -> nn.TransformerEncoder:
    """torch's own encoder with our weights."""
    layer = nn.TransformerEncoderLayer(
        WIDTH,
        settings.heads,
        settings.feedforward,
        dropout=0.0,
        activation="gelu",
        batch_first=True,
        norm_first=settings.norm == "pre",
    )
    norm = nn.LayerNorm(WIDTH) if settings.norm == "pre" else None
    stack = nn.TransformerEncoder(layer, settings.layers, norm=norm, enable_nested_tensor=False).double()
    for theirs, ours in zip(stack.layers, encoder.blocks, strict=True):
        pairs = {
            "self_attn.in_proj_weight": ours.query_key_value.weight,
            "self_attn.in_proj_bias": ours.query_key_value.bias,
            "self_attn.out_proj.weight": ours.output.weight,
            "self_attn.out_proj.bias": ours.output.bias,
            "linear1.weight": ours.expand.weight,
            "linear1.bias": ours.expand.bias,
            "linear2.weight": ours.contract.weight,
            "linear2.bias": ours.contract.bias,
            "norm1.weight": ours.attention_norm.weight,
            "norm1.bias": ours.attention_norm.bias,
            "norm2.weight": ours.feedforward_norm.weight,
            "norm2.bias": ours.feedforward_norm.bias,
        }
        theirs.load_state_dict({name: tensor.detach() for name, tensor in pairs.items()})
    if norm is not None:
        stack.norm.load_state_dict(encoder.final_norm.state_dict())
    return stack.train()  # dropout is 0; train mode keeps torch on its plain path


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
def test_equals_torchs_own_transformer(norm: str, attention: str) -> None:
    encoder = made(norm=norm, attention=attention)
    settings = UserSettings.from_mapping(
        {"window": 8, "layers": 2, "heads": 4, "feedforward": 24, "norm": norm, "attention": attention}
    )
    items_BLD, mask_BL = drawn([6, 3, 1], total=6)
    causal = nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64) if attention == "causal" else None
    pads = torch.zeros(mask_BL.shape, dtype=torch.float64).masked_fill(~mask_BL, -torch.inf)
    theirs = independent(encoder, settings)(items_BLD + encoder.positions.weight[:6], mask=causal, src_key_padding_mask=pads)
    ours = encoder(items_BLD, mask_BL).vectors
    assert torch.allclose(ours[mask_BL], theirs[mask_BL], atol=1e-10)


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4), extra=st.integers(0, 3), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_padding_has_no_influence(attention: str, lengths: list[int], extra: int, seed: int) -> None:
    encoder = made(attention=attention)
    items_BLD, mask_BL = drawn(lengths, total=5, seed=seed)
    padded = torch.cat([items_BLD, torch.full((len(lengths), extra, WIDTH), torch.nan, dtype=torch.float64)], dim=1)
    longer_mask = torch.cat([mask_BL, torch.zeros(len(lengths), extra, dtype=torch.bool)], dim=1)
    short, long = encoder(items_BLD, mask_BL).last_BD, encoder(padded, longer_mask).last_BD
    assert torch.allclose(short, long, atol=1e-12)
    alone = [encoder(items_BLD[b : b + 1, :n], mask_BL[b : b + 1, :n]).last_BD[0] for b, n in enumerate(lengths)]
    assert torch.allclose(short, torch.stack(alone), atol=1e-12)


def test_causal_states_do_not_see_what_comes_next() -> None:
    encoder = made(attention="causal")
    items_BLD, mask_BL = drawn([6], total=6)
    changed = items_BLD.clone()
    changed[:, 4:] *= -1.0  # a constant shift would vanish in the layer norm
    before, after = encoder(items_BLD, mask_BL).vectors, encoder(changed, mask_BL).vectors
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_bidirectional_states_do() -> None:
    encoder = made(attention="bidirectional")
    items_BLD, mask_BL = drawn([6], total=6)
    changed = items_BLD.clone()
    changed[:, 5] *= -1.0
    assert not torch.allclose(encoder(items_BLD, mask_BL).vectors[:, 0], encoder(changed, mask_BL).vectors[:, 0])


def test_order_matters() -> None:
    encoder = made()
    items_BLD, mask_BL = drawn([5], total=5)
    swapped = items_BLD[:, [1, 0, 2, 3, 4]]
    assert not torch.allclose(encoder(items_BLD, mask_BL).last_BD, encoder(swapped, mask_BL).last_BD)


def test_an_empty_history_gives_zeros_and_finite_numbers() -> None:
    items_BLD, mask_BL = drawn([0, 2], total=3)
    output = made()(items_BLD, mask_BL)
    assert torch.equal(output.last_BD[0], torch.zeros(WIDTH, dtype=torch.float64))
    assert torch.isfinite(output.vectors).all()


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(SettingsError, match="5 heads do not divide a width of 16"):
        TransformerUserEncoder(16, UserSettings(heads=5))


def test_a_mask_token_is_there_only_for_those_who_ask() -> None:
    assert made().mask_token is None
    assert not [name for name, _ in made().named_parameters() if "mask" in name], "nobody carries a parameter that is idle"
    assert "mask_token" not in made().state_dict()
    token = made(mask_token=True).mask_token
    assert token is not None and token.shape == (WIDTH,)
    assert TransformerUserEncoder(WIDTH, UserSettings(mask_token=True)).state_dict()["mask_token"].equal(torch.zeros(WIDTH))


def test_the_mask_token_stands_where_items_are_hidden() -> None:
    encoder = made(mask_token=True)
    items_BLD, _ = drawn([5, 3], total=5)
    hidden_BL = torch.zeros(2, 5, dtype=torch.bool)
    hidden_BL[0, 1] = hidden_BL[1, 2] = True
    shown_BLD = encoder.hide(items_BLD, hidden_BL)
    assert torch.equal(shown_BLD[~hidden_BL], items_BLD[~hidden_BL])
    assert encoder.mask_token is not None
    assert torch.equal(shown_BLD[hidden_BL], encoder.mask_token.expand(2, WIDTH))


def test_hiding_without_a_mask_token_is_said() -> None:
    items_BLD, mask_BL = drawn([3], total=3)
    with pytest.raises(ModelError, match="no mask token"):
        made().hide(items_BLD, mask_BL)


def test_born_similar_it_is_a_mean_of_the_latest_items() -> None:
    settings = UserSettings.from_mapping({"window": 8, "layers": 1, "heads": 4, "feedforward": 24})
    encoder = TransformerUserEncoder(WIDTH, settings).double().eval()
    items_BLD, mask_BL = drawn([5, 2], total=6)
    found = encoder(items_BLD, mask_BL).last_BD
    for user, length in enumerate((5, 2)):
        weights = torch.exp(-0.5 * torch.arange(length - 1, -1, -1, dtype=torch.float64))
        expected = (weights[:, None] * items_BLD[user, :length]).sum(dim=0) / weights.sum()
        assert torch.allclose(found[user], expected, atol=1e-10)
    encoder(items_BLD, mask_BL).last_BD.sum().backward()
    assert encoder.recency is not None and encoder.recency.gate.grad.abs() > 0, "the blocks must be able to come in"


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
def test_born_similar_padding_has_no_influence(attention: str) -> None:
    encoder = made(start="similar", attention=attention)
    items_BLD, mask_BL = drawn([4, 2], total=4)
    longer_BLD = torch.cat([items_BLD, torch.full((2, 3, WIDTH), 1e6, dtype=torch.float64)], dim=1)
    longer_BL = torch.cat([mask_BL, torch.zeros(2, 3, dtype=torch.bool)], dim=1)
    found, expected = encoder(longer_BLD, longer_BL), encoder(items_BLD, mask_BL)
    assert torch.allclose(found.last_BD, expected.last_BD, atol=1e-10)


def test_born_similar_a_causal_state_sees_nothing_that_comes_later() -> None:
    encoder = made(start="similar")
    items_BLD, mask_BL = drawn([6], total=6)
    changed_BLD = items_BLD.clone()
    changed_BLD[:, 4:] += 1
    found, before = encoder(changed_BLD, mask_BL).vectors, encoder(items_BLD, mask_BL).vectors
    assert torch.allclose(found[:, :4], before[:, :4], atol=1e-12) and not torch.allclose(found[:, 4:], before[:, 4:])
