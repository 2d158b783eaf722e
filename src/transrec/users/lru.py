"""Linear recurrent units over a history: a memory for every number that is turned and shrunk with each item.

Axes: B users, L history length, D width, H states of the recurrence.
"""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transrec.errors import SettingsError
from transrec.nesting import Nesting
from transrec.users.adapter import Adapter
from transrec.users.attention import initialise, new_mask_token
from transrec.users.encoder import UserEncoder
from transrec.users.recency import RecencyMean
from transrec.users.settings import UserSettings
from transrec.views import UserKind, UserOutput

RING = 0.1
"""How broad the ring is on which eigenvalues begin, as published."""


@final
class LRUUserEncoder(UserEncoder):
    """Blocks of a linear recurrence and a gated feed-forward part, as in fMRLRec (arXiv 2409.16627) and LRURec.

    Each block is ``X + dropout(LRU(norm(X)))``, then ``X + dropout(W2(SiLU(Wg n) * dropout(W1 n)))`` with n the norm of X;
    see :class:`LinearRecurrence`. A recurrence knows the order of items, so there is no table of positions. Everything is
    nested where widths are. With ``start="similar"`` a :class:`~transrec.users.recency.RecencyMean` stands around the
    blocks; behind them there is a norm, as in the other encoders, which the published code has not.

    Args:
        width: D.
        settings: the rest; ``heads`` is not read.
        nesting: the widths that states can be cut to.

    Raises:
        SettingsError: it is to look at later items, the norm is not before the block, or an inner width cannot be cut.
    """

    gives: UserKind = "states"
    causal = True

    def __init__(self, width: int, settings: UserSettings, nesting: Nesting | None = None) -> None:
        super().__init__()
        if settings.attention != "causal":
            raise SettingsError(
                "a recurrence sees earlier items only",
                where="model.users.attention",
                remedy="leave model.users.attention at causal, or choose the kind transformer",
            )
        if settings.norm != "pre":
            raise SettingsError(
                "a recurrent block has its norms before its parts",
                where="model.users.norm",
                remedy="leave model.users.norm at pre, or choose the kind transformer",
            )
        self.nesting = nesting or Nesting.of(width)
        self.width, self.nested = width, self.nesting.nested
        self.window = settings.window
        self.dropout = nn.Dropout(settings.dropout)
        self.blocks = nn.ModuleList(LRUBlock(settings, self.nesting) for _ in range(settings.layers))
        self.final_norm = self.nesting.norm(width)
        self.apply(initialise)
        self.recency = RecencyMean(settings.window) if settings.start == "similar" else None
        if settings.adapter:
            self.add_adapters(settings.adapter)
        if settings.mask_token:
            self.mask_token = new_mask_token(width)

    def forward(self, items_BLD: Tensor, mask_BL: Tensor) -> UserOutput:
        items_BLD = items_BLD.masked_fill(~mask_BL[..., None], 0.0)
        states_BLD = self.dropout(items_BLD)
        for block in self.blocks:
            states_BLD = block(states_BLD)
        states_BLD = self.final_norm(states_BLD)
        if self.recency is not None:
            states_BLD = self.recency(items_BLD, mask_BL, states_BLD)
        return UserOutput("states", states_BLD, mask_BL)

    def add_adapters(self, inner: int) -> None:
        for block in self.blocks:
            assert isinstance(block, LRUBlock)
            block.recurrence_adapter = Adapter(self.width, inner, self.nesting)
            block.feedforward_adapter = Adapter(self.width, inner, self.nesting)


