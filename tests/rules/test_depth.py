"""Depth: how many blocks stand above a parameter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from torch import nn

from transrec.data.catalog import Catalog, Item
from transrec.errors import ModelError
from transrec.model import ModelSettings, TransRec
from transrec.rules import Tuning, apply_tuning, blocks_above, learning_depths

Platform = Callable[..., Catalog]
Settings = Callable[..., ModelSettings]


def test_the_top_block_and_what_follows_have_nothing_above_them(platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(pooling="attention"), [platform(1)])
    text = blocks_above(model.items.preparers()["text"], "text", purpose="this test")
    expected = {"embeddings.": 3, "encoder.layer.0.": 2, "encoder.layer.1.": 1, "encoder.layer.2.": 0}
    for name, depth in text.items():
        own = name.removeprefix("backbone.")
        assert depth == next((d for part, d in expected.items() if own.startswith(part)), 0), name
    assert {name for name in text if name.startswith("pooling.")}
    image = blocks_above(model.items.preparers()["image"], "image", purpose="this test")
    assert {depth for name, depth in image.items() if ".embedder." in name} == {4}
    for stage in range(4):
        assert {depth for name, depth in image.items() if f".stages.{stage}." in name} == {3 - stage}


def test_only_what_learns_of_a_backbone_has_a_depth_in_the_model(platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(pooling="attention", modalities=["text", "identity"]), [platform(1)])
    apply_tuning(model, Tuning.parse("top:2"))
    depths = learning_depths(model, purpose="this test")
    assert {name.split(".layer.")[0] for name in depths} == {"items.encoders.text.backbone.encoder"}
    assert set(depths.values()) == {0, 1}
    apply_tuning(model, Tuning.parse("frozen"))
    assert learning_depths(model, purpose="this test") == {}


def test_an_encoder_without_blocks_says_so_if_it_learns() -> None:
    catalog = Catalog.from_items([Item(id="a", vectors={"given": np.ones(3)})])
    model = TransRec.build(
        ModelSettings.from_mapping({"items": {"width": 4, "modalities": ["identity"]}, "users": {"heads": 2}}), [catalog]
    )
    encoder = model.items.encoders["identity"]
    object.__setattr__(encoder, "modality", "other")
    model.items.encoders = nn.ModuleDict({"other": encoder})
    with pytest.raises(ModelError, match="the other encoder does not say what its blocks are, which top:1 needs"):
        apply_tuning(model, Tuning.parse("top:1"))
    with pytest.raises(ModelError, match="which layer decay needs"):
        learning_depths(model, purpose="layer decay")
    apply_tuning(model, Tuning.parse("frozen"))
    assert learning_depths(model, purpose="layer decay") == {}
