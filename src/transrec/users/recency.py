"""RecencyMean: how a user encoder is born similar, as a mean of the latest items to which blocks add from zero.

Axes: B users, L history length, D width.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from transrec.users.attention import visible_slots

FORGETTING = 0.5
"""How much less the log of an item's weight begins with for each item that came after it."""


@final
class RecencyMean(nn.Module):
    """The mean of the items up to each position, newer ones counting more, and what the blocks make of it from zero.

    The state at position l is, for what the blocks make of it x_l and item vectors e_i::

        u_l = sum_{i <= l} softmax_i(w_{l - i}) e_i  +  g x_l

    where the learned w_k begin as -k/2, so that the newest item counts most, and the learned gate g begins at zero: an
    untrained user is near to what is like his latest items, and training starts from there.

    Args:
        window: the longest history.
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(-FORGETTING * torch.arange(window, dtype=torch.float32))
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, items_BLD: Tensor, mask_BL: Tensor, states_BLD: Tensor) -> Tensor:
        """States that begin as the mean; padded items have to be finite, nothing reads the states there."""
        places = torch.arange(items_BLD.shape[1], device=items_BLD.device)
        age_LL = places[:, None] - places[None, :]
        log_weights_LL = self.weights[age_LL.clamp(min=0)]
        hidden_BLL = ~visible_slots(mask_BL, causal=True)
        shares_BLL = log_weights_LL.masked_fill(hidden_BLL, -torch.inf).softmax(dim=-1)
        return shares_BLL.to(items_BLD.dtype) @ items_BLD + self.gate * states_BLD
