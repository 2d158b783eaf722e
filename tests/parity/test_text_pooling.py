"""The text tower behind BERT against a re-implementation from the description of the published code.

Each text is a sequence of T hidden states: dropout; self-attention with 4 heads of 20, scores divided by sqrt(20), their
exponentials divided by the sum of them plus 1e-8, no output projection; dropout; then w2 . tanh(W1 h_t + b1) + b2, again
exponentials over their sum plus 1e-8, and the weighted sum of the 80 numbers of each token.
"""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from transrec.data.catalog import Item
from transrec.items.pooling import AttentionPooling
from transrec.items.text import TextEncoder
from transrec.recipes.fitting import TrainSettings

HEADS, HEAD_WIDTH, TINY = 4, 20, 1e-8
TITLES = ["red shoes", "a long title about the history of bicycles and of the roads", "socks", ""]


class Described(nn.Module):
    """The pooling as it is described, with a mask of 0 and 1 or without."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w_q, self.w_k, self.w_v = (nn.Linear(width, HEADS * HEAD_WIDTH) for _ in range(3))
        self.fc1, self.fc2 = nn.Linear(HEADS * HEAD_WIDTH, 200), nn.Linear(200, 1)

    def forward(self, states_NTC: Tensor, mask_NT: Tensor | None = None) -> Tensor:
        count, length, _ = states_NTC.shape
        q, k, v = (
            w(states_NTC).view(count, length, HEADS, HEAD_WIDTH).transpose(1, 2) for w in (self.w_q, self.w_k, self.w_v)
        )
        scores = torch.exp(torch.matmul(q, k.transpose(-1, -2)) / HEAD_WIDTH**0.5)
        if mask_NT is not None:
            scores = scores * mask_NT[:, None, None, :]
        context = torch.matmul(scores / (scores.sum(dim=-1, keepdim=True) + TINY), v)
        context = context.transpose(1, 2).reshape(count, length, HEADS * HEAD_WIDTH)
        alpha = torch.exp(self.fc2(torch.tanh(self.fc1(context))))
        if mask_NT is not None:
            alpha = alpha * mask_NT[..., None]
        alpha = alpha / (alpha.sum(dim=1, keepdim=True) + TINY)
        return torch.bmm(context.transpose(1, 2), alpha).reshape(count, -1)

    @classmethod
    def like(cls, ours: AttentionPooling) -> Described:
        """With our weights; the last bias, which we do not have, is anything."""
        theirs = cls(ours.query.in_features).double()
        for mine, own in (
            (ours.query, theirs.w_q),
            (ours.key, theirs.w_k),
            (ours.value, theirs.w_v),
            (ours.hidden, theirs.fc1),
        ):
            own.load_state_dict(mine.state_dict())
        theirs.fc2.load_state_dict({"weight": ours.weight.weight, "bias": torch.full((1,), 0.3)})
        return theirs


def pooled(seed: int) -> AttentionPooling:
    pooling = AttentionPooling(24).double().eval()
    with torch.no_grad():
        for place, parameter in enumerate(pooling.parameters()):
            generator = torch.Generator().manual_seed(100 * seed + place)
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.1)
    return pooling


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("padding", ["masked", "attended"])
def test_the_pooling_is_the_described_one(seed: int, padding: str) -> None:
    ours = pooled(seed)
    tokens_NTC = torch.randn(4, 9, 24, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mask_NT = torch.arange(9) < torch.tensor([9, 4, 1, 6])[:, None]
    if padding == "attended":
        mask_NT = torch.ones_like(mask_NT)
    with torch.no_grad():
        found = ours(tokens_NTC, mask_NT)
        expected = Described.like(ours)(tokens_NTC, mask_NT.double() if padding == "masked" else None)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("padding", ["masked", "attended"])
def test_the_text_tower_is_the_described_one(tiny: TrainSettings, padding: Literal["masked", "attended"]) -> None:
    """Titles of 32 tokens; BERT leaves padding out, the pooling of the published code does not."""
    settings = tiny.model.items.text.updated({"padding": padding})
    encoder = TextEncoder.from_settings(settings).double().eval()
    assert isinstance(encoder.pooling, AttentionPooling)
    described = Described.like(encoder.pooling)
    titles = encoder.tokenizer(TITLES, padding="max_length", truncation=True, max_length=32, return_tensors="pt")
    assert titles["input_ids"].shape == (4, 32), "the published length"
    with torch.no_grad():
        states_NTC = encoder.backbone(
            input_ids=titles["input_ids"], attention_mask=titles["attention_mask"]
        ).last_hidden_state
        expected = described(states_NTC, titles["attention_mask"].double() if padding == "masked" else None)
        found = encoder(encoder.prepare([Item(str(place), text=text) for place, text in enumerate(TITLES)]))
        alone = encoder(encoder.prepare([Item("0", text=TITLES[0])]))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0.0)
    torch.testing.assert_close(alone[0], expected[0], atol=1e-6, rtol=0.0)


def test_attending_to_padding_is_another_tower(tiny: TrainSettings) -> None:
    """The switch does something: a short title's vector changes with the length that it is padded to."""
    vectors = []
    for padding in ("masked", "attended"):
        encoder = TextEncoder.from_settings(tiny.model.items.text.updated({"padding": padding})).eval()
        torch.nn.init.normal_(encoder.pooling.get_parameter("hidden.weight"), generator=torch.Generator().manual_seed(0))
        vectors.append(encoder(encoder.prepare([Item("0", text="socks")])).detach())
    assert (vectors[0] - vectors[1]).abs().max() > 1e-3


def test_the_preset_has_the_published_sizes(paper: TrainSettings) -> None:
    text = paper.model.items.text
    assert (text.pooling, text.max_length, text.padding, text.frozen_dropout) == ("attention", 32, "attended", True)
    pooling = AttentionPooling(768)
    assert (pooling.heads, pooling.width, pooling.hidden.out_features, pooling.dropout.p) == (4, 80, 200, 0.1)
