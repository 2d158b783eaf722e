"""Parts of several systems in one run, from the files in configs/composites: trained, moved, measured, asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from transrec.cli import app
from transrec.data.worlds import World
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.model import TransRec
from transrec.scoring import BestInterest

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two platforms that share no user and no item, and small encoders."""
    folder = tmp_path_factory.mktemp("composites")
    world = World.make(np.random.default_rng(0), topics=4)
    for seed, name in enumerate(("source", "target")):
        platform = world.platform(name, users=60, items=50, generator=np.random.default_rng(seed))
        platform.save(folder / name)
    texts = [text for text in platform.catalog.column("text").to_list() if text]
    new_text_backbone(texts, folder / "text", width=16, layers=2, heads=2, max_length=64)
    new_image_backbone(folder / "image", side=32, width=16, layers=2)
    return folder


def run(*words: object) -> None:
    app([str(word) for word in words], exit_on_error=False, result_action="return_value")


def small(ground: Path) -> list[object]:
    """Small encoders and few steps, in place of what the files say of them."""
    form = ["--model.items.text.backbone", ground / "text", "--model.items.image.backbone", ground / "image"]
    return [*form, "--model.items.width", 16, "--model.users.window", 8, *FEW]


FEW = ["--training.epochs", 1, "--training.max-steps", 4, "--training.device", "cpu", "--training.no-tensorboard"]


def test_several_interests_with_diversity_are_moved_with_fractions(ground: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "run", tmp_path / "moved"
    run("train", ground / "source", "--out", first, "--config", CONFIGS / "composites" / "interests.yaml", *small(ground))
    moving = CONFIGS / "composites" / "interests-transfer.yaml"
    run("transfer", first, ground / "target", "--out", second, "--config", moving, *FEW)
    fates = {each["name"]: each for each in json.loads((second / "parameters.json").read_text())["parameters"]}
    assert fates["users.inner.blocks.0.expand.weight"]["source"] == "fraction(0.2)"
    assert fates["users.inner.blocks.0.expand.bias"]["source"] == "copy", "half of a bias is no bias"
    assert fates["users.dealing.sharpness"]["source"] == "copy" and fates["users.ages"]["learns"]
    steps = [json.loads(line) for line in (second / "metrics.jsonl").read_text().splitlines()]
    assert any("diversity" in step and "interest_spread" in step for step in steps)

    run("evaluate", second, "--no-baselines", "--device", "cpu", "--resamples", 100, "--lists.length", 5)
    measured = json.loads((second / "evaluation" / "target.json").read_text())
    assert measured["lists"]["length"] == 5 and measured["lists"]["spread"]["value"] > 0
    model = TransRec.load(second)
    assert isinstance(model.scorer, BestInterest)
    run("recommend", second, "--all", "--out", tmp_path / "lists.parquet", "--k", 3)
    lists = pl.read_parquet(tmp_path / "lists.parquet")
    assert lists["user_id"].n_unique() == 60
