"""From a platform that goes half the same ways, a fraction of the user tower is worth more than all of it or nothing.

Items have a vector of their topic, amid noise, and topics mean the same on both platforms. Users go from topic to topic, on
each platform in an order of its own; on the source six topics of twelve are followed by another topic than on the target.
Sixty users train for twenty steps, a thousand are tested. The worlds of these seeds were not looked at before.
"""

from __future__ import annotations

from pathlib import Path

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
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer

SEEDS = range(30, 34)
TOPICS, ITEMS, WIDTH = 12, 240, 24
MODEL = {"items": {"width": WIDTH}, "users": {"window": 8, "layers": 1, "heads": 2, "feedforward": 48}, "prior": "none"}
QUIET = Console(quiet=True)


def platform(meanings: np.ndarray, following: np.ndarray, *, users: int, seed: int) -> Dataset:
    chance = np.random.default_rng(seed)
    topics, length = np.arange(ITEMS) % TOPICS, 10
    noise = 0.25 * chance.normal(size=(ITEMS, WIDTH))
    items = [Item(f"i{row}", vectors={"given": meanings[topics[row]] + noise[row]}) for row in range(ITEMS)]
    rows = np.empty((users, length), dtype=np.int64)
    for user in range(users):
        topic = chance.integers(TOPICS)
        for place in range(length):
            rows[user, place] = chance.choice(np.flatnonzero(topics == topic))
            topic = following[topic] if chance.random() < 0.85 else chance.integers(TOPICS)
    columns = {"user": np.repeat(np.arange(users), length).astype(str), "row": rows.ravel()}
    events = pl.DataFrame({**columns, "time": np.tile(np.arange(float(length)), users)})
    return Dataset(Catalog.from_items(items), Interactions.from_columns(events), name="world")


def world(seed: int) -> tuple[Dataset, Dataset, Dataset]:
    """The source, the target with the few users who train, and with those who are tested."""
    chance = np.random.default_rng(seed)
    meanings = 2 * np.linalg.qr(chance.normal(size=(WIDTH, WIDTH)))[0][:TOPICS]
    order = chance.permutation(TOPICS)
    here = np.empty(TOPICS, dtype=np.int64)
    here[order] = np.roll(order, -1)
    there, moved = here.copy(), chance.choice(TOPICS, TOPICS // 2, replace=False)
    there[moved] = here[np.roll(moved, 1)]
    return (
        platform(meanings, there, users=1500, seed=seed + 100),
        platform(meanings, here, users=60, seed=seed + 200),
        platform(meanings, here, users=1000, seed=seed + 200),
    )


def settings(seed: int, epochs: int) -> dict[str, object]:
    loop = {"epochs": epochs, "validate_every": epochs, "batch_size": 32, "learning_rate": 0.003, "seed": seed}
    return {"training": {**loop, "device": "cpu", "tensorboard": False}, "tune": "frozen"}


def quality(model: TransRec, data: Dataset) -> float:
    split = leave_one_out(data.interactions)
    return float(ndcg(rank_targets(ModelRanker.of(model, data, split), split, split.test).ranks, 10).mean())


@pytest.mark.slow
def test_a_fraction_is_worth_more_than_all_or_nothing(tmp_path: Path) -> None:
    found = []
    for seed in SEEDS:
        source, target, tested = world(seed)
        long = TrainSettings.from_mapping({"model": MODEL, **settings(seed, 15)})
        train([source], long, tmp_path / str(seed), console=QUIET)
        fresh = train([target], TrainSettings.from_mapping({"model": MODEL, **settings(seed, 10)}), console=QUIET)[0]
        row = [quality(fresh, tested)]
        for rules in ([], ["users.*=fraction(0.2)"]):
            chosen = TransferSettings.from_mapping({**settings(seed, 10), "rules": rules})
            row.append(quality(transfer(tmp_path / str(seed), target, chosen, console=QUIET)[0], tested))
        found.append(row)
    scratch, copied, part = np.array(found).T
    assert (part > scratch).all() and part.mean() > copied.mean() + 0.01
    assert stats.ttest_rel(part, copied, alternative="greater").pvalue < 0.05
