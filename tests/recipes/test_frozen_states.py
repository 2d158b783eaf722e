"""A training from stored activations is the training without them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.worlds import World
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train


def trained(data: Dataset, folder: Path, states: str) -> tuple[TransRec, str]:
    """A model after two epochs, with dropout, and what was said meanwhile."""
    items = {
        "width": 32,
        "text": {"backbone": str(folder / "text"), "max_length": 24},
        "image": {"backbone": str(folder / "image")},
    }
    training = {"epochs": 2, "batch_size": 32, "tensorboard": False, "device": "cpu", "frozen_states": states}
    users = {"window": 10, "layers": 1, "heads": 2, "feedforward": 64}
    settings = TrainSettings.from_mapping({"model": {"items": items, "users": users}, "training": training, "tune": "top:1"})
    said = io.StringIO()
    model, _ = train([data], settings, console=Console(file=said, width=200))
    return model, said.getvalue()


def test_a_training_from_stored_activations_ends_with_the_same_weights(tmp_path: Path) -> None:
    worlds, platforms = np.random.default_rng(0).spawn(2)
    made = World.make(worlds, topics=4, styles=2).platform("p", users=60, items=80, generator=platforms)
    data = made.save(tmp_path / "data")
    texts = [text for text in data.catalog.column("text").to_list() if text]
    new_text_backbone(texts, tmp_path / "text", width=32, layers=2, heads=2)
    new_image_backbone(tmp_path / "image", kind="vit", width=32, layers=2)
    whole, silence = trained(data, tmp_path, "none")
    assert "frozen blocks" not in silence
    stored, said = trained(data, tmp_path, "float32")
    for modality in ("text", "image"):
        assert f"{modality} contents: " in said
        assert len(list((tmp_path / "data" / "store").glob(f"{modality}-below-1-*"))) == 1
    for (name, expected), found in zip(whole.state_dict().items(), stored.state_dict().values(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-5, msg=name)
    _, again = trained(data, tmp_path, "float32")
    assert "contents: " not in again, "what is there needs no line"
