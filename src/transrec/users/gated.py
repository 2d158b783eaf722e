"""Gated pointwise attention over a history, with biases for how far apart two events are, in places and in time.

Axes: B users, L history length, D width, H heads, d width of a head.
"""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transrec.data.times import UNKNOWN_TIME
from transrec.errors import SettingsError
from transrec.nesting import Nesting
from transrec.users.adapter import Adapter
from transrec.users.attention import initialise, new_mask_token, require_heads, visible_slots
from transrec.users.encoder import UserEncoder
from transrec.users.recency import RecencyMean
from transrec.users.settings import UserSettings
from transrec.views import UserKind, UserOutput

DOUBLINGS = 31
"""So many powers of two of seconds, from one second to 2^30 (34 years), part the times between two events."""
UNKNOWN_BUCKET = DOUBLINGS + 1
"""The bucket of pairs of which one time is not known; those of known ones are below it."""


def time_buckets(times_BL: Tensor) -> Tensor:
    """Which bucket the time between each two events falls into, int64 of shape (B, L, L).

    Bucket 0 is the same second, bucket k from 1 to 30 is from 2^(k-1) to below 2^k seconds, bucket 31 is 2^30 seconds or
    more, whichever of the two came first, and bucket 32 is unknown. Because they are logarithms of seconds they mean the
    same on platforms where people come every minute and every year.

    Args:
        times_BL: whole seconds, int64, :data:`~transrec.data.times.UNKNOWN_TIME` where that is not known.
    """
    edges = 2 ** torch.arange(DOUBLINGS, device=times_BL.device)
    apart_BLL = (times_BL[:, :, None] - times_BL[:, None, :]).abs()
    unknown_BL = times_BL == UNKNOWN_TIME
    unknown_BLL = unknown_BL[:, :, None] | unknown_BL[:, None, :]
    return torch.bucketize(apart_BLL, edges, right=True).masked_fill(unknown_BLL, UNKNOWN_BUCKET)


@final
class GatedUserEncoder(UserEncoder):
    """Blocks of gated pointwise attention, as in HSTU (Zhai et al. 2024, arXiv 2402.17152, section 3).

    See :class:`GatedBlock` for the equations. Positions are relative only, so there is no table of them. With
    ``start="similar"`` a :class:`~transrec.users.recency.RecencyMean` stands around the blocks.

    The time between two events is a bias of attention, learned for each block and head by :func:`time_buckets`. It is the
    time between two events of the history. (HSTU's released code takes for the one of them the time of the event that is
    to be predicted, which nobody knows when a model is served.) Histories without times have a bias of their own, the one
    of the unknown bucket. So that it is learned, and the states fit it, training shows a share of the histories without
    their times.

    Args:
        width: D.
        settings: the rest; ``feedforward`` is not read.
        nesting: the widths that states can be cut to; whole heads lie in blocks, and so do the gates.

    Raises:
        SettingsError: the heads do not divide the width, a nested width ends inside one, or the norm is not before the
            block.
    """

    gives: UserKind = "states"

    def __init__(self, width: int, settings: UserSettings, nesting: Nesting | None = None) -> None:
        super().__init__()
        self.nesting = nesting or Nesting.of(width)
        require_heads(settings.heads, width, self.nesting)
        if settings.norm != "pre":
            raise SettingsError(
                "a gated block has its norm before it, and nothing behind its residual sum",
                where="model.users.norm",
                remedy="leave model.users.norm at pre, or choose the kind transformer",
            )
        self.width, self.nested = width, self.nesting.nested
        self.window = settings.window
        self.causal = settings.attention == "causal"
        self.reads_times = settings.gated.time_bias
        self.untimed = settings.gated.untimed
        self.dropout = nn.Dropout(settings.dropout)
        self.blocks = nn.ModuleList(GatedBlock(settings, self.nesting) for _ in range(settings.layers))
        self.final_norm = self.nesting.norm(width)
        self.apply(initialise)
        self.recency = RecencyMean(settings.window) if settings.start == "similar" else None
        if settings.adapter:
            self.add_adapters(settings.adapter)
        if settings.mask_token:
            self.mask_token = new_mask_token(width)

    def forward(self, items_BLD: Tensor, mask_BL: Tensor, times_BL: Tensor | None = None) -> UserOutput:
        items_BLD = items_BLD.masked_fill(~mask_BL[..., None], 0.0)
        visible_BLL = visible_slots(mask_BL, causal=self.causal)
        buckets_BLL = self._buckets(mask_BL, times_BL) if self.reads_times else None
        states_BLD = self.dropout(items_BLD)
        for block in self.blocks:
            states_BLD = block(states_BLD, visible_BLL, buckets_BLL)
        states_BLD = self.final_norm(states_BLD)
        if self.recency is not None:
            states_BLD = self.recency(items_BLD, mask_BL, states_BLD)
        return UserOutput("states", states_BLD, mask_BL)

    def add_adapters(self, inner: int) -> None:
        for block in self.blocks:
            assert isinstance(block, GatedBlock)
            block.attention_adapter = Adapter(self.width, inner, self.nesting)

    def _buckets(self, mask_BL: Tensor, times_BL: Tensor | None) -> Tensor:
        """The bucket of each two slots, (B, L, L), or of all of them, (1, 1, 1)."""
        if times_BL is None:
            return torch.full((1, 1, 1), UNKNOWN_BUCKET, device=mask_BL.device)
        if self.training and self.untimed:
            # drawn as dropout is, from the state that the trainer sets at every step
            untimed_B = torch.rand(len(times_BL), device=mask_BL.device) < self.untimed
            times_BL = times_BL.masked_fill(untimed_B[:, None], UNKNOWN_TIME)
        return time_buckets(times_BL)


