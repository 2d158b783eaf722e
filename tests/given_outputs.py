"""What a model gives and a batch of targets, made up: objectives are held against their equations with them."""

from __future__ import annotations

import torch
from torch import nn

from transrec.data.batches import ItemBatch, SequenceBatch
from transrec.model import Outputs
from transrec.prior import CountPrior
from transrec.scoring import DotScorer
from transrec.users.encoder import UserEncoder
from transrec.users.transformer import TransformerUserEncoder, UserSettings
from transrec.views import ItemViews, UserOutput

WIDTH, ITEMS, USERS, WINDOW = 4, 9, 3, 5


class Model(nn.Module):
    """A scorer, a prior and a user encoder; the outputs are given."""

    def __init__(self, attention: str = "causal", prior: CountPrior | None = None) -> None:
        super().__init__()
        self.scorer = DotScorer()
        self.prior = prior
        self.users: UserEncoder = TransformerUserEncoder(
            WIDTH, UserSettings.from_mapping({"attention": attention, "heads": 2})
        )


def case(seed: int = 0, targets: int = WINDOW) -> tuple[Outputs, SequenceBatch]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, WINDOW + 1, (USERS,), generator=generator)
    mask_BL = torch.arange(WINDOW) < lengths[:, None]
    target_mask_BT = mask_BL if targets == WINDOW else torch.arange(targets) < torch.randint(1, targets + 1, (USERS, 1))
    items_UD = torch.randn(ITEMS, WIDTH, generator=generator, dtype=torch.float64)
    states_BLD = torch.randn(USERS, WINDOW, WIDTH, generator=generator, dtype=torch.float64)
    popularity_U = torch.rand(ITEMS, generator=generator, dtype=torch.float64) / ITEMS
    targets_BT = torch.randint(ITEMS, (USERS, targets), generator=generator)
    batch = SequenceBatch(
        items=ItemBatch(ITEMS, {}),
        rows_U=torch.arange(ITEMS),
        history_BL=torch.zeros(USERS, WINDOW, dtype=torch.int64),
        mask_BL=mask_BL,
        targets_BT=targets_BT,
        target_mask_BT=target_mask_BT,
        negatives_BK=torch.randint(ITEMS, (USERS, 3), generator=generator),
        own_M2=torch.tensor([[0, 1], [0, 2], [1, 2], [2, 7], [2, 8], [0, int(targets_BT[0, 0])]]),
        inclusion_U=1 - (1 - popularity_U) ** 12,
        inclusion_C=1 - (1 - popularity_U) ** 12,
        popularity_C=popularity_U,
        counts_C=torch.bincount(targets_BT[target_mask_BT], minlength=ITEMS).double(),
    )
    users = UserOutput("states", states_BLD, mask_BL)
    return Outputs(ItemViews({}, {}, items_UD), users), batch
