"""A small run that reads texts' vectors and pictures, on disk, and clients of its service."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cases import platform
from drawn import drawn

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.item import Item
from transrec.items.scratch import new_image_backbone
from transrec.model import ModelSettings, TransRec
from transrec.serving.http.application import build_app
from transrec.serving.http.held import Held
from transrec.serving.http.settings import ServeSettings, Tokens
from transrec.serving.recommender import Recommender

SIZE = 12


class PictureRun:
    """Twelve items with pictures, prices and stock, and an untrained model that sees; both on disk."""

    def __init__(self, folder: Path) -> None:
        events = platform(users=10, items=SIZE).interactions
        items = [Item(id=f"i{n}", image=drawn(n)) for n in range(SIZE)]
        columns = {
            "title": [f"thing {n}" for n in range(SIZE)],
            "price": [float(n) for n in range(SIZE)],
            "in_stock": [n % 2 == 0 for n in range(SIZE)],
        }
        self.data = folder / "data"
        self.dataset = Dataset(Catalog.from_items(items, columns), events, name="small").save(self.data)
        new_image_backbone(folder / "image", side=32, width=16, layers=1)
        settings = ModelSettings.from_mapping(
            {
                "items": {"width": 16, "image": {"backbone": str(folder / "image")}},
                "users": {"window": 6, "layers": 1, "heads": 2, "feedforward": 16},
            }
        )
        self.run = folder / "run"
        self.model = TransRec.build(settings, [self.dataset.catalog], seed=0).eval()
        self.model.save(self.run)

    def held(self) -> Held:
        return Held(Recommender.load(self.run, self.data), lambda: Recommender.load(self.run, self.data), run=self.run)


def vectors_app(**chosen: object) -> object:
    """An application over fifty items with given vectors, in memory, that lets everybody write."""
    dataset = platform()
    from cases import SETTINGS

    model = TransRec.build(SETTINGS, [dataset.catalog], seed=0).eval()
    settings = ServeSettings.from_mapping({"open_writes": True, **chosen})
    return build_app(Held(Recommender.of(model, dataset)), settings, Tokens(open_writes=True))


def vector(seed: int) -> list[float]:
    return [float(value) for value in np.random.default_rng(seed).normal(size=8)]
