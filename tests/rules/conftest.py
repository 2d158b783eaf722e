"""A small world with texts and pictures, and untrained networks to read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from torch import Tensor

from transrec.data.catalog import Catalog
from transrec.data.store import ContentStore
from transrec.data.worlds import World
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.model import ModelSettings, TransRec

Platform = Callable[..., Catalog]
Settings = Callable[..., ModelSettings]


@pytest.fixture(scope="session")
def platform() -> Platform:
    """A catalog of texts and pictures, by seed."""
    world = World.make(np.random.default_rng(0), topics=4)

    def make(seed: int, *, items: int = 40, users: int = 5, **options: Any) -> Catalog:
        return world.platform(f"p{seed}", users=users, items=items, generator=np.random.default_rng(seed), **options).catalog

    return make


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, platform: Platform) -> dict[str, Path]:
    """Backbones: a BERT, a ResNet (because of its BatchNorm, and as it has no linear layers), a ViT and a ConvNeXt."""
    folder = tmp_path_factory.mktemp("backbones")
    texts = platform(1, users=2, items=60, modalities="text")
    new_text_backbone(texts.column("text").to_list(), folder / "text", width=16, layers=3, heads=2)
    for kind in ("convnext", "vit"):
        new_image_backbone(folder / kind, kind=kind, side=32, width=16, layers=1)
    new_image_backbone(folder / "resnet", side=32, width=16, layers=1)  # for its processor
    with torch.random.fork_rng():
        torch.set_rng_state(torch.Generator().manual_seed(3).get_state())
        network = hf.ResNetModel(
            hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], layer_type="basic")
        )
    network.save_pretrained(folder / "resnet")
    return {name: folder / name for name in ("text", "resnet", "convnext", "vit")}


@pytest.fixture(scope="session")
def settings(folders: dict[str, Path]) -> Settings:
    """Settings of a small model with both encoders; changes go to the item tower, but for ``users``."""

    def make(
        *, image: str = "resnet", pooling: str = "mean", users: dict[str, Any] | None = None, **items: Any
    ) -> ModelSettings:
        return ModelSettings.from_mapping(
            {
                "items": {
                    "width": 16,
                    "text": {"backbone": str(folders["text"]), "max_length": 16, "pooling": pooling},
                    "image": {"backbone": str(folders[image])},
                    **items,
                },
                "users": {"window": 6, "layers": 2, "heads": 2, "feedforward": 16, "start": "fresh", **(users or {})},
            }
        )

    return make


@pytest.fixture
def vectors() -> Callable[[TransRec, Catalog], Tensor]:
    """Vectors of a catalog's first twenty items, in evaluation mode."""

    def encode(model: TransRec, catalog: Catalog) -> Tensor:
        store = ContentStore.prepare(catalog, model.items.preparers())
        with torch.no_grad():
            return model.eval().items(store.gather(np.arange(20))).fused_UD

    return encode


@pytest.fixture
def gradients() -> Callable[[TransRec, Catalog], dict[str, float]]:
    """The size of the gradient of every parameter that has one, when items and histories are encoded and scored."""

    def run(model: TransRec, catalog: Catalog) -> dict[str, float]:
        store = ContentStore.prepare(catalog, model.items.preparers())
        model.train()
        items_UD = model.items(store.gather(np.arange(20))).fused_UD
        users = model.users(items_UD[torch.arange(12).view(2, 6)], torch.ones(2, 6, dtype=torch.bool))
        scores_NV = model.scorer(users.vectors.flatten(0, 1), items_UD)
        scores_NV.log_softmax(dim=1)[:, 3].sum().backward()
        return {name: float(p.grad.abs().sum()) for name, p in model.named_parameters() if p.grad is not None}

    return run
