"""The study of how much of the encoders learns: a line for each tuning rule, held against the first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from cases import SETTINGS, platform
from comparing_ground import TRAINING
from studying_ground import QUICK, Told

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.data.worlds import World
from transrec.errors import DataError, ModelError, SettingsError
from transrec.items.scratch import new_text_backbone
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.studies import trained, way_work
from transrec.recipes.studies.encoders import study_encoders
from transrec.recipes.studies.way_settings import EncodersSettings
from transrec.recipes.studies.way_study import WayStudy


def asked(**given: Any) -> EncodersSettings:
    return EncodersSettings.from_mapping({**QUICK, "tunes": "frozen,top:1", "seeds": "0,1", "permutations": 2000, **given})


@dataclass(frozen=True)
class Ground:
    dataset: Dataset
    training: TrainSettings
    study: WayStudy
    folder: Path
    text: str

    @property
    def written(self) -> Any:
        return json.loads((self.folder / "study.json").read_text())

    def run(self, line: int, place: int = 0) -> Path:
        return self.folder / "runs" / self.written["lines"][line]["trainings"][place]["folder"] / "run"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder, console = tmp_path_factory.mktemp("encoders"), Told()
    world = World.make(np.random.default_rng(0), topics=4)
    dataset = world.platform("shop", users=60, items=40, generator=np.random.default_rng(0), modalities="text")
    new_text_backbone(dataset.catalog.column("text").to_list(), folder / "text", width=16, layers=2, heads=2)
    items = {"width": 16, "text": {"backbone": str(folder / "text"), "max_length": 16}}
    model = {**SETTINGS.model_dump(mode="json"), "items": items, "prior": "none"}
    training = TrainSettings.from_mapping({"model": model, "training": {**TRAINING, "encoder_learning_rate": 1e-3}})
    study = study_encoders(dataset, training, asked(), folder / "out", console=console)
    return Ground(dataset, training, study, folder / "out", console.text)


def test_there_is_a_line_for_each_rule_and_a_training_for_each_seed(ground: Ground) -> None:
    assert [line.label for line in ground.study.lines] == ["frozen", "top:1"]
    for rule, line in zip(("frozen", "top:1"), ground.written["lines"], strict=True):
        assert line["tune"] == rule and [own["seed"] for own in line["trainings"]] == [0, 1]
        assert line["seconds"] == pytest.approx(sum(own["cost"]["seconds"] for own in line["trainings"]))
        assert line["parameters"] == sum(p.numel() for p in TransRec.load(ground.run(0)).parameters())


def test_frozen_encoders_are_as_published_and_the_top_block_of_the_others_is_not(ground: Ground) -> None:
    start = dict(TransRec.build(ground.training.model, [ground.dataset.catalog]).items.encoders.named_parameters())
    moved = []
    for line in (0, 1):
        own = dict(TransRec.load(ground.run(line)).items.encoders.named_parameters())
        moved.append({name for name, value in own.items() if not torch.equal(value, start[name])})
    assert not moved[0] and moved[1]
    assert all("layer.1." in name or "layer" not in name for name in moved[1])
    frozen, top = ground.study.lines
    learned = sum(p.numel() for name, p in start.items() if name in moved[1])
    assert 0 < learned <= top.size.learning - frozen.size.learning, "parameters of the top block are counted as learning"


def test_the_contrast_is_what_the_kept_ranks_say(ground: Ground) -> None:
    by_line = []
    for line in ground.written["lines"]:
        ranks = [
            pl.read_parquet(ground.folder / "runs" / own["folder"] / "ranks-popularity1.parquet")["rank"].to_numpy()
            for own in line["trainings"]
        ]
        by_line.append(np.mean([np.where(own <= 10, 1 / np.log2(own + 1), 0) for own in ranks], axis=0))
    found = ground.study.lines[1].against
    assert found is not None and ground.study.lines[0].against is None
    assert found.points.value == pytest.approx((by_line[1] - by_line[0]).mean(), abs=1e-12)
    assert found.percent.value == pytest.approx(100 * (by_line[1].mean() / by_line[0].mean() - 1))
    assert [line.metrics["NDCG@10"].value for line in ground.study.lines] == pytest.approx([own.mean() for own in by_line])
    drawn = np.random.default_rng(9).choice([-1, 1], size=(4000, len(by_line[0])))
    extreme = np.abs((drawn * (by_line[1] - by_line[0])).mean(axis=1)) >= abs(found.points.value) - 1e-12
    assert found.p_value == pytest.approx(extreme.mean(), abs=0.04), "2,000 relabellings, another 4,000 here"


def test_table_and_figure_say_it(ground: Ground) -> None:
    assert "…" not in ground.text.rpartition("encoders: ")[2]
    assert (ground.folder / "study.png").stat().st_size > 10_000
    shown, table = " ".join(ground.text.split()), (ground.folder / "study.md").read_text()
    for told in (*ground.study.sentences, ground.study.headline):
        assert told in shown and told in table
    value = ground.study.lines[0].metrics
    assert f"| frozen |  | {value['NDCG@10']} | ±" in table and f"| {value['HR@10']} | - | - | - |" in table
    assert "the test split has been opened" in shown and "4 of 4: top:1, seed 1: validation" in shown


def test_what_is_done_is_found_and_answers_other_questions(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, train = [], trained.train
    monkeypatch.setattr(trained, "train", lambda *given, **named: calls.append(given) or train(*given, **named))
    opened, console = len(ground.written["test_opened"]), Told()
    again = study_encoders(ground.dataset, ground.training, asked(), ground.folder, console=console)
    assert again.sentences == ground.study.sentences and not calls
    assert console.text.count("found done") == 4 and len(ground.written["test_opened"]) == opened + 1
    monkeypatch.setattr(way_work, "rank_targets", None)
    study_encoders(ground.dataset, ground.training, asked(metric="HR@5"), ground.folder, console=Told())
    assert not calls and ground.written["metric"] == "HR@5", "another question is answered from the same ranks"


class Interrupted(BaseException):
    """Not an error of ours: like Ctrl-C, or the machine going down."""


def test_the_test_is_opened_after_everything_was_trained_and_noted_before_it_is_ranked(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, settings = (ground.dataset, ground.training), asked(seeds="0")

    def interrupted(*_: object, **__: object) -> None:
        raise Interrupted

    done: list[int] = []
    train = trained.train

    def train_one(*arguments: Any, **named: Any) -> Any:
        return interrupted() if done else (done.append(1), train(*arguments, **named))[1]

    with monkeypatch.context() as patch:
        patch.setattr(trained, "train", train_one)
        with pytest.raises(Interrupted):
            study_encoders(*given, settings, tmp_path / "out", console=Told())
    assert not (tmp_path / "out" / "study.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr(way_work, "rank_targets", interrupted)
        with pytest.raises(Interrupted):
            study_encoders(*given, settings, tmp_path / "out", console=Told())
    unfinished = json.loads((tmp_path / "out" / "study.json").read_text())
    assert unfinished["unfinished"] and len(unfinished["test_opened"]) == 1
    console = Told()
    study = study_encoders(*given, settings, tmp_path / "out", console=console)
    assert console.text.count("found done") == 2 and len(study.opened) == 2
    seed_0 = [line.by_seed["NDCG@10"][0] for line in ground.study.lines]
    assert [line.by_seed["NDCG@10"][0] for line in study.lines] == seed_0


def test_of_the_usual_rules_those_that_do_not_fit_are_left_out(ground: Ground, tmp_path: Path) -> None:
    texts = ground.dataset.catalog.column("text").to_list()
    new_text_backbone(texts, tmp_path / "text", width=16, layers=1, heads=2)
    shallow = ground.training.updated({"model": {"items": {"text": {"backbone": str(tmp_path / "text")}}}})
    usual = EncodersSettings.from_mapping({**QUICK, "seeds": "0"})
    study = study_encoders(ground.dataset, shallow, usual, tmp_path / "out", console=Told())
    assert [line.label for line in study.lines] == ["frozen", "top:1", "full"]
    assert list(study.left_out) == ["top:2"] and "has 1 block, top:2 asks for more" in study.left_out["top:2"]


def few_events(dataset: Dataset, events: int) -> Dataset:
    users = [str(user) for user in range(20) for _ in range(events)]
    rows = [event for _ in range(20) for event in range(events)]
    columns = pl.DataFrame({"user": users, "row": rows, "time": [float(row) for row in rows]})
    return Dataset(dataset.catalog, Interactions.from_columns(columns), name="few")


def test_what_cannot_be_studied_is_said_before_anything_is_trained(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trained, "train", None)
    text, training = ground.dataset, ground.training

    def refused(dataset: Dataset, changed: dict[str, Any], **given: Any) -> WayStudy:
        return study_encoders(dataset, training.updated(changed), asked(**given), tmp_path, console=Told())

    with pytest.raises(ModelError, match="has 2 blocks, top:9 asks for more") as told:
        refused(text, {}, tunes="frozen,top:9")
    assert told.value.where == "the line top:9" and "leave this line out" in str(told.value)
    with pytest.raises(SettingsError, match=r"frozen and full let the very same [\d,]+ parameters learn"):
        refused(platform(), {}, tunes="frozen,full")
    with pytest.raises(DataError, match="items have text, and of these the model reads nothing"):
        refused(text, {"model": {"items": {"modalities": ["identity"]}}})
    with pytest.raises(DataError, match="has three events"):
        refused(few_events(text, 2), {})
    with pytest.raises(DataError, match="two training events"):
        refused(few_events(text, 3), {})
    given = Catalog.from_items([Item(id=f"g{n}", vectors={"given": [1.0, 2.0]}) for n in range(40)])
    with pytest.raises(DataError, match=r"items have given, .* \(model\.items\.modalities: text\)"):
        refused(Dataset(given, text.interactions, name="given"), {"model": {"items": {"modalities": ["text"]}}})
    assert not list(tmp_path.iterdir())
