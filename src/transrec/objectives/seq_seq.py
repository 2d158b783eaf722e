"""Sequence to sequence: a user is nearer to a history of his own with gaps than to those of others; a term of MISSRec.

Axes: B users, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field

from transrec.data.augmenting import AugmentSettings
from transrec.data.batches import SequenceBatch
from transrec.data.windows import WindowPlan
from transrec.errors import ModelError
from transrec.model import Outputs, TransRec
from transrec.objectives.objective import Loss, Objective
from transrec.objectives.reading import check_views, read_view
from transrec.settings import Settings


class SeqSeqSettings(Settings):
    """The contrast of sequences."""

    temperature: float = Field(default=0.07, gt=0)
    """What cosines are divided by, as published."""
    views: AugmentSettings = AugmentSettings(drop=0.2, permute=0.0, mask=0.0)
    """What the other view of a history is; published is that items are left out with the probability 0.2."""


class SeqSeqContrast(Objective):
    """The state of a history finds that of its own augmented view among those of the batch.

    From MISSRec (arXiv 2308.11175), for the state u_b of a history and u'_b of an augmented view of it, as a term beside an
    objective, with the published weight 0.001::

        L = -1/B sum_b log  exp(cos(u_b, u'_b) / tau) / sum_c exp(cos(u_b, u'_c) / tau)

    The first item stays in the published code, and a tenth of the histories are changed in their texts instead; here any
    item may be left out, and texts stay as they are. Two windows of one user count as two users.

    Args:
        settings: see there.
        window: the longest history.
    """

    def __init__(self, settings: SeqSeqSettings, *, window: int) -> None:
        super().__init__()
        self.settings = settings
        self.teaches_ranking = False
        self.plan = WindowPlan("none", length=window, views=settings.views)

    def check(self, model: TransRec) -> None:
        if model.users.gives != "states":
            raise ModelError(f"the contrast of sequences needs states, the user encoder gives {model.users.gives}")
        check_views(model, self.settings.views, where="objective.seq_seq.views")

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        assert batch.views_2BL is not None, "the plan has views"
        own_BD = F.normalize(outputs.users.last_BD, dim=-1)
        others_BD = F.normalize(read_view(model, outputs, batch, batch.views_2BL[0]).last_BD, dim=-1)
        logits_BB = (own_BD @ others_BD.T).float() / self.settings.temperature
        places_B = torch.arange(len(logits_BB), device=logits_BB.device)
        loss = F.cross_entropy(logits_BB, places_B)
        hits = (logits_BB.detach().argmax(dim=1) == places_B).float().mean()
        return Loss(loss, {"seq_seq": loss.detach(), "seq_seq_hit@1": hits})
