"""A small platform of items with given vectors, and a model over it: quick, and without any backbone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import torch

from transrec.data.batches import SequenceBatch, SequenceBatches
from transrec.data.catalog import Catalog, Item
from transrec.data.counts import Counts
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.model import ModelSettings, TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.objectives.objective import Loss, Objective

SETTINGS = ModelSettings.from_mapping(
    {"items": {"width": 16}, "users": {"window": 6, "layers": 1, "heads": 2, "feedforward": 16, "dropout": 0.2}}
)


def platform(*, users: int = 40, items: int = 50, seed: int = 0) -> Dataset:
    generator = np.random.default_rng(seed)
    catalog = Catalog.from_items(
        [Item(id=f"i{n}", vectors={"given": generator.normal(size=8)}) for n in range(items)],
        {"title": [f"thing {n}" for n in range(items)]},
    )
    lengths = generator.integers(5, 15, size=users)
    events = pl.DataFrame(
        {
            "user": np.repeat(np.arange(users), lengths).astype(str),
            "row": np.concatenate([(generator.integers(items) + np.arange(n)) % items for n in lengths]),
            "time": np.concatenate([np.arange(n, dtype=float) for n in lengths]),
        }
    )
    return Dataset(catalog, Interactions.from_columns(events), name="small")


class Case:
    """A model, its objective (of this kind, with these settings) and its batches, made anew from one seed."""

    def __init__(
        self,
        seed: int = 0,
        objective: str = "softmax",
        *,
        users: Mapping[str, object] | None = None,
        items: Mapping[str, object] | None = None,
        model: Mapping[str, object] | None = None,
        added: Mapping[str, object] | None = None,
        **chosen: object,
    ) -> None:
        self.dataset = platform()
        prior = "counts" if objective in ("softmax", "gbce") else "none"
        form = SETTINGS.updated({"prior": prior, "users": dict(users or {}), "items": dict(items or {}), **(model or {})})
        self.model = TransRec.build(form, [self.dataset.catalog], seed=seed)
        self.store = ContentStore.prepare(self.dataset.catalog, self.model.items.preparers())
        settings = ObjectiveSettings.from_mapping({"kind": objective, objective: chosen, **(added or {})})
        self.objective: Objective = build_objective(settings, self.model)
        split = leave_one_out(self.dataset.interactions)
        self.counts = Counts.of(split, len(self.dataset.catalog)) if self.objective.asks_counts else None
        self.batches = SequenceBatches(split, self.store, self.objective.plan, batch_size=16, seed=1, counts=self.counts)


class Spoiled(Objective):
    """An objective whose loss is not a number in some calls."""

    def __init__(self, inner: Objective, bad: set[int]) -> None:
        super().__init__()
        self.inner, self.bad, self.calls = inner, bad, 0
        self.plan, self.asks_counts = inner.plan, inner.asks_counts

    def check(self, model: TransRec) -> None:
        self.inner.check(model)

    def forward(self, model: TransRec, outputs: object, batch: SequenceBatch) -> Loss:
        loss: Loss = self.inner(model, outputs, batch)
        self.calls += 1
        return Loss(loss.total * torch.nan, loss.parts) if self.calls - 1 in self.bad else loss


def timed_case(objective: str = "softmax", **users: object) -> Case:
    """A case whose users depend on times, as far away from its start as training might have led."""
    case = Case(0, objective, users={"kind": "gated", "start": "fresh", **users})
    with torch.no_grad():
        for place, (name, parameter) in enumerate(case.model.users.named_parameters()):
            drawn = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(place))
            parameter.add_(drawn * (2.0 if "time_bias" in name else 0.3))
    return case
