"""Adapter: a small bottleneck that is put into a user encoder and learns in its place.

Axes: B users, L history length, D width.
"""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transrec.nesting import Nesting

DOWN_DEVIATION = 0.02
"""As published."""
UP_DEVIATION = 1e-3
"""Near zero, so that what is added is small at first; exactly zero would leave the lower half without a gradient."""


@final
class Adapter(nn.Module):
    """``LayerNorm(x + up(ReLU(down(x))))``, as in TransRec's published code (its ``AdapterLayer``; arXiv 2206.06190).

    Houlsby et al. (arXiv 1902.00751) and Adapter4Rec (arXiv 2305.15036) have the same bottleneck without the layer norm.
    Because of it an adapter does not start as the identity: with its upper half near zero it begins as the layer norm of its
    input, which has deviation 1 whatever the deviation of the input.

    Args:
        width: D of what it takes and gives.
        inner: width of the bottleneck; published is half of ``width``.
        nesting: the widths that it can be cut to.
    """

    def __init__(self, width: int, inner: int, nesting: Nesting | None = None) -> None:
        super().__init__()
        nesting = nesting or Nesting.of(width)
        self.down = nesting.linear(width, inner, where="model.users.adapter")
        self.up = nesting.linear(inner, width, where="model.users.adapter")
        self.norm = nesting.norm(width)
        self.reset()

    def reset(self, generator: torch.Generator | None = None) -> None:
        """Draw the weights anew; from the process's own random state without a generator."""
        nn.init.normal_(self.down.weight, std=DOWN_DEVIATION, generator=generator)
        nn.init.normal_(self.up.weight, std=UP_DEVIATION, generator=generator)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.bias)

    def forward(self, states_BLD: Tensor) -> Tensor:
        """The adapted states, of the same shape."""
        adapted_BLD: Tensor = self.norm(states_BLD + self.up(F.relu(self.down(states_BLD))))
        return adapted_BLD
