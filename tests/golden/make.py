"""Makes the golden files: small folders in this version's formats, and what is read out of them.

    PYTHONPATH=tests python tests/golden/make.py NUMBER

writes ``tests/golden/NUMBER``. Raise the number with the version of any format, and leave the folders that are there: the
tests read all of them, and ``expected.json`` of each beside. Everything is drawn from fixed seeds, but for the names that
Lance gives its files.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from golden_formats import formats_in_code
from PIL import Image
from rich.console import Console

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.evaluation.protocol import EvaluationSettings
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.recipes.continuing import carry_on
from transrec.recipes.evaluate import evaluate
from transrec.recipes.export import export
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train
from transrec.runs import RunRecord
from transrec.serving.recommender import Recommender

QUIET = Console(quiet=True)
WORDS = ("red", "blue", "green", "round", "small", "large", "soft", "hard", "old", "new")
NEW = Item("new", text="small round red", vectors={"given": np.linspace(-1, 1, 4)})
SETTINGS = {
    "model": {
        "items": {"width": 8, "text": {"backbone": "text", "max_length": 8}, "image": {"backbone": "image"}},
        "users": {"window": 4, "layers": 1, "heads": 2, "feedforward": 8},
    },
    "training": {"epochs": 2, "batch_size": 16, "device": "cpu", "tensorboard": False, "estimate": False, "seed": 1},
    "tune": "frozen",
}


def picture(generator: np.random.Generator) -> bytes:
    """A PNG of 8 by 8 pixels."""
    file = io.BytesIO()
    Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def platform(generator: np.random.Generator) -> Dataset:
    """Eighteen items of a text, a picture, given vectors, or several of them; thirty users."""
    items = [
        Item(
            f"i{n}",
            text=" ".join(generator.choice(WORDS, 3)) if n % 3 != 1 else None,
            image=picture(generator) if n % 3 else None,
            vectors={"given": generator.normal(size=4)} if n % 2 else {},
        )
        for n in range(18)
    ]
    lengths = generator.integers(4, 9, size=30)
    events = pl.DataFrame(
        {
            "user": np.repeat([f"u{n}" for n in range(30)], lengths),
            "row": np.concatenate([(generator.integers(18) + np.arange(n)) % 18 for n in lengths]),
            "time": np.concatenate([1.7e9 + 3600.0 * np.arange(n) for n in lengths]),
        }
    )
    titles = {"title": [f"thing {n}" for n in range(18)], "price": [float(n) for n in range(18)]}
    return Dataset(Catalog.from_items(items, titles), Interactions.from_columns(events), name="golden")


def make(folder: Path) -> None:
    """Fill an empty folder; it becomes the working directory, so that paths in settings are relative."""
    os.chdir(folder)
    data = platform(np.random.default_rng(0)).save("data")
    texts = [text for text in data.catalog.column("text").to_list() if text]
    new_text_backbone(texts, "text", width=8, layers=1, heads=2, vocabulary=280, max_length=12)
    new_image_backbone("image", side=8, width=4, layers=1)
    settings = TrainSettings.from_mapping(SETTINGS)
    train(["data"], settings, "run", console=QUIET)
    evaluate("run", settings=EvaluationSettings(resamples=100), baselines=(), device="cpu", console=QUIET)
    recommender = Recommender.load("run")
    recommender.add([NEW], {"title": ["a new thing"], "price": [3.5]})
    recommender.remove(["i2"])
    recommender.close()
    export("run", "export", console=QUIET)
    carry_on("run", "data", settings, "later", console=QUIET)
    expected = {
        "formats": formats_in_code(),
        "fingerprint": data.fingerprint,
        "recommended": {
            item_id: [[r.id, r.score] for r in recommender.recommend([item_id, "i5"], k=4).items]
            for item_id in ("i0", "new")
        },
        "vectors": {item_id: vector_of(recommender, item_id) for item_id in ("i0", "i1", "i3", "new")},
    }
    Path("expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    strip(folder)


def vector_of(recommender: Recommender, item_id: str) -> list[float]:
    """The vector of an item in the index."""
    [row] = recommender.catalog.rows([item_id])
    return [float(number) for number in recommender.index.vectors_VD[int(row)]]


def strip(folder: Path) -> None:
    """Leave what the tests read, without the paths of this machine."""
    for gone in (
        "text",
        "image",
        "run/checkpoints/before",
        "later/checkpoints",
        "later/encoders",
        "later/model.safetensors",
    ):
        shutil.rmtree(folder / gone) if (folder / gone).is_dir() else (folder / gone).unlink()
    for path in (folder / "export").iterdir():
        if path.name != "manifest.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for run in ("run", "later"):
        record = RunRecord.read(folder / run)
        data = tuple(own.model_copy(update={"path": ""}) for own in record.data)
        ancestors = tuple(own.model_copy(update={"path": ""}) for own in record.ancestors)
        source = Path(record.source).name
        record.model_copy(update={"data": data, "ancestors": ancestors, "source": source}).write(folder / run)
    for path in folder.rglob("*"):
        if path.is_file():
            assert not re.search(re.escape(str(folder)).encode(), path.read_bytes()), f"{path} has a path of this machine"


if __name__ == "__main__":
    place = Path(__file__).parent.resolve() / sys.argv[1]
    if place.exists():
        sys.exit(f"{place.name} is there already: formats that have been released do not change, take another number")
    building = Path(tempfile.mkdtemp())
    make(building)
    shutil.copytree(building, place)
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    print(f"{place.name}: {size:,} bytes")
