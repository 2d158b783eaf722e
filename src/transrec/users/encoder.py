"""UserEncoder: the contract between a history of item vectors and a user."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transrec.errors import ModelError
from transrec.users.settings import UserSettings
from transrec.views import SharedInterests, UserKind, UserOutput


class UserEncoder(nn.Module, ABC):
    """Turns item vectors in order, oldest first and padded on the right, into states or interests.

    Attributes:
        gives: which kind of output it has.
        causal: whether the state at a position depends on that position and earlier ones only. Only then can every position
            learn to predict the next item; otherwise it would see what it has to predict.
        window: the longest history that it reads.
        width: D of what it takes and gives.
        reads_times: whether ``forward`` takes when the events were, as a third argument. Only then do batches and histories
            carry times, and only then is it called with them.
        nested: widths that its states can be cut to, because their first numbers depend on the first numbers of items alone;
            none where there is nothing but the whole.
        reads_views: whether ``forward`` takes items as :attr:`~transrec.views.ItemViews.side_by_side`, and not as vectors.
        attunes: whether training calls :meth:`attune` before every epoch.
        found_anew: the names of its own buffers that :meth:`attune` fills; they are never copied to another platform.
        discovers: whether histories are read in the light of interests that users share, see :meth:`interests`.
        mask_token: what stands in the place of an item that an objective hides, (D,); None in encoders that never hide one.
            It is a parameter of the encoder, not of the objective, so that it is saved and moves with it.
    """

    gives: UserKind
    causal: bool
    window: int
    width: int
    reads_times: bool = False
    nested: tuple[int, ...] = ()
    reads_views: bool = False
    attunes: bool = False
    found_anew: tuple[str, ...] = ()
    discovers: bool = False
    mask_token: nn.Parameter | None

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("mask_token", None)

    @classmethod
    def from_settings(cls, width: int, settings: UserSettings) -> Self:
        """Build the encoder from settings, with fresh weights.

        An encoder that people name by its import path (``model.users.custom``) defines this; what it wants to know besides
        the settings that there are is in ``settings.custom_options``, as texts.

        Args:
            width: D of item vectors and states.
            settings: the window, and whatever else it has use for.

        Raises:
            ModelError: it does not define this, or an option cannot be used.
        """
        raise ModelError(
            f"{cls.__name__} cannot be built from settings",
            where=f"{cls.__module__}:{cls.__qualname__}",
            remedy=f"give the class a classmethod from_settings(width, settings), here {width} and {settings.kind}",
        )

    @abstractmethod
    def forward(self, items_BLD: Tensor, mask_BL: Tensor) -> UserOutput:
        """Encode histories.

        With ``reads_times`` there is a third argument, ``times_BL: Tensor | None = None``: when the events of the slots
        were, in whole seconds, int64, and :data:`~transrec.data.times.UNKNOWN_TIME` where that is not known; None where no
        time is. The time of what is to be predicted is never among them, for nobody knows it when a model is served.

        Args:
            items_BLD: item vectors, oldest first; what stands in padded slots has no influence.
            mask_BL: which slots hold an item, bool; the real ones come first.
        """

    def __call__(self, items_BLD: Tensor, mask_BL: Tensor, times_BL: Tensor | None = None) -> UserOutput:
        """:meth:`forward`, without the times for an encoder that does not read them."""
        output: UserOutput = (
            super().__call__(items_BLD, mask_BL, times_BL) if self.reads_times else super().__call__(items_BLD, mask_BL)
        )
        return output

    def hide(self, items_BLD: Tensor, hidden_BL: Tensor) -> Tensor:
        """Histories with the mask token in place of some items, for :meth:`forward`; it has no views.

        Raises:
            ModelError: this encoder has no mask token.
        """
        if self.mask_token is None:
            raise ModelError("the user encoder has no mask token", remedy="set model.users.mask_token to true")
        token = F.pad(self.mask_token.to(items_BLD.dtype), (0, items_BLD.shape[-1] - self.width))
        return torch.where(hidden_BL[..., None], token, items_BLD)

    def attune(self, items_VW: Tensor, *, generator: torch.Generator) -> None:  # noqa: ARG002
        """Look at all items as they are now, before an epoch begins; what it finds is in its buffers.

        Args:
            items_VW: what is kept of every item of all platforms, see :meth:`~transrec.views.ItemViews.read_by`.
            generator: of what is random, the same whenever this epoch begins.

        Raises:
            ModelError: this encoder does not.
        """
        raise ModelError(f"{type(self).__name__} has nothing to attune")

    def interests(self, items_BLW: Tensor, mask_BL: Tensor) -> SharedInterests:  # noqa: ARG002
        """The interests that histories are read in the light of, as they are after they have seen each other.

        Args:
            items_BLW: as :meth:`forward` takes items.
            mask_BL: which slots hold an item, bool.

        Raises:
            ModelError: this encoder has none.
        """
        raise ModelError(f"{type(self).__name__} reads histories by their items alone")

    def add_adapters(self, inner: int) -> None:
        """Put an :class:`~transrec.users.adapter.Adapter` of this inner width behind every attention and feed-forward part.

        Raises:
            ModelError: it has no place for them.
        """
        raise ModelError(
            f"{type(self).__name__} has no place for adapters of width {inner}",
            where="tune",
            remedy="choose another tuning rule, or give the class an add_adapters() method",
        )
