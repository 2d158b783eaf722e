"""A lesson says what it does to every parameter: the table, parameters.json, the model card and the report agree."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.worlds import World
from transrec.errors import TrainingError
from transrec.items.scratch import new_text_backbone
from transrec.recipes import lesson
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.report import report
from transrec.recipes.reporting.settings import ReportSettings
from transrec.recipes.train import train
from transrec.reports.files import RunFiles

TEXT = "items.encoders.text.backbone."
HELD_BACK = {"layer_decay": 0.5, "unfreeze_every": 1, "anchor": 100.0}
HEADINGS = ("rate", "from epoch", "held")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, dict[str, Any]]:
    """A platform of texts in its folder, and settings of a small model of it."""
    folder = tmp_path_factory.mktemp("ground")
    world = World.make(np.random.default_rng(0), topics=4)
    dataset = world.platform("texts", users=24, items=40, generator=np.random.default_rng(1), modalities="text")
    backbone = new_text_backbone(dataset.catalog.column("text").to_list(), folder / "bert", width=16, layers=2, heads=2)
    items = {"width": 16, "text": {"backbone": str(backbone), "max_length": 12}}
    users = {"window": 6, "layers": 1, "heads": 2, "feedforward": 16}
    return dataset.save(folder / "data"), {"model": {"items": items, "users": users}, "tune": "full"}


def trained(ground: tuple[Dataset, dict[str, Any]], out: Path, *, resume: bool = False, **changes: Any) -> str:
    """Train, and what was printed."""
    dataset, settings = ground
    usual = {"device": "cpu", "tensorboard": False, "epochs": 4, "batch_size": 12, "encoder_learning_rate": 4e-4}
    training = {**usual, **changes.pop("training", {})}
    chosen = TrainSettings.from_mapping({**settings, "training": training, **changes})
    printed = io.StringIO()
    train([dataset], chosen, out, resume=resume, console=Console(file=printed, width=120))
    return printed.getvalue()


def written(run: Path) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads((run / "parameters.json").read_text())["parameters"]}


def test_what_holds_a_training_back_is_told_everywhere(ground: tuple[Dataset, dict[str, Any]], tmp_path: Path) -> None:
    told = trained(ground, tmp_path / "run", training=HELD_BACK)
    rows = written(tmp_path / "run")
    expected = {"encoder.layer.1.": (4e-4, 2), "encoder.layer.0.": (2e-4, 3), "embeddings.": (1e-4, 4)}
    for part, (rate, epoch) in expected.items():
        own = [row for name, row in rows.items() if name.startswith(TEXT + part)]
        assert own and {(row["rate"], row["from_epoch"], row["held"]) for row in own} == {(rate, epoch, True)}
    others = [row for name, row in rows.items() if not name.startswith((TEXT, "prior."))]
    assert {(row["rate"], row["from_epoch"], row["held"]) for row in others} == {(1e-3, 1, False)}

    [text] = [line for line in told.splitlines() if "items.encoders.text" in line]
    assert [cell.strip() for cell in text.split("│")][5:8] == ["0.0001 to 0.0004", "2 to 4", "yes"]
    card = (tmp_path / "run" / "README.md").read_text()
    assert "| part | from | learning | all | rate | from epoch | held |\n|---|---|---|---|---|---|---|\n" in card
    assert " | 0.0001 to 0.0004 | 2 to 4 | yes |\n" in card
    page = report([tmp_path / "run"], ReportSettings(), device="cpu", console=Console(quiet=True)).read_text()
    assert "<td>0.0001 to 0.0004</td><td>2 to 4</td><td>yes</td>" in page
    assert '<td class="text">yes</td><td>0.0002</td><td>3</td><td class="text">yes</td>' in page, "of every tensor, too"


@pytest.mark.parametrize(("tune", "added"), [("full", "backbone"), ("bitfit", "backbone"), ("lora", "lora")])
def test_rates_are_told_under_every_tuning_rule_and_so_is_where_each_parameter_is(
    ground: tuple[Dataset, dict[str, Any]], tmp_path: Path, tune: str, added: str
) -> None:
    told = trained(ground, tmp_path / "run", training={"epochs": 1}, tune=tune)
    [text] = [cells for line in told.splitlines() if (cells := line.split("│"))[1:3] and added in cells[2]]
    rates = {row["rate"] for name, row in written(tmp_path / "run").items() if row["source"] == added and row["learns"]}
    assert text[5].strip() in {f"{rate:.3g}" for rate in rates} and len(rates) == 1
    assert told.count("parameters.json of the run") == 1


def test_the_table_stays_as_it_is_where_all_learn_alike(ground: tuple[Dataset, dict[str, Any]], tmp_path: Path) -> None:
    alike = {"epochs": 1, "encoder_learning_rate": 4e-4, "learning_rate": 4e-4}
    dataset, settings = ground
    without = {**settings["model"], "prior": "none"}
    told = trained((dataset, {**settings, "model": without}), tmp_path / "run", training=alike)
    card = (tmp_path / "run" / "README.md").read_text()
    assert "┃ part                   ┃ from     ┃ learning ┃    all ┃" in told
    assert "| part | from | learning | all |\n|---|---|---|---|\n" in card
    assert {row["rate"] for name, row in written(tmp_path / "run").items() if name.startswith(TEXT)} == {4e-4}
    page = report([tmp_path / "run"], ReportSettings(), device="cpu", console=Console(quiet=True)).read_text()
    assert not any(f'<th scope="col">{heading}</th>' in page for heading in HEADINGS)


def test_a_run_of_a_version_that_did_not_write_paces_is_read(ground: tuple[Dataset, dict[str, Any]], tmp_path: Path) -> None:
    trained(ground, tmp_path / "run", training={"epochs": 1, "anchor": 100.0})
    path = tmp_path / "run" / "parameters.json"
    document = json.loads(path.read_text())
    for row in document["parameters"]:
        for name in ("rate", "from_epoch", "held"):
            del row[name]
    path.write_text(json.dumps(document))
    assert {(fate.rate, fate.from_epoch, fate.held) for fate in RunFiles.read(tmp_path / "run").fates} == {
        (None, None, False)
    }
    report([tmp_path / "run"], ReportSettings(), device="cpu", console=Console(quiet=True))


def test_what_cannot_be_unfrozen_is_said_before_anything_is_written(
    ground: tuple[Dataset, dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="nothing to unfreeze"):
        trained(ground, tmp_path / "run", tune="frozen", training={"unfreeze_every": 1})
    assert not (tmp_path / "run").exists()


def test_what_an_earlier_stage_did_is_kept_also_when_the_last_is_resumed(
    ground: tuple[Dataset, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = {"stages": [{"tune": "full", "training": HELD_BACK}], "tune": "frozen", "training": {"epochs": 4}}
    trained(ground, tmp_path / "whole", **stages)
    rows = written(tmp_path / "whole")
    assert {row["from_epoch"] for name, row in rows.items() if name.startswith(TEXT)} == {2, 3, 4}
    assert all(row["held"] for name, row in rows.items() if name.startswith(TEXT))

    remaining = [lesson.mean_validation] * 5

    def validation(*arguments: Any, **options: Any) -> Mapping[str, float]:
        if not remaining:
            raise KeyboardInterrupt
        return remaining.pop()(*arguments, **options)

    with monkeypatch.context() as broken:
        broken.setattr(lesson, "mean_validation", validation)
        with pytest.raises(KeyboardInterrupt):
            trained(ground, tmp_path / "broken", **stages)
    (tmp_path / "broken" / "parameters.json").unlink()  # it does not live on what was written before
    trained(ground, tmp_path / "broken", resume=True, **stages)
    assert written(tmp_path / "broken") == rows
