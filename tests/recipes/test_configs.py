"""Every file in configs/ is read strictly, builds with tiny encoders, and trains a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.worlds import World
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train
from transrec.settings import read_yaml

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.fixture(scope="module")
def platform() -> Dataset:
    return World.make(np.random.default_rng(0), topics=4).platform(
        "small", users=40, items=60, generator=np.random.default_rng(1)
    )


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory, platform: Dataset) -> Path:
    folder = tmp_path_factory.mktemp("backbones")
    texts = [text for text in platform.catalog.column("text").to_list() if text]
    new_text_backbone(texts, folder / "text", width=16, layers=3, heads=2, max_length=64)
    new_image_backbone(folder / "image", side=32, width=16, layers=3)
    return folder


def test_there_are_some() -> None:
    assert {path.stem for path in CONFIGS} >= {"default", "frozen", "identity", "published"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_parses_builds_and_trains_a_step(path: Path, platform: Dataset, backbones: Path) -> None:
    as_written = TrainSettings.from_yaml(path)
    tiny = as_written.updated(
        {
            "model": {
                "items": {"text": {"backbone": str(backbones / "text")}, "image": {"backbone": str(backbones / "image")}}
            },
            "training": {"max_steps": 1, "device": "cpu", "tensorboard": False},
        }
    )
    model, result = train([platform], tiny, console=Console(quiet=True))
    assert result.steps == 1
    assert np.isfinite(result.best)
    assert model.window == as_written.model.users.window


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_says_how_to_run_it(path: Path) -> None:
    assert f"transrec train DATA --out RUN --config configs/{path.name}" in path.read_text()
    assert read_yaml(path)


def test_the_default_file_is_the_default() -> None:
    path = next(path for path in CONFIGS if path.stem == "default")
    assert TrainSettings.from_yaml(path) == TrainSettings()
