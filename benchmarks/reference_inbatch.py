"""The usual way to train an end-to-end recommender in batches, written anew from its description, to be measured against.

As IDvs.MoRec does it (Yuan et al. 2023, arXiv 2303.13835): of every user 26 items, each place encoded on its own, its title
padded to the longest that is allowed, through all layers of the network; a causal user encoder; every position meets the
items of all places of the batch, where those of the user's own history are masked user by user and place by place; the
logarithm of the item's popularity is taken off.

It shares the modules of the model with our side, so both compute with the same weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from transrec.data.ragged import Ragged
from transrec.items.text import TextEncoder
from transrec.model import TransRec

LENGTH = 25


class InBatchStep:
    """Steps over some users.

    Args:
        model: reads texts, causal.
        tokens_VT: token ids of every item, int64, padded; on the model's device.
        lengths_V: how many of them are real.
        lines: the training events of each user, oldest first; 26 of each.
        popularity_V: each item's share of the training events.
    """

    def __init__(
        self,
        model: TransRec,
        tokens_VT: Tensor,
        lengths_V: Tensor,
        lines: Sequence[Sequence[int]],
        popularity_V: Tensor,
    ) -> None:
        self.model = model
        self.tokens_VT = tokens_VT
        self.lengths_V = lengths_V
        self.lines = lines
        self.popularity_V = popularity_V

    def loss(self, users: Sequence[int]) -> Tensor:
        """Softmax over all places of the batch, from token ids on."""
        device = self.tokens_VT.device
        rows_BS = torch.tensor([list(self.lines[user][-LENGTH - 1 :]) for user in users])
        encoder = self.model.items.encoders["text"]
        assert isinstance(encoder, TextEncoder)
        rows_O = rows_BS.flatten().to(device)
        tokens = Ragged.from_padded(self.tokens_VT[rows_O], self.lengths_V[rows_O], self.tokens_VT.shape[1])
        vectors_OD = self.model.items.projections["text"](encoder._whole(tokens))
        vectors_BSD = vectors_OD.view(*rows_BS.shape, -1)
        mask_BL = torch.ones(len(users), LENGTH, dtype=torch.bool, device=device)
        states_BLD = self.model.users(vectors_BSD[:, :-1], mask_BL).vectors
        scores_QO = self.model.scorer(states_BLD.flatten(0, 1), vectors_OD)
        logits_QO = scores_QO - self.popularity_V[rows_O].log()
        logits_QO = logits_QO.masked_fill(self._own(rows_BS).to(device), -torch.inf)
        targets_Q = torch.tensor([user * (LENGTH + 1) + place + 1 for user in range(len(users)) for place in range(LENGTH)])
        return F.cross_entropy(logits_QO, targets_Q.to(device))

    @staticmethod
    def _own(rows_BS: Tensor) -> Tensor:
        """Which places of the batch hold an item of the user's own, but for the place that is to be found."""
        users, places = rows_BS.shape
        everywhere = rows_BS.flatten()
        own_QO = torch.zeros(users * (places - 1), users * places, dtype=torch.bool)
        for user in range(users):
            found = torch.isin(everywhere, rows_BS[user])
            for place in range(places - 1):
                own_QO[user * (places - 1) + place] = found
                own_QO[user * (places - 1) + place, user * places + place + 1] = False
        return own_QO
