"""The paper's preset with networks small enough to test, and a platform for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import transformers as hf
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil

from transrec.data.dataset import Dataset
from transrec.data.worlds import World
from transrec.items.scratch import new_text_backbone
from transrec.recipes.fitting import TrainSettings

PAPER = Path(__file__).parents[2] / "configs" / "paper.yaml"


@pytest.fixture(scope="session")
def paper() -> TrainSettings:
    """The preset as it is shipped."""
    return TrainSettings.from_yaml(PAPER)


@pytest.fixture(scope="session")
def source() -> Dataset:
    """A platform of texts and pictures; its users have six training events and more, which the published code needs."""
    return World.make(np.random.default_rng(0), topics=4).platform(
        "source", users=40, items=60, generator=np.random.default_rng(1)
    )


@pytest.fixture(scope="session")
def tiny(paper: TrainSettings, source: Dataset, tmp_path_factory: pytest.TempPathFactory) -> TrainSettings:
    """The preset with a BERT of three layers and a ResNet of three stages, on the CPU."""
    folder = tmp_path_factory.mktemp("backbones")
    texts = [text for text in source.catalog.column("text").to_list() if text]
    new_text_backbone(texts, folder / "text", width=16, layers=3, heads=2, max_length=32)
    config = hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16], depths=[1, 1, 1], layer_type="basic")
    hf.ResNetModel(config).save_pretrained(folder / "image")
    ConvNextImageProcessorPil(size={"shortest_edge": 32}).save_pretrained(folder / "image")
    return paper.updated(
        {
            "model": {
                "items": {
                    "width": 16,
                    "text": {"backbone": str(folder / "text")},
                    "image": {"backbone": str(folder / "image")},
                },
            },
            "training": {"device": "cpu", "tensorboard": False},
        }
    )
