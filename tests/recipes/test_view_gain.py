"""A world in which items have some of four views, and a user looks at one: scores of views find what one vector blurs."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train

VIEWS, KINDS, WIDTH = 4, 12, 16


def world(seed: int, *, users: int = 300, items: int = 240) -> Dataset:
    """Every view of an item shows one of twelve kinds, and each view of it is there or not.

    A user wants one kind in one view, whatever the other views show. An item that has k views is, as the mean of them, at
    1 / sqrt(k) of the cosine from what he wants, below items that have one view and a little of it by chance; as the best of
    its view scores it is as near as any.
    """
    generator = np.random.default_rng(seed)
    tables = [np.linalg.qr(generator.normal(size=(WIDTH, WIDTH)))[0][:KINDS] for _ in range(VIEWS)]
    kinds = generator.integers(KINDS, size=(items, VIEWS))
    there = generator.random((items, VIEWS)) < 0.6
    there[np.arange(items), generator.integers(VIEWS, size=items)] = True
    noise = 0.3 / np.sqrt(WIDTH) * generator.normal(size=(items, VIEWS, WIDTH))
    drawn = [
        Item(f"i{n}", vectors={f"v{m}": tables[m][kinds[n, m]] + noise[n, m] for m in range(VIEWS) if there[n, m]})
        for n in range(items)
    ]
    taken = []
    for user in range(users):
        fitting = np.flatnonzero((kinds[:, user % VIEWS] == generator.integers(KINDS)) & there[:, user % VIEWS])
        taken.append(generator.permutation(fitting)[: int(generator.integers(5, 9))])
    lengths = [len(rows) for rows in taken]
    times = np.concatenate([np.arange(n, dtype=float) for n in lengths])
    names = np.repeat(np.arange(users), lengths).astype(str)
    events = pl.DataFrame({"user": names, "row": np.concatenate(taken), "time": times})
    return Dataset(Catalog.from_items(drawn), Interactions.from_columns(events), name="views")


def reached(seed: int, **chosen: object) -> float:
    """The best NDCG@10 of validation."""
    users = {"window": 8, "layers": 1, "heads": 2, "feedforward": 32}
    loop = {"epochs": 20, "batch_size": 64, "learning_rate": 3e-3, "device": "cpu", "tensorboard": False, "seed": seed}
    model = {"items": {"width": 64}, "users": users, "prior": "none", **chosen}
    settings = TrainSettings.from_mapping({"model": model, "training": loop, "tune": "full"})
    _, result = train([world(seed)], settings, console=Console(quiet=True))
    return result.best


@pytest.mark.slow
def test_scores_of_views_win_where_items_lack_views() -> None:
    gains, over_static = [], []
    for seed in range(5):
        fused = reached(seed, scorer="views")
        gains.append(fused - reached(seed))
        over_static.append(fused - reached(seed, scorer="views", fusing="static"))
    assert np.mean(gains) > 2 * np.std(gains, ddof=1) / np.sqrt(5) and sum(gain > 0 for gain in gains) >= 4, gains
    assert min(over_static) > 0, "that the scale is learned is what does it"
