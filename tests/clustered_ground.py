"""A small platform of texts and pictures and its training without dropout, for the tests of trainings on a cluster."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import torch
from shared_ground import ground

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.recipes.fitting import TrainSettings

STEPS = 50
BATCH = 3


def laid(folder: Path) -> TrainSettings:
    """A dataset in ``folder/rare``, two small networks beside it, and the settings of a training on them."""
    ground(folder)
    both = Dataset.open(folder / "data")
    # few have pictures, so that a worker's share of a batch often has none
    there = both.catalog.items(range(len(both.catalog)))
    pictured = [item.id for item in there if item.image][::5]
    spare = itertools.cycle(item.text for item in there if item.text)
    items = [
        Item(item.id, image=item.image) if item.id in pictured else Item(item.id, text=item.text or next(spare))
        for item in there
    ]
    Dataset(Catalog.from_items(items), both.interactions, "rare").save(folder / "rare")
    for name in ("text", "image"):
        path = folder / name / "config.json"
        still = dict.fromkeys(("attention_probs_dropout_prob", "hidden_dropout_prob"), 0.0)
        path.write_text(json.dumps({**json.loads(path.read_text()), **still}))
    return TrainSettings.from_mapping(
        {
            "model": {
                "items": {
                    "width": 16,
                    "text": {"backbone": str(folder / "text"), "max_length": 12},
                    "image": {"backbone": str(folder / "image")},
                },
                "users": {"window": 6, "layers": 1, "heads": 2, "feedforward": 16, "dropout": 0.0},
            },
            "tune": "full",
            "training": {
                "epochs": 100,
                "max_steps": STEPS,
                "batch_size": BATCH,
                "device": "cpu",
                "tensorboard": False,
                "log_every": 1,
                "patience": 100,
                "keep": "last",
            },
        }
    )


def rows(run: Path) -> list[dict[str, float]]:
    """What a training has written down, without times."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("windows_per_second", "waiting_for_input")} for row in found]


def largest_difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """The norm of the difference of all weights, as a share of the norm of all weights."""
    assert ours.keys() == theirs.keys()
    apart = sum(float((ours[name].double() - theirs[name].double()).square().sum()) for name in ours)
    whole = sum(float(theirs[name].double().square().sum()) for name in ours)
    return (apart / whole) ** 0.5
