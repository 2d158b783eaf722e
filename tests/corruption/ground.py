"""A small good platform, everything that the command line reads of it, and a run that learned from it; all of it on disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import yaml
from drawn import drawn

from transrec.cli import app
from transrec.items.scratch import new_image_backbone, new_text_backbone

ITEMS, USERS, WIDTH = 12, 8, 4
TEXTS = [f"thing number {n} of the shop" for n in range(ITEMS)]


def make_ground(folder: Path) -> None:
    """Write tables, pictures, encoders, settings, a dataset of three modalities and a run."""
    (folder / "pictures").mkdir(parents=True)
    for n in range(ITEMS):
        (folder / "pictures" / f"i{n}.png").write_bytes(drawn(n, side=32))
    generator = np.random.default_rng(0)
    vectors = [" ".join(f"{number:.3f}" for number in generator.normal(size=WIDTH)) for _ in range(ITEMS)]
    rows = [f"i{n},{text},{float(n)},{vectors[n]}" for n, text in enumerate(TEXTS)]
    (folder / "items.csv").write_text("\n".join(["item,title,price,given", *rows]) + "\n")
    events = [f"u{user},i{(user + step) % ITEMS},{100 * step + user}" for user in range(USERS) for step in range(6)]
    (folder / "views.csv").write_text("\n".join(["user,item,time", *events]) + "\n")
    new_text_backbone(TEXTS, folder / "text", width=16, layers=1, heads=2)
    new_image_backbone(folder / "image", side=32, width=16, layers=1)
    (folder / "small.yaml").write_text(yaml.safe_dump(settings_of(folder)))
    tables = f"--interactions {folder}/views.csv --items {folder}/items.csv --images {folder}/pictures"
    typed(f"ingest {tables} --vectors given=given --out {folder}/data")
    typed(f"train {folder}/data --config {folder}/small.yaml --out {folder}/run")
    typed(f"index {folder}/run")


def settings_of(folder: Path) -> dict[str, object]:
    """A tiny model with encoders of this folder, and the shortest of trainings."""
    items = {"width": 16, "text": {"backbone": str(folder / "text")}, "image": {"backbone": str(folder / "image")}}
    return {
        "model": {"items": items, "users": {"window": 4, "layers": 1, "heads": 2, "feedforward": 16}},
        "training": {"epochs": 1, "max_steps": 1, "batch_size": 8, "device": "cpu", "tensorboard": False},
        "tune": "frozen",
    }


def copy_of(ground: Path, folder: Path) -> Path:
    """The same in another folder, as if it had been made there."""
    shutil.copytree(ground, folder, dirs_exist_ok=True)
    (folder / "small.yaml").write_text((folder / "small.yaml").read_text().replace(str(ground), str(folder)))
    record = folder / "run" / "settings.yaml"
    record.write_text(record.read_text().replace(f"{ground}/data", f"{folder}/data"))
    return folder


def typed(line: str) -> None:
    """Call the command line in this process; errors come through as they are raised."""
    app(line.split(), result_action="return_value")
