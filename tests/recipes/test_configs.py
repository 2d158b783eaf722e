"""Every file in configs/ is read strictly, builds with tiny encoders, and trains a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from transrec.cli import app
from transrec.data.dataset import Dataset
from transrec.data.worlds import World
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer
from transrec.settings import read_yaml

FOLDER = Path(__file__).parents[2] / "configs"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
TRANSFERS = sorted((FOLDER / "transfer").glob("*.yaml"))


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
    assert {path.stem for path in CONFIGS} >= {"default", "frozen", "identity", "one-platform", "paper"}


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


@pytest.mark.parametrize("path", [p for p in CONFIGS if read_yaml(p).get("stages")], ids=lambda path: path.stem)
def test_every_stage_of_it_runs(path: Path, platform: Dataset, backbones: Path, tmp_path: Path) -> None:
    settings = TrainSettings.from_yaml(path)
    names = {"text": {"backbone": str(backbones / "text")}, "image": {"backbone": str(backbones / "image")}}
    changes = {"model": {"items": names}, "training": {"max_steps": 1, "device": "cpu", "tensorboard": False}}
    train([platform], settings.updated(changes), tmp_path, console=Console(quiet=True))
    for number in range(1, len(settings.stages) + 1):
        assert (tmp_path / "stages" / str(number) / "metrics.jsonl").exists()
    assert not (tmp_path / "stages" / str(len(settings.stages) + 1)).exists()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_command_line_reads_it_as_it_is_written(path: Path) -> None:
    _, bound, _ = app.parse_args(["train", "DATA", "--out", "RUN", "--config", str(path)])
    assert bound.arguments["settings"] == TrainSettings.from_yaml(path)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_says_how_to_run_it(path: Path) -> None:
    assert f"transrec train DATA --out RUN --config configs/{path.name}" in path.read_text()
    assert read_yaml(path)


def test_the_default_file_is_the_default() -> None:
    path = next(path for path in CONFIGS if path.stem == "default")
    assert TrainSettings.from_yaml(path) == TrainSettings()


# ---- configs/transfer -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TRANSFERS, ids=lambda path: path.stem)
def test_a_transfer_runs_says_how_and_is_read_as_it_is_written(path: Path, platform: Dataset, tmp_path: Path) -> None:
    as_written = TransferSettings.from_yaml(path)
    assert f"transrec transfer RUN DATA --out RUN2 --config configs/transfer/{path.name}" in path.read_text()
    _, bound, _ = app.parse_args(["transfer", "RUN", "DATA", "--out", "RUN2", "--config", str(path)])
    assert bound.arguments["settings"] == as_written
    small = {"max_steps": 1, "device": "cpu", "tensorboard": False}
    source = {"model": {"items": {"modalities": ["identity"]}, "prior": "none"}, "training": small, "tune": "full"}
    train([platform], TrainSettings.from_mapping(source), tmp_path, console=Console(quiet=True))
    _, result = transfer(tmp_path, platform, as_written.updated({"training": small}), console=Console(quiet=True))
    assert result.steps == 1


def test_the_papers_transfer_learns_as_its_last_stage() -> None:
    source, target = TrainSettings.from_yaml(FOLDER / "paper.yaml"), TransferSettings.from_yaml(TRANSFERS[0])
    assert [path.stem for path in TRANSFERS] == ["paper"]
    assert (target.objective, target.training, target.tune) == (source.objective, source.training, source.tune)
    assert target.stages == () and target.rules == ()
