"""The values that pass between the towers, the scorer and the objectives.

Tensor names carry their axes: B users in the batch, L history length, U distinct items in the batch, D width,
K interests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

UserKind = Literal["states", "interests"]


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


@dataclass(frozen=True, slots=True, eq=False)
class UserOutput:
    """What the user tower makes of some histories.

    Attributes:
        kind: ``"states"``: a vector at every position, (B, L, D); ``"interests"``: several vectors a user, (B, K, D).
        vectors: of the shape that the kind says.
        mask_BL: which positions hold an item, bool.
        real_BK: of interests, which a user has, bool, the first always; the others are copies of the first, which change no
            maximum. None: all of them.
    """

    kind: UserKind
    vectors: Tensor
    mask_BL: Tensor
    real_BK: Tensor | None = None

    @property
    def scored(self) -> Tensor:
        """What a scorer takes: the state at the last item, (B, D), or the interests, (B, K, D)."""
        return self.last_BD if self.kind == "states" else self.vectors

    @property
    def last_BD(self) -> Tensor:
        """The state at the last real position of each user, (B, D); zeros for an empty history."""
        lengths_B = self.mask_BL.sum(dim=1)
        index_B11 = (lengths_B - 1).clamp(min=0)[:, None, None].expand(-1, 1, self.vectors.shape[-1])
        last_BD = self.vectors.gather(1, index_B11).squeeze(1)
        return last_BD * (lengths_B > 0).to(last_BD.dtype)[:, None]