@final
class LRUBlock(nn.Module):
    """A linear recurrence and a gated feed-forward part, each behind a norm and with a residual sum."""

    def __init__(self, settings: UserSettings, nesting: Nesting) -> None:
        super().__init__()
        width, inner, where = nesting.width, settings.feedforward, "model.users.feedforward"
        self.recurrence_norm = nesting.norm(width)
        self.recurrence = LinearRecurrence(
            nesting, states=settings.lru.states, ring=settings.lru.ring, window=settings.window
        )
        self.feedforward_norm = nesting.norm(width)
        self.gate = nesting.linear(width, inner, where=where)
        self.expand = nesting.linear(width, inner, where=where)
        self.contract = nesting.linear(inner, width, where=where)
        self.dropout = nn.Dropout(settings.dropout)
        self.recurrence_adapter: nn.Module = nn.Identity()
        self.feedforward_adapter: nn.Module = nn.Identity()

    def forward(self, states_BLD: Tensor) -> Tensor:
        """One block."""
        remembered_BLD = self.dropout(self.recurrence(self.recurrence_norm(states_BLD)))
        states_BLD = states_BLD + self.recurrence_adapter(remembered_BLD)
        normed_BLD = self.feedforward_norm(states_BLD)
        gated_BLX = F.silu(self.gate(normed_BLD)) * self.dropout(self.expand(normed_BLD))
        adapted_BLD: Tensor = states_BLD + self.feedforward_adapter(self.dropout(self.contract(gated_BLX)))
        return adapted_BLD


@final
class LinearRecurrence(nn.Module):
    """A diagonal linear recurrence (LRU, Orvieto et al. 2023, arXiv 2303.06349).

    For inputs x_l::

        h_l = Lambda h_(l-1) + gamma B x_l        y_l = Re(C h_l)

    with complex B and C, Lambda = exp(-exp(nu) + i exp(theta)) on the diagonal, so that no eigenvalue leaves the unit
    circle, and gamma, learned from ``sqrt(1 - |Lambda|^2)`` on, with which states begin of one size. Moduli begin on a
    ring, uniform by area, angles anywhere.

    All states are found together, in log2 of the window steps: h_l, the sum over 2^i items, adds Lambda^(2^i) times that of
    the 2^i items before (Hillis and Steele 1986). Real and imaginary parts are kept apart: complex numbers can neither be
    rounded to bfloat16 nor be exported. Padding is on the right, behind all that is read.

    Args:
        nesting: D, and the widths that it can be cut to.
        states: H / D.
        ring: the radius from which on moduli begin.
        window: the longest history.
    """

    def __init__(self, nesting: Nesting, *, states: int, ring: float, window: int) -> None:
        super().__init__()
        width, inner = nesting.width, states * nesting.width
        self.steps = math.ceil(math.log2(window)) if window > 1 else 0
        squares_H = ring**2 + torch.rand(inner) * ((ring + RING) ** 2 - ring**2)
        modulus_H = squares_H.clamp(min=1e-12).sqrt()
        self.log_decay = nn.Parameter((-modulus_H.log()).log())
        self.log_angle = nn.Parameter((2 * math.pi * torch.rand(inner)).clamp(min=1e-6).log())
        self.log_gain = nn.Parameter((1 - modulus_H.square()).sqrt().log())
        self.enter = nesting.linear(width, 2 * inner, bias=False, parts=2)
        self.leave_real = nesting.linear(inner, width, bias=False)
        self.leave_imaginary = nesting.linear(inner, width, bias=False)

    def forward(self, inputs_BLD: Tensor) -> Tensor:
        """What every position makes of itself and those before it, (B, L, D)."""
        real_BLH, imaginary_BLH = (self.log_gain.exp() * part for part in self.enter(inputs_BLD).chunk(2, dim=-1))
        decay_H, angle_H = self.log_decay.exp(), self.log_angle.exp()
        for step in range(self.steps):
            # Lambda to the power of how far back this step looks
            apart = 2**step
            modulus_H = (-apart * decay_H).exp()
            cosine_H, sine_H = modulus_H * (apart * angle_H).cos(), modulus_H * (apart * angle_H).sin()
            back_real, back_imaginary = _earlier(real_BLH, apart), _earlier(imaginary_BLH, apart)
            real_BLH = real_BLH + cosine_H * back_real - sine_H * back_imaginary
            imaginary_BLH = imaginary_BLH + sine_H * back_real + cosine_H * back_imaginary
        left_BLD: Tensor = self.leave_real(real_BLH) - self.leave_imaginary(imaginary_BLH)
        return left_BLD


def _earlier(states_BLH: Tensor, apart: int) -> Tensor:
    """What stands so many positions before each, zeros where there is nothing."""
    # also where L is smaller: how often this is done depends on the window alone, so a graph of it holds for every length
    return F.pad(states_BLH, (0, 0, apart, 0))[:, : states_BLH.shape[1]]
