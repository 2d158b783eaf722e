"""A small world whose items have a text and a picture, and a run on one platform of it: enough for a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from comparing_ground import trained
from told import Told as Told

from transrec.data.dataset import Dataset
from transrec.data.worlds import World
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.recipes.studies.study import Study

QUICK = {"seeds": "0", "permutations": 100, "evaluation": {"resamples": 100}}


@dataclass(frozen=True)
class Ground:
    run: Path
    source: Dataset
    target: Dataset
    world: World


@dataclass(frozen=True)
class Done:
    study: Study
    folder: Path
    text: str


def make_ground(folder: Path) -> Ground:
    world = World.make(np.random.default_rng(0), topics=4, picture_side=16)
    source, target = (
        world.platform(name, users=60, items=40, generator=np.random.default_rng(seed), modalities="both")
        for seed, name in enumerate(("source", "target"))
    )
    source, target = source.save(folder / "source"), target.save(folder / "target")
    new_text_backbone(source.catalog.column("text").to_list(), folder / "text", width=16, layers=1, heads=2)
    new_image_backbone(folder / "image", side=16, width=8, layers=1)
    items = {
        "width": 16,
        "text": {"backbone": str(folder / "text"), "max_length": 16},
        "image": {"backbone": str(folder / "image")},
    }
    return Ground(trained(folder / "run", source, model={"items": items}, tune="frozen"), source, target, world)
