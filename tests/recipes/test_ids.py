"""A world that calls for both: a few items that many take, in an order that nothing shows, and many that few take, by taste.

Content knows what is to somebody's taste, a table of ids what comes next among what many take; of what few take it learns
noise. The seeds had not been looked at when the rest was settled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from scipy import stats

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.data.splits import leave_one_out
from transrec.evaluation.metrics import ndcg
from transrec.evaluation.ranks import ModelRanker, rank_targets
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train

USERS, POPULAR, RARE, TASTES = 300, 40, 400, 8
SEEDS = range(3, 6)
BOTH = ["given", "identity"]
READ: dict[str, dict[str, Any]] = {
    "content": {},
    "with ids": {"modalities": BOTH},
    "with whole ids": {"modalities": BOTH, "identity": {"shrinkage": 0.0}},
}


def platform(seed: int) -> Dataset:
    generator = np.random.default_rng(seed)
    tastes = generator.normal(size=(TASTES, 8))
    vectors = [
        *generator.normal(size=(POPULAR, 8)),
        *(tastes[n % TASTES] + 0.2 * generator.normal(size=8) for n in range(RARE)),
    ]
    taken = [_walk(generator) for _ in range(USERS)]
    lengths = [len(own) for own in taken]
    events = pl.DataFrame(
        {
            "user": np.repeat([f"u{n}" for n in range(USERS)], lengths),
            "row": np.concatenate(taken),
            "time": np.concatenate([np.arange(length, dtype=float) for length in lengths]),
        }
    )
    items = [Item(id=f"i{n}", vectors={"given": vector}) for n, vector in enumerate(vectors)]
    return Dataset(Catalog.from_items(items), Interactions.from_columns(events), name="both")


def _walk(generator: np.random.Generator) -> list[int]:
    """Half of it goes around among what many take, half stays with one taste."""
    at, taste = (int(generator.integers(n)) for n in (POPULAR, TASTES))
    found: dict[int, None] = {}
    for _ in range(generator.integers(8, 16)):
        if generator.random() < 0.5:
            at = (at + 1) % POPULAR
            found[at] = None
        else:
            found[POPULAR + taste + TASTES * int(generator.integers(RARE // TASTES))] = None
    return list(found)


def measured(dataset: Dataset, items: dict[str, Any], seed: int) -> np.ndarray:
    users = {"window": 16, "layers": 1, "heads": 2, "feedforward": 32, "dropout": 0.1}
    length = {"epochs": 40, "patience": 6, "batch_size": 64, "learning_rate": 0.005}
    settings = TrainSettings.from_mapping(
        {
            "model": {"items": {"width": 32, **items}, "users": users, "prior": "none"},
            "training": {**length, "seed": seed, "device": "cpu", "tensorboard": False, "estimate": False},
            "tune": "full",
        }
    )
    model, _ = train([dataset], settings, console=Console(quiet=True))
    split = leave_one_out(dataset.interactions)
    return ndcg(rank_targets(ModelRanker.of(model, dataset, split, place=0), split, split.test).ranks, 10)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, np.ndarray]:
    platforms = {seed: platform(seed) for seed in SEEDS}
    return {name: np.concatenate([measured(platforms[seed], items, seed) for seed in SEEDS]) for name, items in READ.items()}


@pytest.mark.parametrize("other", ["content", "with whole ids"])
def test_ids_that_are_shrunk_where_few_events_taught_them_win(outcomes: dict[str, np.ndarray], other: str) -> None:
    gains = outcomes["with ids"] - outcomes[other]
    lower = np.mean(gains) - stats.sem(gains) * stats.t.ppf(0.95, len(gains) - 1)
    assert lower > 0, f"NDCG@10 {np.mean(gains):+.4f}, at least {lower:+.4f}"
