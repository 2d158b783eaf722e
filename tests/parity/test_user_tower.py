"""The user tower under the paper's preset against BERT's own layers, and its state at the last item against the description.

Item vectors in order, padded behind with zeros, plus learned absolute positions; four post-norm layers of 4 heads with a
feed-forward width of 128 and GELU, in which only padding is hidden; the state at the last real position is the user.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertLayer

from transrec.recipes.fitting import TrainSettings
from transrec.users.transformer import TransformerBlock, TransformerUserEncoder

WIDTH = 32
OURS, PUBLISHED = 1e-5, 1e-12
"""What layer norms add to the variance."""


@pytest.fixture(scope="module")
def tower(paper: TrainSettings) -> TransformerUserEncoder:
    encoder = TransformerUserEncoder(WIDTH, paper.model.users).double().eval()
    with torch.no_grad():
        for place, parameter in enumerate(encoder.parameters()):  # away from the start, where differences would not show
            generator = torch.Generator().manual_seed(place)
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.1)
    return encoder


def bert_layer(block: TransformerBlock, paper: TrainSettings, epsilon: float) -> BertLayer:
    """A layer of BERT with our weights."""
    users = paper.model.users
    config = BertConfig(
        hidden_size=WIDTH,
        num_attention_heads=users.heads,
        intermediate_size=users.feedforward,
        hidden_act="gelu",
        layer_norm_eps=epsilon,
        attn_implementation="eager",
    )
    layer = BertLayer(config).double().eval()
    query, key, value = block.query_key_value.weight.chunk(3)
    query_bias, key_bias, value_bias = block.query_key_value.bias.chunk(3)
    pairs = {
        "attention.self.query.weight": query,
        "attention.self.query.bias": query_bias,
        "attention.self.key.weight": key,
        "attention.self.key.bias": key_bias,
        "attention.self.value.weight": value,
        "attention.self.value.bias": value_bias,
        "attention.output.dense.weight": block.output.weight,
        "attention.output.dense.bias": block.output.bias,
        "attention.output.LayerNorm.weight": block.attention_norm.weight,
        "attention.output.LayerNorm.bias": block.attention_norm.bias,
        "intermediate.dense.weight": block.expand.weight,
        "intermediate.dense.bias": block.expand.bias,
        "output.dense.weight": block.contract.weight,
        "output.dense.bias": block.contract.bias,
        "output.LayerNorm.weight": block.feedforward_norm.weight,
        "output.LayerNorm.bias": block.feedforward_norm.bias,
    }
    layer.load_state_dict({name: tensor.detach().clone() for name, tensor in pairs.items()})
    return layer


def histories(lengths: list[int], seed: int) -> tuple[Tensor, Tensor]:
    """Item vectors and which slots are real, padded behind with zeros to 25."""
    generator = torch.Generator().manual_seed(seed)
    mask_BL = torch.arange(25) < torch.tensor(lengths)[:, None]
    items_BLD = torch.randn(len(lengths), 25, WIDTH, generator=generator, dtype=torch.float64)
    return items_BLD.masked_fill(~mask_BL[..., None], 0.0), mask_BL


def described(
    tower: TransformerUserEncoder, paper: TrainSettings, items_BLD: Tensor, mask_BL: Tensor, epsilon: float
) -> Tensor:
    """The user vectors as the description says."""
    states_BLD = items_BLD + tower.positions.weight
    hidden_B11L = (1.0 - mask_BL.double())[:, None, None, :] * -10_000.0
    for block in tower.blocks:
        assert isinstance(block, TransformerBlock)
        output = bert_layer(block, paper, epsilon)(states_BLD, hidden_B11L)
        states_BLD = output if isinstance(output, Tensor) else output[0]
    last_BL = torch.zeros_like(mask_BL)
    for user, length in enumerate(mask_BL.sum(dim=1).tolist()):
        last_BL[user, length - 1] = True
    return states_BLD[last_BL]


@pytest.mark.parametrize(("epsilon", "gap"), [(OURS, 1e-9), (PUBLISHED, 1e-4)])
@torch.no_grad()
def test_the_user_is_the_described_one(
    tower: TransformerUserEncoder, paper: TrainSettings, epsilon: float, gap: float
) -> None:
    """To rounding with the same epsilon; the published one of 1e-12 moves the fourth decimal at most."""
    items_BLD, mask_BL = histories([25, 1, 7, 24], seed=0)
    found = tower(items_BLD, mask_BL).last_BD
    torch.testing.assert_close(found, described(tower, paper, items_BLD, mask_BL, epsilon), atol=gap, rtol=0.0)


@torch.no_grad()
def test_padding_does_not_change_the_user(tower: TransformerUserEncoder) -> None:
    items_BLD, mask_BL = histories([5, 12, 1], seed=1)
    whole = tower(items_BLD, mask_BL).last_BD
    junk_BLD = torch.where(mask_BL[..., None], items_BLD, 1e3)
    torch.testing.assert_close(tower(junk_BLD, mask_BL).last_BD, whole, atol=1e-12, rtol=0.0)
    for user, length in enumerate([5, 12, 1]):
        alone = tower(items_BLD[user : user + 1, :length], mask_BL[user : user + 1, :length]).last_BD[0]
        torch.testing.assert_close(alone, whole[user], atol=1e-12, rtol=0.0)


@torch.no_grad()
def test_every_item_of_the_history_is_seen_by_every_other(tower: TransformerUserEncoder) -> None:
    items_BLD, mask_BL = histories([6], seed=2)
    before = tower(items_BLD, mask_BL).vectors[0, :6]
    items_BLD[0, 5] *= -1.0
    assert ((tower(items_BLD, mask_BL).vectors[0, :6] - before).abs().max(dim=1).values > 1e-6).all(), "not causal"


def test_the_preset_has_the_published_sizes(paper: TrainSettings) -> None:
    users = paper.model.users
    assert (users.layers, users.heads, users.feedforward, users.window, users.norm) == (4, 4, 128, 25, "post")
    assert (users.attention, users.dropout, users.mask_token) == ("bidirectional", 0.1, True)
    assert (paper.model.items.width, paper.model.scorer, paper.model.prior) == (256, "dot", "none")
