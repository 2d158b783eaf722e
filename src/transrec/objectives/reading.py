"""Reading views: what the user encoder makes of an augmented view of every history.

Axes: B users, L history length.
"""

from __future__ import annotations

from torch import Tensor

from transrec.data.augmenting import HIDDEN, PADDED, AugmentSettings
from transrec.data.batches import SequenceBatch
from transrec.data.times import UNKNOWN_TIME
from transrec.errors import ModelError
from transrec.model import Outputs, TransRec
from transrec.views import UserOutput


def read_view(model: TransRec, outputs: Outputs, batch: SequenceBatch, slots_BL: Tensor) -> UserOutput:
    """The output of the user encoder for one view of the histories of a batch.

    Args:
        model: its user encoder.
        outputs: with the items of the batch.
        batch: with the histories.
        slots_BL: the view, as :mod:`transrec.data.augmenting` writes it.
    """
    hidden_BL, mask_BL, places_BL = slots_BL == HIDDEN, slots_BL != PADDED, slots_BL.clamp(min=0)
    shown_BLW = outputs.items.read_by(model.users)[batch.history_BL.gather(1, places_BL)]
    if model.users.mask_token is not None:
        shown_BLW = model.users.hide(shown_BLW, hidden_BL)
    times_BL = None
    if batch.times_BL is not None:
        # when a hidden item was is hidden with it
        times_BL = batch.times_BL.gather(1, places_BL).masked_fill(hidden_BL | ~mask_BL, UNKNOWN_TIME)
    return model.users(shown_BLW, mask_BL, times_BL)


def check_views(model: TransRec, views: AugmentSettings, *, where: str) -> None:
    """Say so when a user encoder cannot read such views.

    Raises:
        ModelError: they hide items, and it has nothing to put in their place.
    """
    if views.hides and model.users.mask_token is None:
        raise ModelError(
            "views hide items, but the user encoder has no vector to put in their place",
            remedy=f"set model.users.mask_token to true, or {where}.mask and .segment_mask to 0 and "
            ".crop, .drop or .permute to a share",
        )