@final
class GatedBlock(nn.Module):
    """One block: pointwise attention, a gate in place of a feed-forward part, and a residual sum.

    For states X of which position i sees the n_i positions V_i::

        U, V, Q, K = split(SiLU(f1(norm(X))))
        A_ij = SiLU(q_i . k_j + p_{i-j} + t_{b(i,j)}) / n_i  for j in V_i, else 0
        Y = f2(norm(A V) * U)
        X + dropout(Y)

    where f1 and f2 are linear, A is formed for each head, and p and t are learned for each head: p by how many places apart
    i and j are, t by the bucket b of the time between them.

    HSTU's released code divides by the longest length that is read, one number for all, instead of n_i. With n_i, short and
    long histories have weights of one size, and nothing depends on the window or on how far a batch is padded. The norm over
    A V takes the scale of each position out again, as far as its epsilon is small beside it, so the normaliser decides
    little. As published, q . k is not scaled by the width of a head, and epsilon is 1e-6.

    Args:
        settings: of the user encoder.
        nesting: the width, and those that it can be cut to.
    """

    def __init__(self, settings: UserSettings, nesting: Nesting) -> None:
        super().__init__()
        width = nesting.width
        self.heads = settings.heads
        self.first_place = 0 if settings.attention == "causal" else settings.window - 1
        self.norm = nesting.norm(width, eps=1e-6)
        self.expand = nesting.linear(width, 4 * width, parts=4)
        self.position_bias = nn.Embedding(settings.window + self.first_place, settings.heads)
        self.time_bias = nn.Embedding(UNKNOWN_BUCKET + 1, settings.heads) if settings.gated.time_bias else None
        self.attended_norm = nesting.norm(width, eps=1e-6)
        self.contract = nesting.linear(width, width)
        self.dropout = nn.Dropout(settings.dropout)
        self.attention_adapter: nn.Module = nn.Identity()

    def forward(self, states_BLD: Tensor, visible_BLL: Tensor, buckets_BLL: Tensor | None) -> Tensor:
        """One block.

        Args:
            states_BLD: X.
            visible_BLL: which position (last axis) each position may look at.
            buckets_BLL: of the time between two positions; may have one user and one position for all. None without a
                bias for time.
        """
        batch, length, width = states_BLD.shape
        gate_BLD, *parts = F.silu(self.expand(self.norm(states_BLD))).chunk(4, dim=-1)
        value_BHLd, query_BHLd, key_BHLd = (
            part.view(batch, length, self.heads, width // self.heads).transpose(1, 2) for part in parts
        )
        scores_BHLL = query_BHLd @ key_BHLd.mT + self._place_bias(length)
        if self.time_bias is not None and buckets_BLL is not None:
            scores_BHLL = scores_BHLL + self.time_bias(buckets_BLL).permute(0, 3, 1, 2)
        seen_BL1 = visible_BLL.sum(dim=-1, keepdim=True)
        weights_BHLL = (F.silu(scores_BHLL) / seen_BL1[:, None]).masked_fill(~visible_BLL[:, None], 0.0)
        attended_BLD = (weights_BHLL @ value_BHLd).transpose(1, 2).reshape(batch, length, width)
        gated_BLD = self.dropout(self.contract(self.attended_norm(attended_BLD) * gate_BLD))
        adapted_BLD: Tensor = states_BLD + self.attention_adapter(gated_BLD)
        return adapted_BLD

    def _place_bias(self, length: int) -> Tensor:
        """The bias for how many places apart two positions are, (H, L, L)."""
        places = torch.arange(length, device=self.position_bias.weight.device)
        apart_LL = places[:, None] - places[None, :] + self.first_place
        # later positions, which a causal encoder does not see, have none
        bias_LLH: Tensor = self.position_bias(apart_LL.clamp(min=0))
        return bias_LLH.permute(2, 0, 1)
