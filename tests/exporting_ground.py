"""A run that reads texts, pictures and given vectors, and whose users read times, exported once for all tests that look."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.store import ContentStore
from transrec.data.worlds import World
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.model import ModelSettings, TransRec
from transrec.recipes.export import export

USERS = {"kind": "gated", "window": 6, "layers": 1, "heads": 2}


def mixed_platform(*, users: int = 30, items: int = 40) -> Dataset:
    """Items with a text, a picture, a given vector, or several of them; the last item has nothing that the model reads."""
    world = World.make(np.random.default_rng(0), topics=3)
    drawn = world.platform("mixed", users=users, items=items, generator=np.random.default_rng(1))
    generator = np.random.default_rng(2)
    changed = []
    for place, item in enumerate(drawn.catalog.items(range(items))):
        given = {"given": generator.normal(3.0, 2.0, size=8)} if place % 3 else {}
        text = item.text if place % 2 or not given else None
        image = item.image if place % 4 or not given else None
        changed.append(Item(item.id, text=text, image=image, vectors=given))
    changed[-1] = Item(changed[-1].id, vectors={"unread": np.ones(2)})
    titles = [f"thing {n}" for n in range(items)]
    return Dataset(Catalog.from_items(changed, {"title": titles}), drawn.interactions, name="mixed")


def mixed_model(dataset: Dataset, folder: Path, **users: object) -> TransRec:
    """A model of it as far away from its start as training might have led."""
    texts = [text for text in dataset.catalog.column("text").to_list() if text]
    text = new_text_backbone(texts, folder / "text", width=16, layers=1, heads=2, max_length=24)
    image = new_image_backbone(folder / "image", side=16, kind="vit", width=16, layers=1)
    items = {"width": 16, "fusion": "gated", "modalities": ["text", "image", "given"]}
    chosen = {"text": {"backbone": str(text), "max_length": 16}, "image": {"backbone": str(image)}}
    settings = ModelSettings.from_mapping({"items": {**items, **chosen}, "users": {**USERS, **users}})
    model = TransRec.build(settings, [dataset.catalog], seed=0)
    store = ContentStore.prepare(dataset.catalog, model.items.preparers())
    model.items.calibrate(store.sample(100, seed=0), list(model.items.encoders))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".backbone." not in name and "log_scale" not in name:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


class ExportedRun:
    """The run, its data, and the exported folder, with what was told."""

    def __init__(self, folder: Path) -> None:
        self.dataset = mixed_platform().save(folder / "data")
        mixed_model(self.dataset, folder).save(folder / "run")
        self.run, self.out = folder / "run", folder / "out"
        told = io.StringIO()
        self.manifest = export(self.run, self.out, folder / "data", console=Console(file=told, width=200))
        self.told = told.getvalue()
