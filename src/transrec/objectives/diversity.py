"""Diversity control: the interests of a user should be neither the same nor scattered.

Axes: B users, C interests, D width.
"""

from __future__ import annotations

from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from transrec.data.batches import SequenceBatch
from transrec.data.windows import WindowPlan
from transrec.errors import ModelError
from transrec.model import Outputs, TransRec
from transrec.objectives.objective import Loss, Objective
from transrec.settings import Settings


class DiversitySettings(Settings):
    """Diversity control, a term beside an objective: ``objective.added.diversity`` is its weight."""

    least: float = Field(default=0.1, ge=0, le=2)
    """delta_1: below this diversity interests are pushed apart."""
    most: float = Field(default=0.35, ge=0, le=4)
    """delta_2: above it they are pulled together. The paper tries .1 to .8, for its own measure up to 2."""
    over: Literal["average", "pairs"] = "average"
    """What is held between the two: a user's average over pairs (the paper), or the distance of each pair (its code). That
    is measured whole, up to 4, where the average has half of it."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least > self.most:
            raise ValueError(f"least is {self.least}, more than most, {self.most}: no interests could satisfy both")
        return self


class DiversityControl(Objective):
    """Holds the diversity of a user's interests between two bounds (DCRS, Bao et al. 2022, arXiv 2209.15292, section 3.3).

    For interests on the unit sphere, over the C_u that a user has::

        delta_u = 1/(2 C_u (C_u - 1)) sum_{c, c'} || g_c - g_c' ||^2
        L = 1/B sum_u [delta_1 - delta_u]_+ + [delta_u - delta_2]_+

    A user with one interest has no diversity to control and adds nothing. Over ``pairs``, as in the published code, the two
    hinges are of ``|| g_c - g_c' ||^2`` of each pair. The mean is over all C^2 of them, with the zeros of each with itself.

    Args:
        settings: see there.
        window: the longest history.
    """

    def __init__(self, settings: DiversitySettings, *, window: int) -> None:
        super().__init__()
        self.settings = settings
        self.teaches_ranking = False
        self.plan = WindowPlan("none", length=window)

    def check(self, model: TransRec) -> None:
        if model.users.gives != "interests":
            raise ModelError(
                f"there is no diversity among the interests of a user encoder that gives {model.users.gives}",
                remedy="set model.users.interests.count to 2 or more, or objective.added.diversity to 0",
            )

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:  # noqa: ARG002
        users = outputs.users
        real = torch.ones_like(users.vectors[..., 0], dtype=torch.bool) if users.real is None else users.real
        # of interests at every position each counts as a user's
        vectors_BCD = (users.vectors[users.mask_BL] if users.everywhere else users.vectors).float()
        real_BC = real[users.mask_BL] if users.everywhere else real
        squared_BCC = squared_distances(vectors_BCD)
        pairs_BCC = pairs_of(real_BC)
        spread_B = spread(squared_BCC, pairs_BCC)
        least, most = self.settings.least, self.settings.most
        if self.settings.over == "pairs":
            outside_BCC = F.relu(least - squared_BCC) + F.relu(squared_BCC - most)
            loss = (outside_BCC * pairs_BCC).mean()
        else:
            outside_B = F.relu(least - spread_B) + F.relu(spread_B - most)
            loss = (outside_B * pairs_BCC.any(dim=(1, 2))).mean()
        several_B = pairs_BCC.any(dim=(1, 2))
        mean = (spread_B * several_B).sum() / several_B.sum().clamp(min=1)
        return Loss(loss, {"diversity": loss.detach(), "interest_spread": mean.detach()})


def squared_distances(vectors_BCD: Tensor) -> Tensor:
    """``|| g_c - g_c' ||^2`` of directions, (B, C, C); from 0 to 4."""
    units_BCD = F.normalize(vectors_BCD, dim=-1)
    return (units_BCD[:, :, None] - units_BCD[:, None, :]).square().sum(dim=-1)


def pairs_of(real_BC: Tensor) -> Tensor:
    """The pairs of different interests that a user has, in both orders, bool of shape (B, C, C)."""
    itself_CC = torch.eye(real_BC.shape[1], dtype=torch.bool, device=real_BC.device)
    return real_BC[:, :, None] & real_BC[:, None, :] & ~itself_CC


def spread(squared_BCC: Tensor, pairs_BCC: Tensor) -> Tensor:
    """delta_u, half of the mean squared distance over pairs, (B,); 0 for a user with one interest."""
    return (squared_BCC * pairs_BCC).sum(dim=(1, 2)) / (2 * pairs_BCC.sum(dim=(1, 2)).clamp(min=1))
