"""Orthogonality: the interests of a user should not all point one way; a term of MISSRec.

Axes: B users, T interests of a user, D width.
"""

from __future__ import annotations

from torch import Tensor

from transrec.data.batches import SequenceBatch
from transrec.data.windows import WindowPlan
from transrec.errors import ModelError
from transrec.model import Outputs, TransRec
from transrec.objectives.objective import Loss, Objective


class InterestOrthogonality(Objective):
    """What the encoded interests of a user add up to is made small.

    From the code of MISSRec (arXiv 2308.11175), for the encoded interests z_bt of a user, t over those that there are, as a
    term beside an objective, with the published weight 0.0001; see :func:`orthogonality`.

    Args:
        window: the longest history.
    """

    def __init__(self, *, window: int) -> None:
        super().__init__()
        self.teaches_ranking = False
        self.plan = WindowPlan("none", length=window)

    def check(self, model: TransRec) -> None:
        if not model.users.discovers:
            raise ModelError(
                f"orthogonality is asked of interests that users share, and {type(model.users).__name__} has none",
                where="objective.added.orthogonality",
                remedy="set model.users.kind to missrec, or the weight to 0",
            )

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        items_BLW = outputs.items.read_by(model.users)[batch.history_BL]
        interests = model.users.interests(items_BLW, batch.mask_BL)
        loss = orthogonality(interests.vectors_BTD, interests.mask_BT)
        return Loss(loss, {"orthogonality": loss.detach()})


def orthogonality(vectors_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """``mean_b || m_b sum_t z_bt ||^2 / D``, m_b being the share of the T places that hold an interest; a scalar.

    Of vectors of equal length it is least where they cancel, and for orthogonal ones smaller than for equal ones. The
    published code sums padded places, too.
    """
    share_B1 = mask_BT.to(vectors_BTD.dtype).mean(dim=1, keepdim=True)
    sums_BD = vectors_BTD.masked_fill(~mask_BT[..., None], 0.0).sum(dim=1)
    return (share_B1 * sums_BD).square().sum(dim=1).mean() / vectors_BTD.shape[-1]
