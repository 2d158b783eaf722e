"""Interests: a user encoder that reads a history in the light of what its items have in common with others'.

Axes: B users, L history length, M views of an item, D width, W = (1 + M) D, K clusters, T interests of a user, H heads.
"""

from __future__ import annotations

import math
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transrec.users.attention import initialise, require_heads, visible_slots
from transrec.users.clustering import density_peaks, kmeans, nearest
from transrec.users.encoder import UserEncoder
from transrec.users.recency import RecencyMean
from transrec.users.settings import UserSettings
from transrec.users.transformer import TransformerBlock
from transrec.views import SharedInterests, UserKind, UserOutput


@final
class MissrecUserEncoder(UserEncoder):
    """Unique interests as context, items as queries (MISSRec, arXiv 2308.11175).

    Before every epoch :meth:`attune` divides the views of all items, as the model sees them then, into clusters. The
    interests of a user are the clusters that the views of his items fall into, each once. Their centres, which get no
    gradient, pass through blocks of self-attention; then the items, with learned positions, look at each other and at them
    in turn, and the state at the last item is the user.

    The centres are buffers: they are saved and moved with the model, and every view goes to the nearest one when it is read.
    So items that come later have interests too, and no item needs a number. Before the first time there are none, and users
    are read by their items alone.

    With ``attention="bidirectional"`` this is the published encoder: every interest is seen from every position, so only the
    last position may predict. With ``"causal"``, which is not published, an interest is seen from the first item on that
    shows it, by items and by other interests; a state depends on earlier items alone, and every position can learn.

    With ``start="similar"`` a :class:`~transrec.users.recency.RecencyMean` stands around it all.

    Args:
        width: D.
        settings: the rest; ``layers`` are those that items pass (published is 1).

    Raises:
        SettingsError: the heads do not divide the width.
    """

    gives: UserKind = "states"
    reads_views = True
    attunes = True
    discovers = True
    found_anew = ("centres",)

    def __init__(self, width: int, settings: UserSettings) -> None:
        super().__init__()
        require_heads(settings.heads, width)
        self.width = width
        self.window = settings.window
        self.causal = settings.attention == "causal"
        self.settings = settings.missrec
        pre = settings.norm == "pre"
        self.positions = nn.Embedding(settings.window, width)
        self.dropout = nn.Dropout(settings.dropout)
        self.context = nn.ModuleList(TransformerBlock(width, settings) for _ in range(settings.missrec.layers))
        self.context_norm = nn.LayerNorm(width) if pre else nn.Identity()
        self.blocks = nn.ModuleList(TransformerBlock(width, settings) for _ in range(settings.layers))
        self.looks = nn.ModuleList(InterestAttention(width, settings) for _ in range(settings.layers))
        self.final_norm = nn.LayerNorm(width) if pre else nn.Identity()
        self.apply(initialise)
        self.recency = RecencyMean(settings.window) if settings.start == "similar" else None
        self.centres: Tensor
        self.register_buffer("centres", torch.zeros(0, width))
        if settings.adapter:
            self.add_adapters(settings.adapter)
        if settings.mask_token:
            self.mask_token = nn.Parameter(torch.zeros(width))

    def forward(self, items_BLD: Tensor, mask_BL: Tensor) -> UserOutput:
        """See :class:`~transrec.users.encoder.UserEncoder`; items come with their views behind them, (B, L, W)."""
        interests = self.interests(items_BLD, mask_BL)
        items_BLD = items_BLD[..., : self.width].masked_fill(~mask_BL[..., None], 0.0)
        length = items_BLD.shape[1]
        seen_BLT = interests.mask_BT[:, None, :].expand(-1, length, -1)
        if self.causal:
            seen_BLT = seen_BLT & (interests.since_BT[:, None, :] <= torch.arange(length, device=mask_BL.device)[:, None])
        states_BLD = self.dropout(items_BLD + self.positions.weight[:length])
        visible_BLL = visible_slots(mask_BL, causal=self.causal)
        for block, look in zip(self.blocks, self.looks, strict=True):
            states_BLD = block(states_BLD, visible_BLL, lambda x, look=look: look(x, interests.vectors_BTD, seen_BLT))
        states_BLD = self.final_norm(states_BLD)
        if self.recency is not None:
            states_BLD = self.recency(items_BLD, mask_BL, states_BLD)
        return UserOutput("states", states_BLD, mask_BL)

    def interests(self, items_BLW: Tensor, mask_BL: Tensor) -> SharedInterests:
        found = self.discovered(items_BLW, mask_BL)
        visible_BTT = found.mask_BT[:, None, :].expand(-1, found.mask_BT.shape[1], -1)
        if self.causal:
            visible_BTT = visible_BTT & (found.since_BT[:, None, :] <= found.since_BT[:, :, None])
        visible_BTT = visible_BTT | torch.eye(visible_BTT.shape[1], dtype=torch.bool, device=mask_BL.device)
        vectors_BTD = self.dropout(found.vectors_BTD)
        for block in self.context:
            vectors_BTD = block(vectors_BTD, visible_BTT)
        return SharedInterests(self.context_norm(vectors_BTD), found.mask_BT, found.since_BT)

    @torch.no_grad()
    def discovered(self, items_BLW: Tensor, mask_BL: Tensor) -> SharedInterests:
        """The centres that the views of histories are nearest to, each once a user, in the order in which they are shown."""
        batch, length, numbers = items_BLW.shape
        many = numbers // self.width - 1
        views_BSD = items_BLW[..., self.width :].reshape(batch, length * many, self.width).to(self.centres.dtype)
        there_BS = (views_BSD != 0).any(dim=-1) & mask_BL.repeat_interleave(many, dim=1)
        if not len(self.centres):
            nothing = there_BS[:, :1] & False
            return SharedInterests(items_BLW.new_zeros(batch, 1, self.width), nothing, nothing.long())
        units_SD = views_BSD.masked_fill(~there_BS[..., None], 0.0).flatten(0, 1)
        with torch.autocast(units_SD.device.type, enabled=False):  # the same clusters in training as when it is served
            own_BS = nearest(units_SD, self.centres).view_as(there_BS)
        earlier_BSS = (own_BS[:, :, None] == own_BS[:, None, :]) & there_BS[:, None, :]
        first_BS = there_BS & ~earlier_BSS.tril(-1).any(dim=-1)
        most = max(int(first_BS.sum(dim=1).max()), 1) if batch else 1
        order_BT = (~first_BS).int().argsort(dim=1, stable=True)[:, :most]
        mask_BT = first_BS.gather(1, order_BT)
        vectors_BTD = self.centres[own_BS.gather(1, order_BT)].masked_fill(~mask_BT[..., None], 0.0)
        return SharedInterests(vectors_BTD.to(items_BLW.dtype), mask_BT, order_BT // many)

    @torch.no_grad()
    def attune(self, items_VW: Tensor, *, generator: torch.Generator) -> None:
        views_ND = items_VW[:, self.width :].reshape(-1, self.width).to(self.centres)
        views_ND = views_ND[(views_ND != 0).any(dim=1)]
        if not len(views_ND):  # nothing to divide: users are read by their items alone
            self.centres = views_ND
            return
        count = min(max(math.ceil(self.settings.ratio * len(views_ND)), 1), len(views_ND))
        if self.settings.clusters == "kmeans":
            self.centres = kmeans(views_ND, count, generator=generator)
        else:
            self.centres = density_peaks(views_ND, count)

    def add_adapters(self, inner: int) -> None:
        for block in (*self.context, *self.blocks):
            assert isinstance(block, TransformerBlock)
            block.add_adapters(inner)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As torch does; how many centres there are is what the weights say."""
        found = state_dict.get(f"{prefix}centres")
        if isinstance(found, Tensor) and found.ndim == self.centres.ndim and found.shape[1] == self.width:
            self.centres = self.centres.new_empty(found.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


@final
class InterestAttention(nn.Module):
    """Items look at interests: attention with a residual sum and a layer norm, as the parts of a transformer block have.

    Args:
        width: D.
        settings: of the user encoder.
    """

    def __init__(self, width: int, settings: UserSettings) -> None:
        super().__init__()
        self.heads = settings.heads
        self.pre_norm = settings.norm == "pre"
        self.dropout_share = settings.dropout
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, states_BLD: Tensor, interests_BTD: Tensor, seen_BLT: Tensor) -> Tensor:
        """The states after the look; ``seen_BLT`` says which interests (last axis) each position sees, if any."""
        if self.pre_norm:
            return states_BLD + self._attend(self.norm(states_BLD), interests_BTD, seen_BLT)
        normed_BLD: Tensor = self.norm(states_BLD + self._attend(states_BLD, interests_BTD, seen_BLT))
        return normed_BLD

    def _attend(self, states_BLD: Tensor, interests_BTD: Tensor, seen_BLT: Tensor) -> Tensor:
        batch, length, width = states_BLD.shape
        form = (self.heads, width // self.heads)
        query_BHLd = self.query(states_BLD).unflatten(-1, form).transpose(1, 2)
        key_BHTd, value_BHTd = (
            part.unflatten(-1, form).transpose(1, 2) for part in self.key_value(interests_BTD).chunk(2, dim=-1)
        )
        some_BL1 = seen_BLT.any(dim=-1, keepdim=True)
        share = self.dropout_share if self.training else 0.0
        # a position that sees none looks at all, so that nothing is divided by zero, and gets nothing of it
        mixed_BHLd = F.scaled_dot_product_attention(
            query_BHLd, key_BHTd, value_BHTd, attn_mask=(seen_BLT | ~some_BL1)[:, None], dropout_p=share
        )
        looked_BLD: Tensor = self.dropout(self.output(mixed_BHLd.transpose(1, 2).reshape(batch, length, width)))
        return looked_BLD * some_BL1
