"""The study of the scale of the source: runs on more and more users, and one way to train on the target."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cases import SETTINGS, platform
from comparing_ground import TRAINING
from studying_ground import QUICK, Told

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.errors import RunError, SettingsError
from transrec.recipes.comparing import work
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.studies import trained
from transrec.recipes.studies.settings import SourcesSettings
from transrec.recipes.studies.sources import distinct_shares, of_share, study_sources
from transrec.recipes.studies.study import Study
from transrec.recipes.studies.trained import trained_run
from transrec.runs import RunRecord
from transrec.training.loop import Loop


def training(**given: Any) -> TrainSettings:
    model = {**SETTINGS.model_dump(mode="json"), "prior": "none"}
    return TrainSettings.from_mapping({"model": model, "training": TRAINING, "tune": "full", **given})


def asked(**given: Any) -> SourcesSettings:
    return SourcesSettings.from_mapping({**QUICK, "shares": "0.1,0.5,1", **given})


@dataclass(frozen=True)
class Ground:
    first: Dataset
    second: Dataset
    target: Dataset
    study: Study
    folder: Path
    text: str


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder, console = tmp_path_factory.mktemp("sources"), Told()
    first = platform(users=200, seed=5).save(folder / "first")
    second = platform(users=60, seed=7).save(folder / "second")
    target = platform(users=80, seed=6).save(folder / "target")
    study = study_sources([first, second], target, training(), asked(), folder / "out", console=console)
    return Ground(first, second, target, study, folder / "out", console.text)


def record(ground: Ground, place: int) -> RunRecord:
    return RunRecord.read(ground.folder / ground.study.lines[place].facts["run"])


def test_each_share_has_a_run_on_so_many_users(ground: Ground) -> None:
    assert [line.size for line in ground.study.lines] == [50 + 50, 100 + 50, 200 + 60]
    assert [record(ground, place).split.users for place in range(3)] == [0.1, 0.5, 1.0]
    assert all([own.name for own in record(ground, place).data] == ["small", "small"] for place in range(3))


def test_few_users_make_about_as_many_steps(ground: Ground) -> None:
    assert [record(ground, place).training["epochs"] for place in range(3)] == [6, 4, 2]  # of 100, 150 and 260 users
    epochs = of_share(training(), 0.1, asked(budget="epochs"), stretch=2.6)
    assert epochs.training == training().training and epochs.split.users == 0.1


def test_lengths_of_stages_grow_as_well() -> None:
    stage = {"objective": {"kind": "softmax"}, "training": {"epochs": 2, "learning_rate": 0.1}}
    grown = of_share(training(stages=[stage]), 0.1, asked(), stretch=2.6)
    assert grown.stages[0].training == {"epochs": 6, "learning_rate": 0.1}


def test_nothing_of_the_share_reaches_the_target(ground: Ground) -> None:
    for line in ground.study.lines:
        bench = line.comparison.bench
        assert bench.split.users == 1 and bench.training.epochs == 2
        assert [row.users for row in line.comparison.findings.table] == [80, 0, 80]


def test_from_scratch_is_trained_once_for_all_shares(ground: Ground) -> None:
    jobs = sorted(path.name.partition("-users")[0] for path in (ground.folder / "jobs").iterdir())
    assert jobs == ["scratch", *["transferred"] * 3, *["zero-shot"] * 3]
    rows = [line.row("from scratch") for line in ground.study.lines]
    assert len({row.finished[0].folder for row in rows if row}) == 1
    assert ground.text.count("found done") == 2


def test_table_and_figure_are_there(ground: Ground) -> None:
    assert "…" not in ground.text.rpartition("sources: ")[2] and (ground.folder / "study.png").stat().st_size > 10_000
    written = json.loads((ground.folder / "study.json").read_text())
    assert [(line["share"], line["source_users"]) for line in written["lines"]] == [(0.1, 100), (0.5, 150), (1.0, 260)]
    assert all((ground.folder / line["run"] / "model.safetensors").exists() for line in written["lines"])
    assert not list(ground.folder.rglob("checkpoints"))
    assert "at least fifty users" in ground.text and "not of another training on the source" in ground.text


def test_a_second_call_trains_nothing(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (work, trained):
        monkeypatch.setattr(module, "train", None)
    monkeypatch.setattr(work, "transfer", None)
    again = study_sources([ground.first, ground.second], ground.target, training(), asked(), ground.folder, console=Told())
    assert again.sentences == ground.study.sentences


def test_a_source_that_is_given_twice_is_said(ground: Ground, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="'small' is given twice"):
        study_sources([ground.first, ground.first], ground.target, training(), asked(), tmp_path, console=Told())


def test_a_target_that_could_not_be_measured_is_said_before_anything_is_trained(ground: Ground, tmp_path: Path) -> None:
    texts = Dataset(
        Catalog.from_items([Item(id=f"t{n}", text=f"text {n}") for n in range(len(ground.target.catalog))]),
        ground.target.interactions,
        name="texts",
    )
    with pytest.raises(RunError, match="the model is to read given, 'texts' has text"):
        study_sources([ground.first], texts, training(), asked(), tmp_path, console=Told())
    assert not (tmp_path / "runs").exists()


class Interrupted(BaseException):
    """Not an error of ours: like Ctrl-C, or the machine going down."""


@pytest.mark.parametrize("after", [0, 35])
def test_an_interrupted_run_goes_on_and_ends_the_same(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    own, given = of_share(training(), 0.1, asked(), stretch=2.6), [ground.first, ground.second]
    steps, step = [], Loop._step

    def until(self: Loop, *arguments: Any) -> Any:
        if len(steps) >= after:
            raise Interrupted
        steps.append(1)
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", until)
        with pytest.raises(Interrupted):
            trained_run(given, own, tmp_path, "share0.1", console=Told())
    [building] = tmp_path.iterdir()
    assert building.name.startswith(".share0.1-"), "what is not finished is not taken for it"
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", lambda self, *arguments: steps.append(1) or step(self, *arguments))
        run = trained_run(given, own, tmp_path, "share0.1", console=Told())
    whole = ground.folder / ground.study.lines[0].facts["run"]
    assert run.parent.name == whole.parent.name
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    # of 60 steps; with few users it is validated after every third epoch of 10
    assert len(steps) == after + 60 - 30 * (after // 30), "only what came after the last validation is trained again"


def test_shares_of_the_same_number_of_users_are_one(ground: Ground) -> None:
    found = distinct_shares([ground.first, ground.second], training(), (0.01, 0.1, 0.5, 0.999))
    assert found == {0.1: 100, 0.5: 150, 1.0: 260}


def test_what_cannot_be_studied_is_an_error(ground: Ground, tmp_path: Path) -> None:
    given = (training(), asked(), tmp_path)
    with pytest.raises(RunError, match="the target 'small' is one of the sources"):
        study_sources([ground.first, ground.target], ground.target, *given, console=Told())
    copy = Dataset(ground.target.catalog, ground.target.interactions, name="copy")
    with pytest.raises(RunError, match="the target 'copy' is one of the sources"):
        study_sources([ground.target], copy, *given, console=Told())
    with pytest.raises(SettingsError, match=r"share of the users of its own, 0\.5"):
        study_sources([ground.first], ground.target, training(split={"users": 0.5}), asked(), tmp_path, console=Told())
    assert not list(tmp_path.iterdir())
