"""The transformer over a history: bidirectional as published, or causal so that every position can learn.

Axes: B users, L history length, D width, H heads.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from transrec.errors import SettingsError
from transrec.settings import Settings
from transrec.users.adapter import Adapter
from transrec.users.encoder import UserEncoder
from transrec.views import UserKind, UserOutput

FORGETTING = 0.5
"""How much less the log of an item's weight begins with for each item that came after it."""


class UserSettings(Settings):
    """The user encoder."""

    attention: Literal["causal", "bidirectional"] = "causal"
    """What a position may look at: itself and earlier ones, or (as published) every item of the history."""
    window: int = Field(default=50, ge=1)
    """Longest history read, in items; older ones are cut off. The paper has 25."""
    layers: int = Field(default=2, ge=1)
    """Transformer blocks. The paper has 4."""
    heads: int = Field(default=4, ge=1)
    """Attention heads; must divide the width."""
    feedforward: int = Field(default=512, ge=1)
    """Width inside the feed-forward part. The paper has 128 for a width of 256."""
    norm: Literal["pre", "post"] = "pre"
    """Layer norm before each part (steadier) or after its residual sum (as published)."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of activations dropped in training."""
    start: Literal["similar", "fresh"] = "similar"
    """How a user begins: similar, as a mean of the latest items to which the blocks add from zero; or (as published) as
    whatever untrained blocks make of them."""
    adapter: int = Field(default=0, ge=0)
    """Width inside the adapters behind attention and feed-forward parts, 0 for none. --tune adapter puts them in."""
    mask_token: bool = False
    """Whether there is a learned vector that stands for a hidden item. The masked objective needs it, nothing else does."""


class TransformerUserEncoder(UserEncoder):
    """Learned absolute positions, then transformer blocks (TransRec, arXiv 2206.06190; Vaswani et al. 2017).

    With ``attention="bidirectional"``, ``norm="post"``, ``start="fresh"``, 4 layers and a feed-forward width of 128 this is
    the published user encoder; its state at the last real position is the user vector.

    With ``start="similar"`` the state at position l is, for what the blocks make of it x_l and item vectors e_i::

        u_l = sum_{i <= l} softmax_i(w_{l - i}) e_i  +  g x_l

    where the learned w_k begin as -k/2, so that the newest item counts most, and the learned gate g begins at zero: an
    untrained user is near to what is like his latest items, and training starts from there.

    Args:
        width: D.
        settings: the rest.

    Raises:
        SettingsError: the heads do not divide the width.
    """

    gives: UserKind = "states"

    def __init__(self, width: int, settings: UserSettings) -> None:
        super().__init__()
        if width % settings.heads:
            raise SettingsError(
                f"{settings.heads} heads do not divide a width of {width}",
                where="model.users.heads",
                remedy="choose heads that divide model.items.width",
            )
        self.width = width
        self.window = settings.window
        self.causal = settings.attention == "causal"
        self.positions = nn.Embedding(settings.window, width)
        self.dropout = nn.Dropout(settings.dropout)
        self.blocks = nn.ModuleList(TransformerBlock(width, settings) for _ in range(settings.layers))
        self.final_norm = nn.LayerNorm(width) if settings.norm == "pre" else nn.Identity()
        self.apply(_initialise)
        self.recency = RecencyMean(settings.window) if settings.start == "similar" else None
        if settings.adapter:
            self.add_adapters(settings.adapter)
        if settings.mask_token:
            self.mask_token = nn.Parameter(torch.zeros(width))  # as published; its position tells it apart

    def forward(self, items_BLD: Tensor, mask_BL: Tensor) -> UserOutput:
        length = items_BLD.shape[1]
        items_BLD = items_BLD.masked_fill(~mask_BL[..., None], 0.0)
        states_BLD = self.dropout(items_BLD + self.positions.weight[:length])
        visible_BLL = mask_BL[:, None, :].expand(-1, length, -1)
        if self.causal:
            visible_BLL = visible_BLL.tril()
        # a padded slot may look at itself, so that no row of the softmax is empty; nothing reads its state
        visible_BLL = visible_BLL | torch.eye(length, dtype=torch.bool, device=mask_BL.device)
        for block in self.blocks:
            states_BLD = block(states_BLD, visible_BLL)
        states_BLD = self.final_norm(states_BLD)
        if self.recency is not None:
            states_BLD = self.recency(items_BLD, mask_BL, states_BLD)
        return UserOutput("states", states_BLD, mask_BL)

    def add_adapters(self, inner: int) -> None:
        for block in self.blocks:
            assert isinstance(block, TransformerBlock)
            block.attention_adapter = Adapter(self.width, inner)
            block.feedforward_adapter = Adapter(self.width, inner)


class RecencyMean(nn.Module):
    """The mean of the items up to each position, newer ones counting more, and what the blocks make of it from zero.

    Args:
        window: the longest history.
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(-FORGETTING * torch.arange(window, dtype=torch.float32))
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, items_BLD: Tensor, mask_BL: Tensor, states_BLD: Tensor) -> Tensor:
        """States that begin as the mean; padded items have to be finite, nothing reads the states there."""
        length = items_BLD.shape[1]
        places = torch.arange(length, device=items_BLD.device)
        age_LL = places[:, None] - places[None, :]
        log_weights_BLL = self.weights[age_LL.clamp(min=0)].masked_fill(age_LL < 0, -torch.inf)
        # a padded slot keeps itself, so that no row of the softmax is empty
        hidden_BLL = ~mask_BL[:, None, :] & (age_LL != 0)
        shares_BLL = log_weights_BLL.masked_fill(hidden_BLL, -torch.inf).softmax(dim=-1)
        return shares_BLL.to(items_BLD.dtype) @ items_BLD + self.gate * states_BLD


class TransformerBlock(nn.Module):
    """Self-attention and a feed-forward part with GELU, each with a residual sum and a layer norm."""

    def __init__(self, width: int, settings: UserSettings) -> None:
        super().__init__()
        self.heads = settings.heads
        self.pre_norm = settings.norm == "pre"
        self.dropout_share = settings.dropout
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.expand = nn.Linear(width, settings.feedforward)
        self.contract = nn.Linear(settings.feedforward, width)
        self.attention_norm = nn.LayerNorm(width)
        self.feedforward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(settings.dropout)
        self.attention_adapter: nn.Module = nn.Identity()
        self.feedforward_adapter: nn.Module = nn.Identity()

    def forward(self, states_BLD: Tensor, visible_BLL: Tensor) -> Tensor:
        """One block; ``visible_BLL`` says which position (last axis) each position may look at."""
        if self.pre_norm:
            states_BLD = states_BLD + self._attend(self.attention_norm(states_BLD), visible_BLL)
            return states_BLD + self._feed_forward(self.feedforward_norm(states_BLD))
        states_BLD = self.attention_norm(states_BLD + self._attend(states_BLD, visible_BLL))
        normed_BLD: Tensor = self.feedforward_norm(states_BLD + self._feed_forward(states_BLD))
        return normed_BLD

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


def _initialise(module: nn.Module) -> None:
    """Normal with deviation 0.02 for linear maps and positions, zero biases, as published."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
