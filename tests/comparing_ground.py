"""A run and a target that share nothing, small enough to compare in a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cases import SETTINGS, platform
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.worlds import World
from transrec.items.scratch import new_text_backbone
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train

QUIET = Console(quiet=True)
TRAINING = {"epochs": 2, "batch_size": 16, "device": "cpu", "tensorboard": False}


@dataclass(frozen=True)
class Ground:
    folder: Path
    run: Path
    source: Dataset
    target: Dataset

    def bench(self, **given: Any) -> Bench:
        return Bench.open(self.run, self.target, asked(**given))


def asked(**given: Any) -> CompareSettings:
    return CompareSettings.from_mapping({"evaluation": {"resamples": 100}, "permutations": 200, **given})


def trained(folder: Path, dataset: Dataset, **given: Any) -> Path:
    """A run in this folder; ``given`` are training settings, and what else a run is made of."""
    model = {**SETTINGS.model_dump(mode="json"), "prior": "none", **given.pop("model", {})}
    settings: Mapping[str, Any] = {"model": model, "training": TRAINING, "tune": "full", **given}
    train([dataset], TrainSettings.from_mapping(settings), folder, console=QUIET)
    return folder


def make_ground(folder: Path) -> Ground:
    source = platform(seed=5).save(folder / "source")
    target = platform(users=80, seed=6).save(folder / "target")
    return Ground(folder, trained(folder / "run", source), source, target)


def text_run(folder: Path, *, tune: str = "full") -> tuple[Dataset, Dataset, Path]:
    """Two platforms of one small world whose items are texts, and a run on the first."""
    world = World.make(np.random.default_rng(0), topics=4)
    source, target = (
        world.platform(name, users=60, items=40, generator=np.random.default_rng(seed), modalities="text")
        for seed, name in enumerate(("source", "target"))
    )
    new_text_backbone(source.catalog.column("text").to_list(), folder / "text", width=16, layers=1, heads=2)
    items = {"width": 16, "text": {"backbone": str(folder / "text"), "max_length": 16}}
    return source, target, trained(folder / "run", source, model={"items": items}, tune=tune)
