"""The published way to make a step of TransRec, written anew from its description, to be measured against.

As the published code does it (arXiv 2206.06190; github.com/jieWANGforwork/TransRec, commit d9aad24): of every user 25 items
of history, 5 that follow and 5 that are drawn; each of these 35 places is encoded on its own, its title padded to the
longest that is allowed, through all layers of the network; vectors are put into the histories place by place; negatives are
drawn for each user from the difference of two sets. Not copied is what only slows it down: the pause of 3 ms in each step,
copies to a device one vector at a time, and reading and tokenising in the step.

It shares the modules of the model with our side, so both compute with the same weights.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from transrec.data.ragged import Ragged
from transrec.items.text import TextEncoder
from transrec.model import TransRec

HISTORY, POSITIVES, NEGATIVES = 25, 5, 5


class PublishedStep:
    """Steps over some users.

    Args:
        model: reads texts; scored with the inner product.
        tokens_VT: token ids of every item, int64, padded; on the model's device.
        lengths_V: how many of them are real.
        lines: the training events of each user, oldest first, at least six.
    """

    def __init__(self, model: TransRec, tokens_VT: Tensor, lengths_V: Tensor, lines: Sequence[Sequence[int]]) -> None:
        self.model = model
        self.tokens_VT = tokens_VT
        self.lengths_V = lengths_V
        self.lines = lines
        self.everything = set(range(len(tokens_VT)))

    def drawn(self, user: int, chance: random.Random) -> list[int]:
        """Items that the user has nothing to do with."""
        return chance.sample(sorted(self.everything.difference(self.lines[user])), NEGATIVES)

    def loss(self, users: Sequence[int], negatives: Sequence[Sequence[int]]) -> Tensor:
        """Multi-step binary cross-entropy, from token ids on."""
        histories = [self.lines[user][:-POSITIVES][-HISTORY:] for user in users]
        following = [self.lines[user][-POSITIVES:] for user in users]
        flat = [row for rows in zip(histories, following, negatives, strict=True) for part in rows for row in part]
        vectors_OD = self._encoded(torch.tensor(flat, device=self.tokens_VT.device))
        history_BLD, mask_BL, positive_BPD, negative_BKD = self._placed(vectors_OD, histories)
        users_BD = self.model.users(history_BLD, mask_BL).last_BD
        attract = F.binary_cross_entropy_with_logits(*_towards(users_BD, positive_BPD, 1.0))
        repel = F.binary_cross_entropy_with_logits(*_towards(users_BD, negative_BKD, 0.0))
        return attract + repel

    def _encoded(self, rows_O: Tensor) -> Tensor:
        """Every occurrence, padded to the longest title that is allowed."""
        encoder = self.model.items.encoders["text"]
        assert isinstance(encoder, TextEncoder)
        lengths_O, most = self.lengths_V[rows_O], self.tokens_VT.shape[1]
        tokens = Ragged.from_padded(self.tokens_VT[rows_O], lengths_O, most)
        vectors: Tensor = self.model.items.projections["text"](encoder._whole(tokens))
        return vectors

    def _placed(self, vectors_OD: Tensor, histories: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Vectors where they belong, one place at a time."""
        empty = vectors_OD.new_zeros(vectors_OD.shape[1])
        placed, masks, positives, negatives = [], [], [], []
        begin = 0
        for history in histories:
            own = [vectors_OD[begin + place] for place in range(len(history))]
            begin += len(history)
            placed.append(torch.stack(own + [empty] * (HISTORY - len(own))))
            masks.append([place < len(own) for place in range(HISTORY)])
            positives.append(torch.stack([vectors_OD[begin + place] for place in range(POSITIVES)]))
            begin += POSITIVES
            negatives.append(torch.stack([vectors_OD[begin + place] for place in range(NEGATIVES)]))
            begin += NEGATIVES
        mask_BL = torch.tensor(masks, device=vectors_OD.device)
        return torch.stack(placed), mask_BL, torch.stack(positives), torch.stack(negatives)


def _towards(users_BD: Tensor, items_BKD: Tensor, label: float) -> tuple[Tensor, Tensor]:
    scores_BK = (users_BD[:, None] * items_BKD).sum(dim=-1)
    return scores_BK, torch.full_like(scores_BK, label)
