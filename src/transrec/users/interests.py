"""InterestUserEncoder: several vectors a user, each of the items of the history that belong together.

Axes: B users, L history length, D width, K interests.
"""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transrec.errors import ModelError
from transrec.users.encoder import UserEncoder
from transrec.users.settings import InterestSettings
from transrec.views import UserKind, UserOutput

SHARPNESS = 8.0
"""Where the factor of cosines begins by which items are dealt out to interests."""
ALIKE = 1 - 1e-4
"""Items with a greater cosine are one: which of them is farther, rounding alone would say."""


@final
class InterestUserEncoder(UserEncoder):
    """K interests of a user, from the states h_l and the item vectors e_l that an encoder of states reads.

    They begin apart (``seeds``). ``farthest``: the first at the latest item, each further one at the item of the history
    that is least like those before it, as in farthest-first traversal (Gonzalez 1985). ``queries``: each looks at the
    history by itself, with a learned query, as in ComiRec (Cen et al. 2020, arXiv 2005.09347, section 3.2)::

        g_k = sum_l softmax_l(q_k . W h_l / sqrt(D) + w_(n - l)) (e_l + r h_l)

    Then, ``rounds`` times, the items are dealt out, a_kl = softmax_k(s cos(g_k, e_l)), and each interest becomes the mean of
    what is its own::

        g_k = sum_l softmax_l(log a_kl + w_(n - l)) (e_l + r h_l)

    with learned weights w of how many items came later, a gate r and a sharpness s. So two far groups of items end in two
    interests, whichever groups they are, as by the routing of MIND (Li et al. 2019, arXiv 1904.08030) and slot attention
    (Locatello et al. 2020, arXiv 2006.15055). The weights and the gate begin at zero: an untrained interest is a mean of
    items that are like each other.

    How the inner encoder makes states is its own affair. All of the history is dealt out, so only the last position
    predicts. A user with fewer interests than K has copies of the first in the places of the missing ones.

    Args:
        inner: gives states.
        settings: how many, and how.

    Raises:
        ModelError: the inner encoder gives no states.
    """

    gives: UserKind = "interests"
    causal = False

    def __init__(self, inner: UserEncoder, settings: InterestSettings) -> None:
        super().__init__()
        if inner.gives != "states":
            raise ModelError(f"interests are read from states, {type(inner).__name__} gives {inner.gives}")
        self.inner, self.settings = inner, settings
        self.width, self.window, self.reads_times = inner.width, inner.window, inner.reads_times
        self.reads_views, self.attunes = inner.reads_views, inner.attunes
        self.asking = Asking(settings.count, inner.width) if settings.seeds == "queries" else None
        self.ages = nn.Parameter(torch.zeros(inner.window))
        self.gate = nn.Parameter(torch.zeros(1))
        self.dealing = Dealing() if settings.rounds else None

    def forward(self, items_BLD: Tensor, mask_BL: Tensor, times_BL: Tensor | None = None) -> UserOutput:
        states_BLD = self.inner(items_BLD, mask_BL, times_BL).vectors
        items_BLD = items_BLD[..., : self.width].masked_fill(~mask_BL[..., None], 0.0)
        values_BLD = items_BLD + self.gate * states_BLD.masked_fill(~mask_BL[..., None], 0.0)
        units_BLD, real_BK = F.normalize(items_BLD, dim=-1), self.real(mask_BL)
        lengths_B1 = mask_BL.sum(dim=1, keepdim=True)
        later_BL = (lengths_B1 - 1 - torch.arange(mask_BL.shape[1], device=mask_BL.device)).clamp(min=0)
        ages_B1L = self.ages[later_BL][:, None]
        if self.asking is None:
            vectors_BKD = farthest(units_BLD, mask_BL, self.settings.count)
        else:
            vectors_BKD = _means(self.asking(states_BLD) + ages_B1L, values_BLD, mask_BL)
        if self.dealing is not None:
            for _ in range(self.settings.rounds):
                dealt_BKL = self.dealing(vectors_BKD, units_BLD, real_BK)
                vectors_BKD = _means(dealt_BKL + ages_B1L, values_BLD, mask_BL)
        vectors_BKD = torch.where(real_BK[..., None], vectors_BKD, vectors_BKD[:, :1])
        return UserOutput("interests", vectors_BKD, mask_BL, real_BK)

    def real(self, mask_BL: Tensor) -> Tensor:
        """Which interests a user has, bool of shape (B, K): all, or min(K, max(1, floor(log2 n))) of them with n items.

        The adaptive number stands as an idea in the code of DPCML 2022. That of DPCML 2024 (arXiv 2409.01012), which goes by
        the length of the record too, could not be read.
        """
        numbers_K = torch.arange(self.settings.count, device=mask_BL.device)
        if not self.settings.adaptive:
            return (numbers_K >= 0).expand(len(mask_BL), -1)
        return (numbers_K == 0) | (mask_BL.sum(dim=1, keepdim=True) >= 2 ** (numbers_K + 1))

    def attune(self, items_VW: Tensor, *, generator: torch.Generator) -> None:
        self.inner.attune(items_VW, generator=generator)

    def add_adapters(self, inner: int) -> None:
        self.inner.add_adapters(inner)


