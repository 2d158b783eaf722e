"""A small platform whose items have two views or lack one of them, and models over it that read views."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import torch

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.model import ModelSettings, TransRec

USERS = {"window": 6, "layers": 1, "heads": 2, "feedforward": 16, "dropout": 0.1}


def viewed_platform(*, users: int = 30, items: int = 24, seed: int = 0) -> Dataset:
    """Every third item has words alone, every third looks alone, the others have both."""
    generator = np.random.default_rng(seed)
    drawn = []
    for n in range(items):
        words, looks = {"words": generator.normal(size=8)}, {"looks": generator.normal(size=6)}
        drawn.append(Item(id=f"i{n}", vectors=({**words, **looks}, words, looks)[n % 3]))
    lengths = generator.integers(5, 12, size=users)
    events = pl.DataFrame(
        {
            "user": np.repeat(np.arange(users), lengths).astype(str),
            "row": np.concatenate([(generator.integers(items) + np.arange(n)) % items for n in lengths]),
            "time": np.concatenate([np.arange(n, dtype=float) for n in lengths]),
        }
    )
    catalog = Catalog.from_items(drawn, {"title": [f"thing {n}" for n in range(items)]})
    return Dataset(catalog, Interactions.from_columns(events), name="viewed")


def viewed_model(dataset: Dataset, *, users: Mapping[str, object] | None = None, **chosen: object) -> TransRec:
    """A model of it, away from its start, in evaluation mode."""
    form = {"items": {"width": 16}, "scorer": "views", "users": {**USERS, **(users or {})}, **chosen}
    model = TransRec.build(ModelSettings.from_mapping(form), [dataset.catalog], seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "log_scale" not in name:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()
