"""What the project is for: a model that learned on one platform ranks better on others that share no user and no item.

Every seed is another world with a source of mixed modalities and two targets of 200 users. Weights are chosen on validation
events, all numbers are HR@10 on test events, ranked among the whole catalog.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.data.worlds import Behaviour, Modalities, World
from transrec.evaluation.ranks import ModelRanker, rank_targets
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer
from transrec.retrieval.index import CatalogIndex

SEEDS = range(5)
TARGETS: tuple[Modalities, ...] = ("mixed", "image")
QUIET = Console(quiet=True)
SHORT = Behaviour(shortest=5, longest=7)
FEW = 75
"""Users of the smallest source; the largest has 16 times as many."""


@dataclass(frozen=True)
class Outcome:
    """HR@10 on the test events of one world's targets."""

    scratch: Mapping[str, float]
    transferred: Mapping[str, float]
    zero_shot: Mapping[str, float]


def training(seed: int, *, steps: int, rate: float, validate_every: int) -> dict[str, Any]:
    rates = {"learning_rate": rate, "encoder_learning_rate": rate}
    lengths = {"epochs": 1000, "max_steps": steps, "patience": 1000, "validate_every": validate_every}
    return {**rates, **lengths, "seed": seed, "tensorboard": False, "device": "cpu"}


def settings(folder: Path, seed: int, *, steps: int, rate: float, validate_every: int) -> TrainSettings:
    items = {
        "width": 48,
        "projection": "norm",
        "text": {"backbone": str(folder / "text"), "max_length": 24},
        "image": {"backbone": str(folder / "image")},
    }
    users = {"window": 12, "layers": 1, "heads": 2, "feedforward": 96}
    chosen = training(seed, steps=steps, rate=rate, validate_every=validate_every)
    return TrainSettings.from_mapping({"model": {"items": items, "users": users}, "training": chosen, "tune": "full"})


def hit_rate(model: TransRec, dataset: Dataset) -> float:
    store = ContentStore.prepare(dataset.catalog, model.items.preparers())
    split = leave_one_out(dataset.interactions)
    ranked = rank_targets(ModelRanker(model, CatalogIndex.encode(model, store)), split, split.test)
    return float((ranked.ranks <= 10).mean())


def outcome(seed: int, folder: Path) -> Outcome:
    worlds, *platforms = np.random.default_rng([seed, 77]).spawn(5)
    world = World.make(worlds, topics=12, styles=3)
    many = world.platform("many", users=16 * FEW, items=720, generator=platforms[0])
    few = world.platform("few", users=FEW, items=720, generator=platforms[1])
    targets = {
        kind: world.platform(kind, users=200, items=360, modalities=kind, behaviour=SHORT, generator=generator)
        for kind, generator in zip(TARGETS, platforms[2:], strict=True)
    }
    texts = [text for text in many.catalog.column("text").to_list() if text]
    new_text_backbone(texts, folder / "text", width=48, layers=1, heads=2, seed=seed)
    new_image_backbone(folder / "image", kind="vit", width=48, layers=1, seed=seed)
    pretrained, _ = train(
        [many], settings(folder, seed, steps=STEPS, rate=3e-3, validate_every=9), folder / "many", console=QUIET
    )
    from_few, _ = train([few], settings(folder, seed, steps=60, rate=3e-3, validate_every=10), console=QUIET)
    scratch, transferred = {}, {}
    for kind, target in targets.items():
        model, _ = train([target], settings(folder, seed, steps=60, rate=3e-3, validate_every=3), console=QUIET)
        scratch[kind] = hit_rate(model, target)
        moved = TransferSettings.from_mapping(
            {"training": training(seed, steps=40, rate=1e-3, validate_every=2), "tune": "full"}
        )
        model, _ = transfer(folder / "many", target, moved, console=QUIET)
        transferred[kind] = hit_rate(model, target)
    zero_shot = {"many": hit_rate(pretrained, targets["mixed"]), "few": hit_rate(from_few, targets["mixed"])}
    return Outcome(scratch, transferred, zero_shot)


STEPS = 300

if __name__ == "__main__":
    import sys
    import tempfile
    import time

    STEPS = int(sys.argv[1])
    for s in map(int, sys.argv[2].split(",")):
        t = time.process_time()
        print(s, outcome(s, Path(tempfile.mkdtemp())), round(time.process_time() - t, 1), flush=True)
