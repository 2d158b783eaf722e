"""Pooling: from the tokens of a text to one vector; the mean, the first token, or the attention of the paper.

Axes: N items, T tokens, C channels of a token, H heads, d width of a head.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

PoolingKind = Literal["mean", "first", "attention"]


class Pooling(nn.Module, ABC):
    """Makes one vector of the tokens of each item.

    Attributes:
        width: of that vector.
    """

    width: int

    @abstractmethod
    def forward(self, tokens_NTC: Tensor, mask_NT: Tensor) -> Tensor:
        """Vectors of shape (N, width); tokens outside the mask (bool, at least one true in a row) have no influence."""


class MeanPooling(Pooling):
    """The mean over the real tokens, special ones included (Reimers and Gurevych 2019, section 3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, tokens_NTC: Tensor, mask_NT: Tensor) -> Tensor:
        kept_NTC = tokens_NTC.masked_fill(~mask_NT[..., None], 0.0)
        return kept_NTC.sum(dim=1) / mask_NT.sum(dim=1, keepdim=True).to(tokens_NTC.dtype)


class FirstTokenPooling(Pooling):
    """The first token, which backbones with a class token train to stand for the whole."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, tokens_NTC: Tensor, mask_NT: Tensor) -> Tensor:  # noqa: ARG002 - the first token is always real
        return tokens_NTC[:, 0]


class AttentionPooling(Pooling):
    """Self-attention over the tokens, then additive attention down to one vector: TransRec's text tower (arXiv 2206.06190).

    In order: dropout, multi-head self-attention without output projection, dropout, then the weights
    a_t = softmax_t(w2 . tanh(W1 h_t + b1)) and the sum of a_t h_t. With 4 heads of 20 the vector has 80 numbers; the
    projection to the model's width is the item tower's. Both attentions look at what the mask shows: in the published code
    that is padding too (see the text encoder's ``padding``). The weights start as Glorot's uniform.

    Args:
        width: C of the tokens.
        heads: H.
        head_width: d.
        hidden: the width inside the additive attention.
        dropout: share of activations dropped in training, before and after the self-attention.
    """

    def __init__(self, width: int, *, heads: int = 4, head_width: int = 20, hidden: int = 200, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads = heads
        self.width = heads * head_width
        self.query = nn.Linear(width, self.width)
        self.key = nn.Linear(width, self.width)
        self.value = nn.Linear(width, self.width)
        self.hidden = nn.Linear(self.width, hidden)
        self.weight = nn.Linear(hidden, 1, bias=False)  # a bias would fall out of the softmax
        self.dropout = nn.Dropout(dropout)
        for module in (self.query, self.key, self.value, self.hidden, self.weight):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, tokens_NTC: Tensor, mask_NT: Tensor) -> Tensor:
        mixed_NTC: Tensor = self.dropout(self._mix(self.dropout(tokens_NTC), mask_NT))
        scores_NT: Tensor = self.weight(torch.tanh(self.hidden(mixed_NTC))).squeeze(-1)
        shares_NT: Tensor = scores_NT.masked_fill(~mask_NT, -math.inf).softmax(dim=1)
        return (shares_NT[..., None] * mixed_NTC.masked_fill(~mask_NT[..., None], 0.0)).sum(dim=1)

    def _mix(self, tokens_NTC: Tensor, mask_NT: Tensor) -> Tensor:
        query_NHTd, key_NHTd, value_NHTd = (
            linear(tokens_NTC).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )
        mixed_NHTd: Tensor = nn.functional.scaled_dot_product_attention(
            query_NHTd, key_NHTd, value_NHTd, attn_mask=mask_NT[:, None, None, :]
        )
        return mixed_NHTd.transpose(1, 2).flatten(2)


def build_pooling(kind: PoolingKind, width: int) -> Pooling:
    """The pooling of this name over tokens of this width."""
    if kind == "mean":
        return MeanPooling(width)
    if kind == "first":
        return FirstTokenPooling(width)
    return AttentionPooling(width)
