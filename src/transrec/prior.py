"""CountPrior: how much a platform's counts are worth beside what items are.

Axes: Q queries, C candidates.
"""

from __future__ import annotations

import copy
from typing import final

import torch
from torch import Tensor, nn

from transrec.data.counts import KINDS, Evidence

STARTING_SHARPNESS = 3.0


@final
class CountPrior(nn.Module):
    """Adds to the score of content what counts say, with a few learned numbers that mean the same on every platform.

    For a history h and a candidate j that n_j training events touch::

        s(h, j) = s_content(h, j) + a log(1 + n_j) + b [n_j = 0] + sum_k g_k log(1 + exp(c_k) m_k(h, j))

    where m_k(h, j) is the share that j has in what followed the last items of h, or in what else their users have
    (:class:`~transrec.data.counts.Counts`). Under a softmax this multiplies the probability that content gives by powers of
    counts, as a Markov chain, popularity and a neighbourhood method would give it: what they know and content does not. The
    weights start at zero, so an untrained model ranks by content alone; b weighs items that nobody has touched yet, as
    learned from those that only the user at hand has (their events are taken off while training, as in the estimate of
    Good and Turing). It is learned where candidates are drawn from the whole catalog (``shared_negatives``), for among
    targets alone nothing untouched is wrong.

    Nothing in it belongs to an item or a user, so it moves to another platform, and to its counts. But a and b mean what
    they mean among so many events: they stay behind, see :meth:`elsewhere`.
    """

    far_going = True  # see training/optimiser.py

    def __init__(self) -> None:
        super().__init__()
        self.popularity = nn.Parameter(torch.zeros(()))
        self.unseen = nn.Parameter(torch.zeros(()))
        self.weights = nn.ParameterDict({kind: torch.zeros(()) for kind in KINDS})
        self.sharpness = nn.ParameterDict({kind: torch.tensor(STARTING_SHARPNESS) for kind in KINDS})

    def forward(self, scores_QC: Tensor, evidence: Evidence, popularity: float = 1.0) -> Tensor:
        """Scores with what counts say added, (Q, C).

        Args:
            scores_QC: what content says.
            evidence: of the same queries and candidates.
            popularity: how much of what popularity is worth counts: 1 as it was weighed after training; with less,
                rare and new items come up; 0 for none.
        """
        # where every candidate but the target has been touched, being untouched would give the target away, and what it is
        # worth would only grow
        identified = evidence.targets_Q is None or evidence.untouched
        base_C = self.base(evidence.popularity_C, popularity, identified=identified)
        total_QC = scores_QC + base_C
        for kind, shares_QC in evidence.shares.items():
            total_QC = total_QC + self.worth(kind, shares_QC)
        if evidence.targets_Q is None or evidence.target_popularity_Q is None:
            return total_QC
        own_Q = self.base(evidence.target_popularity_Q, popularity, identified=identified)
        own_Q = own_Q - base_C[evidence.targets_Q]
        queries_Q = torch.arange(len(own_Q), device=own_Q.device)
        return total_QC.index_put((queries_Q, evidence.targets_Q), own_Q, accumulate=True)

    def elsewhere(self) -> CountPrior:
        """The same on a platform that it has not learned from: how often an item was touched is worth nothing yet.

        Where most items are seldom touched an untouched one is nothing special; where most are often, it is.
        """
        moved = copy.deepcopy(self)
        nn.init.zeros_(moved.popularity)
        nn.init.zeros_(moved.unseen)
        return moved

    def worth(self, kind: str, shares: Tensor) -> Tensor:
        """What shares of one kind add: g log(1 + exp(c) m).

        Args:
            kind: see :data:`~transrec.data.counts.KINDS`.
            shares: of any shape.
        """
        added: Tensor = self.weights[kind] * torch.log1p(self.sharpness[kind].exp() * shares)
        return added

    def base(self, counts: Tensor, popularity: float = 1.0, *, identified: bool = True) -> Tensor:
        """What being touched so often is worth, whatever the history: a log(1 + n) + b [n = 0].

        Args:
            counts: training events, of any shape.
            popularity: how much of a counts.
            identified: whether b may learn from this.
        """
        unseen = self.unseen if identified else self.unseen.detach()
        return popularity * self.popularity * torch.log1p(counts) + unseen * (counts == 0)
