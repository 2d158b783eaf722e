"""InterestUserEncoder: several vectors a user, each of the items of the history that belong together.

Axes: B users, L history length, P places that interests are made for (all L, or one), D width, K interests.
"""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transrec.errors import ModelError
from transrec.users.encoder import UserEncoder
from transrec.users.settings import InterestSettings
from transrec.views import SharedInterests, UserKind, UserOutput

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

    ``with_state`` the first interest is the state h_l itself, what a user is without interests, and the others are dealt the
    items: where the next item follows from the latest ones, means of groups do not say it.

    How the inner encoder makes states is its own affair. If it is causal, so are the interests: at every position there are
    those of the history up to there, and every position predicts. If not, they are of the whole history, and only its end
    predicts. A user with fewer interests than K has copies of the first in the places of the missing ones.

    Args:
        inner: gives states.
        settings: how many, and how.

    Raises:
        ModelError: the inner encoder gives no states.
    """

    gives: UserKind = "interests"

    def __init__(self, inner: UserEncoder, settings: InterestSettings) -> None:
        super().__init__()
        if inner.gives != "states":
            raise ModelError(f"interests are read from states, {type(inner).__name__} gives {inner.gives}")
        self.inner, self.settings = inner, settings
        self.causal, self.width, self.window = inner.causal, inner.width, inner.window
        self.reads_times, self.reads_views = inner.reads_times, inner.reads_views
        self.attunes, self.discovers = inner.attunes, inner.discovers
        self.groups = settings.count - settings.with_state
        self.asking = Asking(self.groups, inner.width) if settings.seeds == "queries" else None
        self.ages = nn.Parameter(torch.zeros(inner.window))
        self.gate = nn.Parameter(torch.zeros(1))
        self.dealing = Dealing() if settings.rounds else None

    def forward(self, items_BLD: Tensor, mask_BL: Tensor, times_BL: Tensor | None = None) -> UserOutput:
        states_BLD = self.inner(items_BLD, mask_BL, times_BL).vectors
        items_BLD = items_BLD[..., : self.width].masked_fill(~mask_BL[..., None], 0.0)
        values_BLD = items_BLD + self.gate * states_BLD.masked_fill(~mask_BL[..., None], 0.0)
        units_BLD = F.normalize(items_BLD, dim=-1)
        seen_BPL, last_BP = self._seen(mask_BL)
        later_BPL = last_BP[..., None] - torch.arange(mask_BL.shape[1], device=mask_BL.device)
        ages_BP1L = self.ages[later_BPL.clamp(min=0)][:, :, None]
        real_BPK = self._real(seen_BPL.sum(dim=-1))
        dealt_to_BPK = real_BPK[..., self.settings.count - self.groups :]
        if self.asking is None:
            vectors_BPKD = farthest(units_BLD, seen_BPL, last_BP, self.groups)
        else:
            vectors_BPKD = _means(self.asking(states_BLD)[:, None] + ages_BP1L, values_BLD, seen_BPL)
        if self.dealing is not None:
            for _ in range(self.settings.rounds):
                dealt_BPKL = self.dealing(vectors_BPKD, units_BLD, dealt_to_BPK)
                vectors_BPKD = _means(dealt_BPKL + ages_BP1L, values_BLD, seen_BPL)
        if self.settings.with_state:
            last_BPD = states_BLD.gather(1, last_BP[..., None].expand(-1, -1, self.width))
            state_BPD = last_BPD.masked_fill(~seen_BPL.any(dim=-1, keepdim=True), 0.0)
            vectors_BPKD = torch.cat([state_BPD[:, :, None], vectors_BPKD], dim=2)
        vectors_BPKD = torch.where(real_BPK[..., None], vectors_BPKD, vectors_BPKD[:, :, :1])
        if self.causal:
            return UserOutput("interests", vectors_BPKD, mask_BL, real_BPK)
        return UserOutput("interests", vectors_BPKD[:, 0], mask_BL, real_BPK[:, 0])

    def _seen(self, mask_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Which items interests are made of, bool (B, P, L), and the latest of them, (B, P); for each place."""
        if not self.causal:
            return mask_BL[:, None], (mask_BL.sum(dim=1, keepdim=True) - 1).clamp(min=0)
        places_L = torch.arange(mask_BL.shape[1], device=mask_BL.device)
        return mask_BL[:, None] & (places_L <= places_L[:, None]), places_L.expand(len(mask_BL), -1)

    def _real(self, lengths_BP: Tensor) -> Tensor:
        """Which interests there are, bool of shape (B, P, K): all, or min(K, max(1, floor(log2 n))) of them with n items.

        The adaptive number stands as an idea in the code of DPCML 2022. That of DPCML 2024 (arXiv 2409.01012), which goes by
        the length of the record too, could not be read.
        """
        numbers_K = torch.arange(self.settings.count, device=lengths_BP.device)
        if not self.settings.adaptive:
            return (numbers_K >= 0).expand(*lengths_BP.shape, -1)
        return (numbers_K == 0) | (lengths_BP[..., None] >= 2 ** (numbers_K + 1))

    def attune(self, items_VW: Tensor, *, generator: torch.Generator) -> None:
        self.inner.attune(items_VW, generator=generator)

    def interests(self, items_BLW: Tensor, mask_BL: Tensor) -> SharedInterests:
        return self.inner.interests(items_BLW, mask_BL)

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
    """How much of each item is whose: log softmax_k(s cos(g_k, e_l)), (B, P, K, L)."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))

    def forward(self, vectors_BPKD: Tensor, units_BLD: Tensor, real_BPK: Tensor) -> Tensor:
        """The logarithms; an interest that a user has not gets nothing."""
        directions_BND = F.normalize(vectors_BPKD, dim=-1).flatten(1, 2)
        cosines_BNL = directions_BND @ units_BLD.transpose(1, 2)
        cosines_BPKL = cosines_BNL.view(*real_BPK.shape, units_BLD.shape[1])
        # not minus infinity: the mean of an interest that gets nothing would have no value, and no gradient either
        return (self.sharpness * cosines_BPKL).masked_fill(~real_BPK[..., None], -1e9).log_softmax(dim=2)


@torch.no_grad()
def farthest(units_BLD: Tensor, seen_BPL: Tensor, last_BP: Tensor, count: int) -> Tensor:
    """The latest item that is seen, and then, so many in all, the one that is least like those before it; (B, P, K, D).

    Where nothing else is left, as in short histories, it is the first item once more.

    Args:
        units_BLD: item vectors of length 1, zeros in padded slots.
        seen_BPL: which slots are among what a user is made of.
        last_BP: the latest of them.
        count: K.
    """
    place_BP = last_BP
    found: list[Tensor] = []
    nearest_BPL = torch.full_like(seen_BPL, -torch.inf, dtype=units_BLD.dtype)
    for _ in range(count):
        seeds_BPD = units_BLD.gather(1, place_BP[..., None].expand(-1, -1, units_BLD.shape[-1]))
        found.append(seeds_BPD)
        nearest_BPL = torch.maximum(nearest_BPL, seeds_BPD @ units_BLD.transpose(1, 2))
        taken_BPL = ~seen_BPL | (nearest_BPL > ALIKE)
        place_BP = nearest_BPL.masked_fill(taken_BPL, torch.inf).argmin(dim=-1)  # the first item where all are taken
    return torch.stack(found, dim=2)


def _means(logits_BPKL: Tensor, values_BLD: Tensor, seen_BPL: Tensor) -> Tensor:
    """Means of the values of what is seen, (B, P, K, D); zero where that is nothing."""
    seen_BP1L = (seen_BPL | ~seen_BPL.any(dim=-1, keepdim=True))[:, :, None]
    shares_BPKL = logits_BPKL.masked_fill(~seen_BP1L, -torch.inf).softmax(dim=-1).to(values_BLD.dtype)
    means_BND = shares_BPKL.flatten(1, 2) @ values_BLD  # where nothing is seen all values are zero
    return means_BND.view(*shares_BPKL.shape[:3], values_BLD.shape[-1])
