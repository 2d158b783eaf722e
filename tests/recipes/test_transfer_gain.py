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
import pytest
from rich.console import Console
from scipy import stats

from transrec.data.dataset import Dataset
from transrec.data.splits import Targets, leave_one_out
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
FEW_EVENTS = Behaviour(shortest=5, longest=7)
BASE = 40
"""Users of the smallest source; the largest has 16 times as many."""


@dataclass(frozen=True)
class Outcome:
    """HR@10 on the test events of one world's targets."""

    scratch: Mapping[str, float]
    transferred: Mapping[str, float]
    transferred_from_few: Mapping[str, float]


def small_model(backbones: Path) -> dict[str, Any]:
    items = {
        "width": 32,
        "projection": "norm",
        "text": {"backbone": str(backbones / "text"), "max_length": 24},
        "image": {"backbone": str(backbones / "image")},
    }
    return {"items": items, "users": {"window": 12, "layers": 1, "heads": 2, "feedforward": 64}}


def training(steps: int, rate: float, **others: Any) -> dict[str, Any]:
    rates = {"learning_rate": rate, "encoder_learning_rate": rate}
    return {"epochs": 1000, "max_steps": steps, **rates, "tensorboard": False, "patience": 1000, "device": "cpu", **others}


def new_backbones(folder: Path, source: Dataset, seed: int) -> Path:
    texts = [text for text in source.catalog.column("text").to_list() if text]
    new_text_backbone(texts, folder / "text", width=32, layers=1, heads=2, seed=seed)
    new_image_backbone(folder / "image", kind="vit", width=32, layers=1, seed=seed)
    return folder


def hit_rate(model: TransRec, dataset: Dataset, targets: Targets) -> float:
    store = ContentStore.prepare(dataset.catalog, model.items.preparers())
    ranker = ModelRanker(model, CatalogIndex.encode(model, store))
    return float((rank_targets(ranker, leave_one_out(dataset.interactions), targets).ranks <= 10).mean())


def outcome(seed: int, folder: Path) -> Outcome:
    worlds, *platforms = np.random.default_rng([seed, 77]).spawn(5)
    world = World.make(worlds, topics=8, styles=3)
    source = world.platform("source", users=16 * BASE, items=360, generator=platforms[0])
    few = world.platform("few", users=BASE, items=360, generator=platforms[1])
    targets = {
        kind: world.platform(kind, users=200, items=240, modalities=kind, behaviour=FEW_EVENTS, generator=generator)
        for kind, generator in zip(TARGETS, platforms[2:], strict=True)
    }
    backbones = new_backbones(folder / "backbones", source, seed)
    found: dict[str, dict[str, float]] = {"scratch": {}, "many": {}, "few": {}}
    for name, data in {"many": source, "few": few}.items():
        chosen = training(STEPS, 4e-3, seed=seed, validate_every=5 if name == "many" else 50)
        settings = TrainSettings.from_mapping({"training": chosen, "model": small_model(backbones), "tune": "full"})
        train([data], settings, folder / name, console=QUIET)
    for kind, target in targets.items():
        test = leave_one_out(target.interactions).test
        chosen = training(60, 3e-3, seed=seed, validate_every=3)
        settings = TrainSettings.from_mapping({"training": chosen, "model": small_model(backbones), "tune": "full"})
        found["scratch"][kind] = hit_rate(train([target], settings, console=QUIET)[0], target, test)
        for name in ("many", "few"):
            chosen = training(40, 1e-3, seed=seed, validate_every=2)
            moved = TransferSettings.from_mapping({"training": chosen, "tune": "full"})
            found[name][kind] = hit_rate(transfer(folder / name, target, moved, console=QUIET)[0], target, test)
    return Outcome(found["scratch"], found["many"], found["few"])


STEPS = 300

if __name__ == "__main__":
    import sys
    import tempfile
    import time

    STEPS = int(sys.argv[1])
    for s in map(int, sys.argv[2].split(",")):
        t = time.process_time()
        print(s, outcome(s, Path(tempfile.mkdtemp())), round(time.process_time() - t, 1), flush=True)
