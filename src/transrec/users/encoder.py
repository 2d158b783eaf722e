"""UserEncoder: the contract between a history of item vectors and a user."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from transrec.views import UserKind, UserOutput


class UserEncoder(nn.Module, ABC):
    """Turns item vectors in order, oldest first and padded on the right, into states or interests.

    Attributes:
        gives: which kind of output it has.
        causal: whether the state at a position depends on that position and earlier ones only. Only then can every position
            learn to predict the next item; otherwise it would see what it has to predict.
        window: the longest history that it reads.
        width: D of what it takes and gives.
    """

    gives: UserKind
    causal: bool
    window: int
    width: int

    @abstractmethod
    def forward(self, items_BLD: Tensor, mask_BL: Tensor) -> UserOutput:
        """Encode histories.

        Args:
            items_BLD: item vectors, oldest first; what stands in padded slots has no influence.
            mask_BL: which slots hold an item, bool; the real ones come first.
        """
