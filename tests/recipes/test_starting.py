"""How projections start: copied or aligned, whichever ranks validation users better, and so it stays when resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import SETTINGS, platform
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.model import TransRec
from transrec.recipes import starting
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer

QUIET = Console(quiet=True)
TRAINING = {"epochs": 1, "device": "cpu", "tensorboard": False}
WEIGHT = "items.projections.given.linear.weight"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "run"
    settings = TrainSettings.from_mapping({"model": SETTINGS.model_dump(), "training": TRAINING, "tune": "full"})
    train([platform(seed=0)], settings, folder, console=QUIET)
    return folder


@pytest.fixture(scope="module")
def target() -> Dataset:
    return platform(seed=1)


def moved(
    source: Path, target: Dataset, out: Path, *rules: str, resume: bool = False, console: Console = QUIET, epochs: int = 1
) -> Mapping[str, str]:
    """Transfer, and where every parameter came from by what the run folder says."""
    settings = {"training": {**TRAINING, "epochs": epochs}, "tune": "full", "rules": list(rules)}
    transfer(source, target, TransferSettings.from_mapping(settings), out, resume=resume, console=console)
    return {row["name"]: row["source"] for row in json.loads((out / "parameters.json").read_text())["parameters"]}


def promise(monkeypatch: pytest.MonkeyPatch, *values: float) -> list[torch.Tensor]:
    """Let the validations before training have these values, and keep the projections that they saw."""
    coming, seen = list(values), list[torch.Tensor]()

    def validation(model: TransRec, *_: Any, **__: Any) -> Mapping[str, float]:
        seen.append(model.state_dict()[WEIGHT].clone())
        return {"NDCG@10": coming.pop(0)}

    monkeypatch.setattr(starting, "mean_validation", validation)
    return seen


@pytest.mark.parametrize(("values", "expected"), [((0.1, 0.2), "aligned"), ((0.2, 0.1), "copy"), ((0.1, 0.1), "copy")])
def test_what_validates_better_is_taken_and_said(
    values: tuple[float, float],
    expected: str,
    source: Path,
    target: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = promise(monkeypatch, *values)
    screen = Console(file=StringIO(), width=200)
    sources = moved(source, target, tmp_path / "out", console=screen)
    assert {sources[name] for name in sources if name.startswith("items.projections.")} == {expected}
    assert sources["users.positions.weight"] == "copy"
    said = screen.file.getvalue()  # type: ignore[attr-defined]
    assert f"before training {values[0]:.4f} as copied, {values[1]:.4f} aligned" in said
    copied, aligned = seen
    assert torch.equal(copied, TransRec.load(source).state_dict()[WEIGHT])
    assert not torch.allclose(copied, aligned)


def test_a_rule_settles_it_without_a_choice(
    source: Path, target: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promise(monkeypatch)  # a validation would fail
    for place, (rule, expected) in enumerate(
        {"items.projections.*=copy": "copy", "items.*=copy": "copy", "items.projections.*=aligned": "aligned"}.items()
    ):
        assert moved(source, target, tmp_path / str(place), rule)[WEIGHT] == expected


def test_training_starts_from_the_aligned_projection(
    source: Path, target: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = promise(monkeypatch, 0.1, 0.2)
    still = {"training": {**TRAINING, "learning_rate": 1e-12, "weight_decay": 0.0}, "tune": "full"}
    model, _ = transfer(source, target, TransferSettings.from_mapping(still), console=QUIET)
    assert torch.allclose(model.state_dict()[WEIGHT], seen[1])
    seen = promise(monkeypatch, 0.2, 0.1)
    model, _ = transfer(source, target, TransferSettings.from_mapping(still), console=QUIET)
    assert torch.allclose(model.state_dict()[WEIGHT], seen[0])


def test_a_run_that_goes_on_remembers_what_was_aligned(
    source: Path, target: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transrec.recipes import lesson

    promise(monkeypatch, 0.1, 0.2, 0.1, 0.2)
    whole = moved(source, target, tmp_path / "whole", epochs=3)
    real, left = lesson.mean_validation, [1, 2]

    def interrupted(*arguments: Any, **options: Any) -> Mapping[str, float]:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(lesson, "mean_validation", interrupted)
        with pytest.raises(KeyboardInterrupt):
            moved(source, target, tmp_path / "broken", epochs=3)
    again = moved(source, target, tmp_path / "broken", epochs=3, resume=True)
    assert again == whole and again[WEIGHT] == "aligned"
    one, other = (TransRec.load(tmp_path / name).state_dict() for name in ("whole", "broken"))
    assert all(torch.equal(one[name], other[name]) for name in one)
