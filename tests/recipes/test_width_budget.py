"""Where vectors may have eight numbers only, one nested training beats the plain recipe cut to eight, over seeds.

Every seed is another world: items have a given vector of 64 numbers that says their topic and style amid noise, users walk
from topic to topic. Weights are chosen on validation events, numbers are NDCG@10 on test events.
"""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.splits import leave_one_out
from transrec.data.worlds import World
from transrec.evaluation.metrics import ndcg
from transrec.evaluation.ranks import ModelRanker, rank_targets
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train
from transrec.rules.slicing import compared, sliced

SEEDS = range(5)
BUDGET, WIDTH = 8, 64


def platform(seed: int) -> Dataset:
    drawn = World.make(np.random.default_rng(seed), topics=12).platform(
        "world", users=300, items=300, generator=np.random.default_rng(seed + 100), modalities="text"
    )
    generator = np.random.default_rng(seed + 200)
    codes = [drawn.catalog.column(name).cast(str).to_list() for name in ("topic", "style")]
    meanings = [{code: generator.normal(size=WIDTH) for code in sorted(set(each))} for each in codes]
    vectors = [sum(m[c] for m, c in zip(meanings, own, strict=True)) for own in zip(*codes, strict=True)]
    noise = generator.normal(size=(len(vectors), WIDTH)) * generator.uniform(0, 1.5, size=WIDTH)
    items = [Item(i, vectors={"given": v + n}) for i, v, n in zip(drawn.catalog.ids, vectors, noise, strict=True)]
    return Dataset(Catalog.from_items(items), drawn.interactions, name="world")


def trained(data: Dataset, seed: int, *, nested: bool) -> TransRec:
    sizes = [BUDGET, 2 * BUDGET, WIDTH // 2, WIDTH] if nested else []
    users = {"window": 12, "layers": 1, "heads": 8, "feedforward": 64, "kind": "lru" if nested else "transformer"}
    settings = TrainSettings.from_mapping(
        {
            "model": {"items": {"width": WIDTH, "nested": sizes}, "users": users, "prior": "none"},
            "objective": {"matryoshka": {"sizes": sizes}},
            "training": {"epochs": 12, "learning_rate": 0.003, "seed": seed, "device": "cpu", "tensorboard": False},
            "tune": "frozen",
        }
    )
    return train([data], settings, console=Console(quiet=True))[0]


def quality(model: TransRec, data: Dataset) -> float:
    split = leave_one_out(data.interactions)
    return float(ndcg(rank_targets(ModelRanker.of(model, data, split), split, split.test).ranks, 10).mean())


@pytest.mark.slow
def test_a_nested_training_is_worth_more_at_a_small_width_and_little_less_at_the_whole() -> None:
    found = []
    for seed in SEEDS:
        data = platform(seed)
        plain, nested = (trained(data, seed, nested=how) for how in (False, True))
        cuts = [sliced(nested, width)[0] for width in (BUDGET, 2 * BUDGET, WIDTH // 2)]
        forms = (compared(plain, BUDGET).eval(), *cuts, plain, nested)
        found.append([quality(model, data) for model in forms])
    cut, small, middle, half, plain_whole, nested_whole = np.array(found).T
    assert (small > cut).all() and stats.ttest_rel(small, cut, alternative="greater").pvalue < 0.01
    assert small.mean() > 1.5 * cut.mean()
    for narrow, wide in ((small, middle), (middle, half), (half, nested_whole)):
        assert wide.mean() > narrow.mean() - 0.005, "width is worth something, or costs nothing"
    assert nested_whole.mean() > 0.85 * plain_whole.mean(), "the price of nesting is about a tenth here"
