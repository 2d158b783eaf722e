"""A model that cannot learn fifty users by heart cannot learn anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console

from transrec.data.splits import Targets, leave_one_out
from transrec.data.store import ContentStore
from transrec.data.worlds import World
from transrec.evaluation.ranks import ModelRanker, rank_targets
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train
from transrec.retrieval.index import CatalogIndex


def test_fifty_users_are_learned_by_heart(tmp_path: Path) -> None:
    worlds, platforms = np.random.default_rng(0).spawn(2)
    data = World.make(worlds, topics=6, styles=2).platform("p", users=50, items=150, generator=platforms)
    texts = [text for text in data.catalog.column("text").to_list() if text]
    new_text_backbone(texts, tmp_path / "text", width=32, layers=1, heads=2)
    new_image_backbone(tmp_path / "image", kind="vit", width=32, layers=1)
    items = {
        "width": 32,
        "projection": "norm",
        "text": {"backbone": str(tmp_path / "text"), "max_length": 24},
        "image": {"backbone": str(tmp_path / "image")},
    }
    users = {"window": 20, "layers": 1, "heads": 2, "feedforward": 64, "dropout": 0.0}
    rates = {"learning_rate": 5e-3, "encoder_learning_rate": 5e-3, "weight_decay": 0.0}
    # the last validation alone decides, so that the weights are those of the end
    lengths = {"epochs": 200, "validate_every": 200, "batch_size": 50}
    training = {**rates, **lengths, "tensorboard": False, "device": "cpu"}
    settings = TrainSettings.from_mapping({"model": {"items": items, "users": users}, "training": training, "tune": "full"})
    model, _ = train([data], settings, console=Console(quiet=True))
    split = leave_one_out(data.interactions)
    learned = Targets(np.arange(50), split.train_ends - 1)
    ranker = ModelRanker(model, CatalogIndex.encode(model, ContentStore.prepare(data.catalog, model.items.preparers())))
    assert (rank_targets(ranker, split, learned).ranks <= 10).mean() > 0.95
