"""Matryoshka: an objective at several widths at once, so that the first numbers of vectors rank by themselves, too.

Axes: D width.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from transrec.data.batches import SequenceBatch
from transrec.errors import ModelError, SettingsError
from transrec.model import Outputs, TransRec
from transrec.objectives.objective import Loss, Objective
from transrec.scoring import PrefixScorer
from transrec.settings import Listed, Settings


class MatryoshkaSettings(Settings):
    """The objective at several widths."""

    sizes: Annotated[tuple[int, ...], Listed] = ()
    """Widths, from small to large, the last being that of the model; none: the whole alone; separated by commas."""
    weights: Annotated[tuple[float, ...], Listed] = Field(default=())
    """What the loss at each of them weighs; all the same where none are named; separated by commas."""

    @model_validator(mode="after")
    def _sizes_grow_and_have_weights(self) -> Self:
        if any(after <= before for before, after in pairwise((0, *self.sizes))):
            raise ValueError("sizes are above 0 and grow")
        if self.weights and (len(self.weights) != len(self.sizes) or min(self.weights) < 0 or not sum(self.weights)):
            raise ValueError("there is one weight for each of the sizes, none below 0 and not all 0")
        return self


class Matryoshka(Objective):
    """``L = sum_j w_j L(u_(:m_j), e_(:m_j)) / sum_j w_j`` for any objective L that compares users with items.

    From fMRLRec (Yue et al. 2024, arXiv 2409.16627, equal weights) and matryoshka representations (Kusupati et al. 2022,
    arXiv 2205.13147). User and item vectors are made once, at full width; at every size the objective sees the model under a
    scorer that looks at their first numbers alone (:class:`~transrec.scoring.PrefixScorer`), so a cosine is one of prefixes.
    Temperature and prior are the same at all sizes: what counts are worth is learned for all of them together. An objective
    of one's own has to compare through ``model.scorer`` to be seen at another width.

    With the model's width as the only size this is the objective itself. Its numbers in the log are those at full width;
    those at another size m have the name with ``/m`` behind it.

    Args:
        objective: L.
        settings: sizes and weights.

    Raises:
        SettingsError: the objective compares nothing.
    """

    def __init__(self, objective: Objective, settings: MatryoshkaSettings) -> None:
        super().__init__()
        if not objective.teaches_ranking:
            raise SettingsError(
                f"{type(objective).__name__} compares no user with an item, so it is the same at every width",
                where="objective.matryoshka.sizes",
                remedy="leave the sizes out of this stage, or make it a term beside an objective that ranks",
            )
        self.objective, self.settings = objective, settings
        self.plan, self.asks_counts, self.head = objective.plan, objective.asks_counts, objective.head

    def check(self, model: TransRec) -> None:
        self.objective.check(model)
        _at(model, self.settings.sizes[0])  # a scorer that cannot look at the first numbers says so
        compared = model.scorer.reads or model.users.width
        if self.settings.sizes[-1] != compared:
            raise ModelError(
                f"the largest of the sizes is {self.settings.sizes[-1]}, the model compares {compared} numbers",
                where="objective.matryoshka.sizes",
                remedy=f"let the sizes end with {compared}",
            )

    def state(self) -> dict[str, Tensor]:
        return self.objective.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.objective.restore(state)

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        sizes = self.settings.sizes
        weights = self.settings.weights or (1.0,) * len(sizes)
        totals, parts = list[Tensor](), dict[str, Tensor]()
        for size, weight in zip(sizes, weights, strict=True):
            whole = size == sizes[-1]
            found: Loss = self.objective(model if whole else _at(model, size), outputs, batch)
            totals.append(weight / sum(weights) * found.total)
            parts |= {name if whole else f"{name}/{size}": value for name, value in found.parts.items()}
        return Loss(torch.stack(totals).sum(), parts)


def _at(model: TransRec, size: int) -> TransRec:
    """The model, with the same parameters, under a scorer that looks at so many numbers.

    It is another object, because what checkpointing computes once more in the backward pass asks for the scorer again.
    """
    narrow = copy.copy(model)
    narrow._modules = {**model._modules, "scorer": PrefixScorer(model.scorer, size)}
    return narrow
