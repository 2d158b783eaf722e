"""Runs made under the tuning rules that add parameters: they resume, and their folders load like any other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.worlds import World
from transrec.items.scratch import new_text_backbone
from transrec.model import TransRec
from transrec.recipes import lesson
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer

QUIET = Console(quiet=True)
RATES = {"learning_rate": 1e-2, "encoder_learning_rate": 1e-2}
TRAINING = {"device": "cpu", "tensorboard": False, "epochs": 3, "batch_size": 12, **RATES}


@pytest.fixture(scope="module")
def platforms() -> tuple[Dataset, Dataset]:
    world = World.make(np.random.default_rng(0), topics=4)
    first, second = (
        world.platform(name, users=24, items=40, generator=np.random.default_rng(seed), modalities="text")
        for seed, name in enumerate(("first", "second"))
    )
    return first, second


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, platforms: tuple[Dataset, Dataset]) -> Path:
    folder = tmp_path_factory.mktemp("source")
    texts = platforms[0].catalog.column("text").to_list()
    backbone = new_text_backbone(texts, folder / "bert", width=16, layers=2, heads=2)
    settings = TrainSettings.from_mapping(
        {
            "model": {
                "items": {"width": 16, "text": {"backbone": str(backbone), "max_length": 12}},
                "users": {"window": 6, "layers": 1, "heads": 2, "feedforward": 16},
            },
            "training": {**TRAINING, "epochs": 1},
            "tune": "frozen",
        }
    )
    train([platforms[0]], settings, folder / "run", console=QUIET)
    return folder / "run"


def moved(source: Path, dataset: Dataset, out: Path, *, resume: bool = False, **settings: Any) -> TransRec:
    chosen = TransferSettings.from_mapping({"training": TRAINING, **settings})
    model, _ = transfer(source, dataset, chosen, out, resume=resume, console=QUIET)
    return model


def interrupt_after(validations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next validations are as they were, and then the person presses Ctrl-C."""
    remaining = [lesson.mean_validation] * validations

    def validation(*arguments: Any, **options: Any) -> Mapping[str, float]:
        if not remaining:
            raise KeyboardInterrupt
        return remaining.pop()(*arguments, **options)

    monkeypatch.setattr(lesson, "mean_validation", validation)


def same(one: TransRec, other: TransRec) -> bool:
    mine, its = one.state_dict(), other.state_dict()
    return set(mine) == set(its) and all(tensor.equal(its[name]) for name, tensor in mine.items())


@pytest.mark.parametrize("rule", ["lora:2", "ia3", "bitfit", "adapter:4"])
def test_an_interrupted_run_loads_resumes_and_ends_plain(
    rule: str, source: Path, platforms: tuple[Dataset, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = moved(source, platforms[1], tmp_path / "whole", tune=rule)
    with monkeypatch.context() as broken:
        interrupt_after(1, broken)
        with pytest.raises(KeyboardInterrupt):
            moved(source, platforms[1], tmp_path / "broken", tune=rule)
    begun = TransRec.load(tmp_path / "broken")
    resumed = moved(source, platforms[1], tmp_path / "broken", resume=True, tune=rule)
    assert same(resumed, whole)

    before, after = TransRec.load(source).state_dict(), TransRec.load(tmp_path / "broken")
    assert same(after, whole)
    changed = {name for name, tensor in before.items() if not tensor.equal(after.state_dict()[name])}
    backbone = {name for name in changed if ".backbone." in name}
    if rule.startswith("adapter"):
        assert after.settings.users.adapter == begun.settings.users.adapter == 4
        assert set(after.state_dict()) - set(before) == {name for name in after.state_dict() if "_adapter." in name}
        assert not backbone and not any(name.startswith("users.positions.") for name in changed)
    else:
        assert set(after.state_dict()) == set(begun.state_dict()) == set(before)
        assert backbone and not any("embeddings.word" in name for name in backbone)


def test_parameters_say_what_the_rule_did(source: Path, platforms: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    moved(source, platforms[1], tmp_path / "lora", tune="lora:2")
    rows = json.loads((tmp_path / "lora" / "parameters.json").read_text())["parameters"]
    names = {name for name, _ in TransRec.load(tmp_path / "lora").named_parameters()}
    assert {row["name"] for row in rows if row["merged_into"] is None} == names
    added = [row for row in rows if row["source"] == "lora"]
    assert added and all(row["merged_into"] in names and row["learns"] for row in added)
    card = (tmp_path / "lora" / "README.md").read_text()
    assert "Tuning rule: `lora:2`" in card and "| `items.encoders.text` | lora |" in card

    moved(source, platforms[1], tmp_path / "adapter", tune="adapter")
    rows = json.loads((tmp_path / "adapter" / "parameters.json").read_text())["parameters"]
    assert {row["source"] for row in rows if "_adapter." in row["name"]} == {"adapter"}
    again = moved(tmp_path / "adapter", platforms[0], tmp_path / "again", tune="adapter")
    rows = json.loads((tmp_path / "again" / "parameters.json").read_text())["parameters"]
    assert {row["source"] for row in rows if "_adapter." in row["name"]} == {"copy"}
    assert again.settings.users.adapter == 8


def test_stages_may_each_have_a_rule_of_their_own(
    source: Path, platforms: tuple[Dataset, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = [{"tune": "lora:2", "training": {"epochs": 1}}, {"tune": "adapter:4", "training": {"epochs": 1}}]
    whole = moved(source, platforms[1], tmp_path / "whole", stages=stages, tune="top:1")
    rows = json.loads((tmp_path / "whole" / "parameters.json").read_text())["parameters"]
    assert {"lora", "adapter", "copy"} == {row["source"] for row in rows if not row["name"].startswith("prior.")}
    assert same(TransRec.load(tmp_path / "whole"), whole)
    for validations in (1, 2, 3):  # in the second stage, and in the third
        out = tmp_path / f"broken{validations}"
        with monkeypatch.context() as broken:
            interrupt_after(validations, broken)
            with pytest.raises(KeyboardInterrupt):
                moved(source, platforms[1], out, stages=stages, tune="top:1")
        resumed = moved(source, platforms[1], out, resume=True, stages=stages, tune="top:1")
        assert same(resumed, whole)
        assert same(TransRec.load(out), whole)


def test_unfreezing_decay_and_anchor_are_settings_of_any_run(
    source: Path, platforms: tuple[Dataset, Dataset], tmp_path: Path
) -> None:
    training = {**TRAINING, "epochs": 4, "unfreeze_every": 1, "layer_decay": 0.5, "anchor": 1000.0}
    near = moved(source, platforms[1], tmp_path / "near", tune="full", training=training)
    far = moved(source, platforms[1], tmp_path / "far", tune="full", training={**TRAINING, "epochs": 4})
    start = TransRec.load(source).state_dict()

    def way(model: TransRec, part: str) -> float:
        return max(float((t - start[name]).abs().max()) for name, t in model.state_dict().items() if name.startswith(part))

    assert (tmp_path / "near" / "checkpoints" / "start.safetensors").exists()
    assert not (tmp_path / "far" / "checkpoints" / "start.safetensors").exists()
    for part in ("items.encoders.text.backbone.", "users."):
        assert way(near, part) < 0.002 < way(far, part)
