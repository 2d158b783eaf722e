"""The transformer over a history: bidirectional as published, or causal so that every position can learn.

Axes: B users, L history length, D width, H heads.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transrec.nesting import Nesting
from transrec.users.adapter import Adapter
from transrec.users.attention import initialise, require_heads, visible_slots
from transrec.users.encoder import UserEncoder
from transrec.users.recency import RecencyMean
from transrec.users.settings import UserSettings
from transrec.views import UserKind, UserOutput


class TransformerUserEncoder(UserEncoder):
    """Learned absolute positions, then transformer blocks (TransRec, arXiv 2206.06190; Vaswani et al. 2017).

    With ``attention="bidirectional"``, ``norm="post"``, ``start="fresh"``, 4 layers and a feed-forward width of 128 this is
    the published user encoder; its state at the last real position is the user vector.

    With ``start="similar"`` a :class:`~transrec.users.recency.RecencyMean` stands around the blocks.

    Where widths are nested, whole heads lie in blocks: the queries, keys and values of a head are read from the numbers up
    to the end of its block.

    Args:
        width: D.
        settings: the rest.
        nesting: the widths that states can be cut to.

    Raises:
        SettingsError: the heads do not divide the width, or a nested width ends inside one.
    """

    gives: UserKind = "states"

    def __init__(self, width: int, settings: UserSettings, nesting: Nesting | None = None) -> None:
        super().__init__()
        self.nesting = nesting or Nesting.of(width)
        require_heads(settings.heads, width, self.nesting)
        self.width, self.nested = width, self.nesting.nested
        self.window = settings.window
        self.causal = settings.attention == "causal"
        self.positions = nn.Embedding(settings.window, width)
        self.dropout = nn.Dropout(settings.dropout)
        self.blocks = nn.ModuleList(TransformerBlock(width, settings, self.nesting) for _ in range(settings.layers))
        self.final_norm = self.nesting.norm(width) if settings.norm == "pre" else nn.Identity()
        self.apply(initialise)
        self.recency = RecencyMean(settings.window) if settings.start == "similar" else None
        if settings.adapter:
            self.add_adapters(settings.adapter)
        if settings.mask_token:
            self.mask_token = nn.Parameter(torch.zeros(width))  # as published; its position tells it apart

    def forward(self, items_BLD: Tensor, mask_BL: Tensor) -> UserOutput:
        length = items_BLD.shape[1]
        items_BLD = items_BLD.masked_fill(~mask_BL[..., None], 0.0)
        states_BLD = self.dropout(items_BLD + self.positions.weight[:length])
        visible_BLL = visible_slots(mask_BL, causal=self.causal)
        for block in self.blocks:
            states_BLD = block(states_BLD, visible_BLL)
        states_BLD = self.final_norm(states_BLD)
        if self.recency is not None:
            states_BLD = self.recency(items_BLD, mask_BL, states_BLD)
        return UserOutput("states", states_BLD, mask_BL)

    def add_adapters(self, inner: int) -> None:
        for block in self.blocks:
            assert isinstance(block, TransformerBlock)
            block.add_adapters(inner)


class TransformerBlock(nn.Module):
    """Self-attention and a feed-forward part with GELU, each with a residual sum and a layer norm."""

    def __init__(self, width: int, settings: UserSettings, nesting: Nesting | None = None) -> None:
        super().__init__()
        inner, where = settings.feedforward, "model.users.feedforward"
        self.nesting = nesting = nesting or Nesting.of(width)
        self.heads = settings.heads
        self.pre_norm = settings.norm == "pre"
        self.dropout_share = settings.dropout
        self.query_key_value = nesting.linear(width, 3 * width, parts=3)
        self.output = nesting.linear(width, width)
        self.expand = nesting.linear(width, inner, where=where)
        self.contract = nesting.linear(inner, width, where=where)
        self.attention_norm = nesting.norm(width)
        self.feedforward_norm = nesting.norm(width)
        self.dropout = nn.Dropout(settings.dropout)
        self.attention_adapter: nn.Module = nn.Identity()
        self.feedforward_adapter: nn.Module = nn.Identity()

    def forward(self, states_BLD: Tensor, visible_BLL: Tensor, between: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """One block.

        Args:
            states_BLD: what comes in.
            visible_BLL: which position (last axis) each position may look at.
            between: what is done to the states between the two parts; nothing when None.
        """
        if self.pre_norm:
            states_BLD = states_BLD + self._attend(self.attention_norm(states_BLD), visible_BLL)
            states_BLD = states_BLD if between is None else between(states_BLD)
            return states_BLD + self._feed_forward(self.feedforward_norm(states_BLD))
        states_BLD = self.attention_norm(states_BLD + self._attend(states_BLD, visible_BLL))
        states_BLD = states_BLD if between is None else between(states_BLD)
        normed_BLD: Tensor = self.feedforward_norm(states_BLD + self._feed_forward(states_BLD))
        return normed_BLD

    def add_adapters(self, inner: int) -> None:
        """Put an adapter of this inner width behind each of the two parts."""
        self.attention_adapter = Adapter(self.nesting.width, inner, self.nesting)
        self.feedforward_adapter = Adapter(self.nesting.width, inner, self.nesting)

    def _attend(self, states_BLD: Tensor, visible_BLL: Tensor) -> Tensor:
        batch, length, width = states_BLD.shape
        qkv = self.query_key_value(states_BLD).view(batch, length, 3, self.heads, width // self.heads)
        query_BHLd, key_BHLd, value_BHLd = qkv.permute(2, 0, 3, 1, 4)
        share = self.dropout_share if self.training else 0.0
        mixed_BHLd = F.scaled_dot_product_attention(
            query_BHLd, key_BHLd, value_BHLd, attn_mask=visible_BLL[:, None], dropout_p=share
        )
        attended_BLD = self.dropout(self.output(mixed_BHLd.transpose(1, 2).reshape(batch, length, width)))
        adapted_BLD: Tensor = self.attention_adapter(attended_BLD)
        return adapted_BLD

    def _feed_forward(self, states_BLD: Tensor) -> Tensor:
        fed_BLD: Tensor = self.feedforward_adapter(self.dropout(self.contract(F.gelu(self.expand(states_BLD)))))
        return fed_BLD
