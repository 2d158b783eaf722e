"""Fusion: from the views of an item to one vector; a view that is absent contributes nothing at all.

Axes: U items, D width, M views, b blocks of nested widths.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from transrec.nesting import Nesting

FusionKind = Literal["mean", "gated", "concat"]


class Fusion(nn.Module, ABC):
    """Makes one vector of the views of each item."""

    @abstractmethod
    def forward(self, views: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Fuse.

        Args:
            views: by modality, (U, D); whatever stands where a view is absent is never read.
            present: by modality, bool (U,).

        Returns:
            (U, D); zeros for an item without any view.
        """


class MeanFusion(Fusion):
    """The mean of the views that are present; an item with one view is that view, as in the paper."""

    def forward(self, views: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        views_MUD, present_MU = _stacked(views, present)
        return views_MUD.sum(dim=0) / present_MU.sum(dim=0).clamp(min=1)[:, None].to(views_MUD.dtype)


class GatedFusion(Fusion):
    """A weighted sum, the weights a softmax over the present views of one learned linear score a view.

    The scores start at zero, so it starts as the mean. Where widths are nested, every block has weights of its own, read
    from the numbers up to it.

    Args:
        names: of the views.
        nesting: the widths that vectors can be cut to.
    """

    def __init__(self, names: Sequence[str], nesting: Nesting) -> None:
        super().__init__()
        self.nesting = nesting
        self.gates = nn.ModuleDict({name: nesting.gate() for name in names})
        for parameter in self.gates.parameters():
            nn.init.zeros_(parameter)

    def forward(self, views: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        views_MUD, present_MU = _stacked(views, present)
        scores_MUb = torch.stack([self.gates[name](view_UD) for name, view_UD in zip(views, views_MUD, strict=True)])
        # an item without any view has nothing to take a softmax over; its weights are zeroed below
        hidden_MU = ~present_MU & present_MU.any(dim=0)
        weights_MUb = scores_MUb.masked_fill(hidden_MU[..., None], -math.inf).softmax(dim=0) * present_MU[..., None]
        return (self.nesting.spread(weights_MUb) * views_MUD).sum(dim=0)


class ConcatFusion(Fusion):
    """The views side by side, projected to D; the same as the sum of one linear map a view.

    Without a bias, so that an absent view adds exactly nothing.

    Args:
        names: of the views.
        nesting: the widths that vectors can be cut to.
    """

    def __init__(self, names: Sequence[str], nesting: Nesting) -> None:
        super().__init__()
        width = nesting.width
        self.maps = nn.ModuleDict({name: nesting.linear(width, width, bias=False) for name in names})

    def forward(self, views: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        views_MUD, _ = _stacked(views, present)
        return torch.stack([self.maps[name](view_UD) for name, view_UD in zip(views, views_MUD, strict=True)]).sum(dim=0)


def build_fusion(kind: FusionKind, names: Sequence[str], width: int, nesting: Nesting | None = None) -> Fusion:
    """The fusion of this name for these views; their vectors can be cut to the widths of ``nesting``."""
    if kind == "mean":
        return MeanFusion()
    nesting = nesting or Nesting.of(width)
    return GatedFusion(names, nesting) if kind == "gated" else ConcatFusion(names, nesting)


def drop_views(present: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Modality dropout: an item with several views loses one of them, at random, with this probability.

    Draws from torch's own generator, as dropout does.

    Args:
        present: by modality, bool (U,).
        share: the probability.

    Returns:
        the masks with the lost views taken out; no item loses its last one.
    """
    present_MU = torch.stack(list(present.values()))
    draws_MU = torch.rand(present_MU.shape, device=present_MU.device).masked_fill(~present_MU, -1.0)
    chosen_MU = nn.functional.one_hot(draws_MU.argmax(dim=0), len(present)).T.bool()
    loses_U = (torch.rand(present_MU.shape[1], device=present_MU.device) < share) & (present_MU.sum(dim=0) > 1)
    return dict(zip(present, present_MU & ~(chosen_MU & loses_U), strict=True))


def _stacked(views: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Views (M, U, D) with zeros where absent, and their masks (M, U)."""
    # multiplying by zero would let a NaN through
    cleaned = [torch.where(present[name][:, None], view_UD, 0.0) for name, view_UD in views.items()]
    return torch.stack(cleaned), torch.stack([present[name] for name in views])