class Asking(nn.Module):
    """What each of K learned queries looks at: q_k . W h_l / sqrt(D), (B, K, L), of normalised states.

    Args:
        count: K.
        width: D.
    """

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        # far from each other from the beginning: interests that begin alike stay alike
        self.queries = nn.Parameter(torch.randn(count, width))
        self.keys = nn.Linear(width, width, bias=False)

    def forward(self, states_BLD: Tensor) -> Tensor:
        """How much each query wants each state."""
        width = states_BLD.shape[-1]
        keys_BLD: Tensor = self.keys(F.layer_norm(states_BLD, (width,)))
        asked_BKL: Tensor = self.queries @ keys_BLD.transpose(1, 2) / width**0.5
        return asked_BKL


class Dealing(nn.Module):
    """How much of each item is whose: log softmax_k(s cos(g_k, e_l)), (B, K, L)."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))

    def forward(self, vectors_BKD: Tensor, units_BLD: Tensor, real_BK: Tensor) -> Tensor:
        """The logarithms; an interest that a user has not gets nothing."""
        cosines_BKL = F.normalize(vectors_BKD, dim=-1) @ units_BLD.transpose(1, 2)
        # not minus infinity: the mean of an interest that gets nothing would have no value, and no gradient either
        return (self.sharpness * cosines_BKL).masked_fill(~real_BK[..., None], -1e9).log_softmax(dim=1)


@torch.no_grad()
def farthest(units_BLD: Tensor, mask_BL: Tensor, count: int) -> Tensor:
    """The latest item of each history, and then, so many in all, the one that is least like those before it; (B, K, D).

    Where nothing else is left, as in short histories, it is the first item once more.

    Args:
        units_BLD: item vectors of length 1, zeros in padded slots.
        mask_BL: which slots are real.
        count: K.
    """
    place_B = (mask_BL.sum(dim=1) - 1).clamp(min=0)
    found: list[Tensor] = []
    nearest_BL = torch.full_like(units_BLD[..., 0], -torch.inf)
    for _ in range(count):
        seed_B1D = units_BLD.gather(1, place_B[:, None, None].expand(-1, 1, units_BLD.shape[-1]))
        found.append(seed_B1D)
        nearest_BL = torch.maximum(nearest_BL, (units_BLD * seed_B1D).sum(dim=-1))
        taken_BL = ~mask_BL | (nearest_BL > ALIKE)
        place_B = nearest_BL.masked_fill(taken_BL, torch.inf).argmin(dim=1)  # the first item where all are taken
    return torch.cat(found, dim=1)


def _means(logits_BKL: Tensor, values_BLD: Tensor, mask_BL: Tensor) -> Tensor:
    """Means of the values of real slots, (B, K, D); zero for an empty history."""
    visible_B1L = (mask_BL | ~mask_BL.any(dim=1, keepdim=True))[:, None]
    shares_BKL = logits_BKL.masked_fill(~visible_B1L, -torch.inf).softmax(dim=-1)
    return shares_BKL.to(values_BLD.dtype) @ values_BLD  # of an empty history all values are zero
