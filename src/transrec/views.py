"""The values that pass between the towers, the scorer and the objectives.

Tensor names carry their axes: B users in the batch, L history length, U distinct items in the batch, D width,
K interests, T interests that users share, M views, W width of what is kept of an item: D, or (1 + M) D with its views.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

UserKind = Literal["states", "interests"]


class Reader(Protocol):
    """A part that reads items: a scorer or a user encoder.

    Attributes:
        reads_views: whether it is given :attr:`ItemViews.side_by_side`, and not the vectors alone.
    """

    reads_views: bool


@dataclass(frozen=True, slots=True, eq=False)
class ItemViews:
    """What the item tower makes of some items.

    Attributes:
        views: by modality, a vector for each item, (U, D); zero where the item lacks the modality.
        present: by modality, which items have it, bool of shape (U,).
        fused_UD: the views as one vector for each item.
    """

    views: Mapping[str, Tensor]
    present: Mapping[str, Tensor]
    fused_UD: Tensor

    def read_by(self, *readers: Reader) -> Tensor:
        """What these parts need of the items, (U, W): their vectors, with their views behind them if one reads views."""
        return self.side_by_side if any(reader.reads_views for reader in readers) else self.fused_UD

    @property
    def side_by_side(self) -> Tensor:
        """Each item's vector and behind it its views, brought to length 1, (U, (1 + M) D).

        A view that is absent is exactly zero, and one that is zero (an id without events) has nothing to say either:
        presence need not be kept besides.
        """
        units = [
            torch.where(self.present[name][:, None], F.normalize(view_UD, dim=-1), 0.0)
            for name, view_UD in self.views.items()
        ]
        return torch.cat([self.fused_UD, *units], dim=-1)


@dataclass(frozen=True, slots=True, eq=False)
class SharedInterests:
    """What some histories are read in the light of: interests that their items share with those of others.

    Attributes:
        vectors_BTD: the T interests of each user.
        mask_BT: which of them there are, bool; the real ones come first.
        since_BT: the first slot of the history that shows it.
    """

    vectors_BTD: Tensor
    mask_BT: Tensor
    since_BT: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class UserOutput:
    """What the user tower makes of some histories.

    Attributes:
        kind: ``"states"``: a vector at every position, (B, L, D); ``"interests"``: several vectors, of a history,
            (B, K, D), or of an encoder that is causal of the history up to every position, (B, L, K, D).
        vectors: of the shape that the kind says.
        mask_BL: which positions hold an item, bool.
        real: of interests, which a user has, bool, of the shape of the vectors without D; the first always. The others are
            copies of the first, which change no maximum. None: all of them.
    """

    kind: UserKind
    vectors: Tensor
    mask_BL: Tensor
    real: Tensor | None = None

    @property
    def everywhere(self) -> bool:
        """Whether there is something at every position."""
        return self.kind == "states" or self.vectors.dim() == 4

    @property
    def scored(self) -> Tensor:
        """What a scorer takes: the state at the last item, (B, D), or the interests there, (B, K, D)."""
        return self._last(self.vectors) if self.everywhere else self.vectors

    @property
    def last_BD(self) -> Tensor:
        """The state at the last real position of each user, (B, D); zeros for an empty history."""
        return self._last(self.vectors)

    def _last(self, vectors: Tensor) -> Tensor:
        lengths_B = self.mask_BL.sum(dim=1)
        behind = (1,) * (vectors.dim() - 2)
        index = (lengths_B - 1).clamp(min=0).view(-1, 1, *behind).expand(-1, 1, *vectors.shape[2:])
        last = vectors.gather(1, index).squeeze(1)
        return last * (lengths_B > 0).to(last.dtype).view(-1, *behind)
