"""An objective of your own: Bayesian personalised ranking, each next item against drawn ones (Rendle et al. 2009).

    PYTHONPATH=examples transrec train DATA --out RUN --model.prior none \\
      --objective.kind custom --objective.custom custom_objective:PairwiseRanking --objective.custom-options.negatives 8
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F

from transrec.data.batches import SequenceBatch
from transrec.data.windows import WindowPlan
from transrec.model import Outputs, TransRec
from transrec.objectives.objective import Loss, Objective, require_logits


class PairwiseRanking(Objective):
    """``L = -mean log sigma(s(u, i) - s(u, j))``, i the next item and j each of K that are drawn for the user."""

    def __init__(self, negatives: int, *, window: int) -> None:
        super().__init__()
        self.plan = WindowPlan("following", length=window, horizon=1, negatives=negatives)

    @classmethod
    def from_options(cls, options: Mapping[str, str], model: TransRec) -> PairwiseRanking:
        return cls(int(options.get("negatives", "5")), window=model.window)

    def check(self, model: TransRec) -> None:
        require_logits(model, "pairwise ranking")

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        users_B, items_UD = outputs.users.scored, outputs.items.read_by(model.scorer)
        next_B1 = model.scorer.paired(users_B, items_UD[batch.targets_BT])
        drawn_BK = model.scorer.paired(users_B, items_UD[batch.negatives_BK])
        loss = -F.logsigmoid(next_B1 - drawn_BK).mean()
        return Loss(loss, {"pairwise": loss.detach(), "right": (next_B1 > drawn_BK).float().mean()})
