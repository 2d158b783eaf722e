"""A user encoder of your own: a recurrent network with gates, as in GRU4Rec (Hidasi et al. 2016), over item content.

PYTHONPATH=examples transrec train DATA --out RUN --model.users.kind custom --model.users.custom custom_users:RecurrentUsers
"""

from __future__ import annotations

from torch import Tensor, nn

from transrec.errors import ModelError
from transrec.users.encoder import UserEncoder
from transrec.users.settings import UserSettings
from transrec.views import UserKind, UserOutput


class RecurrentUsers(UserEncoder):
    """The state after each item; an item is added to what was made of it, so that users begin like their items.

    Args:
        width: D.
        window: the longest history.
        layers: of the network.
        dropout: share of activations dropped between layers in training.
    """

    gives: UserKind = "states"
    causal = True  # every position can learn to predict the next item

    def __init__(self, width: int, window: int, layers: int = 1, dropout: float = 0.1) -> None:
        super().__init__()
        self.width, self.window = width, window
        self.network = nn.GRU(width, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.output = nn.Linear(width, width)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    @classmethod
    def from_settings(cls, width: int, settings: UserSettings) -> RecurrentUsers:
        """What --model.users.window, --model.users.layers and --model.users.dropout say; it has no options of its own."""
        if settings.custom_options:
            raise ModelError(f"RecurrentUsers has no option {sorted(settings.custom_options)}", where="model.users")
        return cls(width, settings.window, settings.layers, settings.dropout)

    def forward(self, items_BLD: Tensor, mask_BL: Tensor) -> UserOutput:
        # padded slots come last, so a network that reads forwards has no need to know of them: but they may hold anything
        items_BLD = items_BLD.masked_fill(~mask_BL[..., None], 0.0)
        states_BLD, _ = self.network(items_BLD)
        return UserOutput("states", items_BLD + self.output(states_BLD), mask_BL)
