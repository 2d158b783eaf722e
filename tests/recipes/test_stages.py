"""Stages: run in order, each with what is its own, resumed wherever they were interrupted, and written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from cases import SETTINGS, platform
from rich.console import Console
from torch import Tensor

from transrec.data.batches import SequenceBatch, SequenceBatches
from transrec.errors import ModelError, RunError, SettingsError
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.stages import StageSettings, stage_folders, stage_to_resume
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer
from transrec.runs import RunRecord
from transrec.settings import read_yaml
from transrec.training.settings import TrainingSettings
from transrec.training.trainer import Fit

QUIET = Console(quiet=True)
DATA = platform()

MEASURED = ("windows_per_second", "waiting_for_input")


def settings(**changes: object) -> TrainSettings:
    """Masked items for two epochs, then multi-step prediction for two."""
    model = SETTINGS.updated({"users": {"attention": "bidirectional", "mask_token": True}, "prior": "none"})
    masked = {"objective": {"kind": "masked"}, "tune": "frozen", "training": {"epochs": 2, "learning_rate": 0.01}}
    return TrainSettings.from_mapping(
        {
            "model": model.model_dump(mode="json"),
            "stages": [masked],
            "objective": {"kind": "multistep"},
            "training": {"epochs": 2, "batch_size": 16, "device": "cpu", "tensorboard": False, "log_every": 1},
            "tune": "full",
            **changes,
        }
    )


def fitted(out: Path | None = None, *, resume: bool = False, **changes: object) -> tuple[TransRec, Fit]:
    return train([DATA], settings(**changes), out, resume=resume, console=QUIET)


def rows(path: Path) -> list[dict[str, float]]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in MEASURED} for row in found]


def test_a_stage_says_only_what_differs() -> None:
    first, last = settings().course
    shared = settings().training
    assert first.objective.kind == "masked" and last.objective.kind == "multistep"
    assert (first.tune, last.tune) == ("frozen", "full")
    assert first.training == shared.updated({"epochs": 2, "learning_rate": 0.01, "keep": "last"})
    assert last.training == shared
    assert settings(stages=[]).course == [last], "without stages there is the one training"
    (kept, _) = settings(stages=[{"training": {"keep": "best"}}]).course
    assert kept.training.keep == "best"


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"training": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"training": {"epochs": 0}}, "greater than or equal to 1"),
        ({"training": {"device": "cpu"}}, "device must be the same in all stages"),
        ({"training": {"seed": 3}}, "seed must be the same in all stages"),
        ({"tune": "top"}, "not a tuning rule"),
        ({"objectives": {}}, "did you mean 'objective'"),
    ],
)
def test_what_a_stage_cannot_be_is_said_at_once(stage: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings(stages=[stage])


def test_a_stage_trains_and_hands_its_weights_on(tmp_path: Path) -> None:
    fitted(tmp_path / "both")
    for folder, part in ((tmp_path / "both" / "stages" / "1", "masked"), (tmp_path / "both", "positive")):
        logged = rows(folder / "metrics.jsonl")
        assert all(part in row for row in logged if row["kind"] == "train"), "each stage has a log of its own"
        assert len([row for row in logged if row["kind"] == "validation"]) == 2
    only, _ = fitted(tmp_path / "alone", stages=[])
    first = rows(tmp_path / "both" / "metrics.jsonl")[0]["loss"]
    assert first != rows(tmp_path / "alone" / "metrics.jsonl")[0]["loss"], "the second stage starts from the first's weights"
    assert not (tmp_path / "alone" / "stages").exists()
    assert only.users.mask_token is not None and not only.users.mask_token.any(), "nothing moved it"


def test_the_masked_stage_moves_the_token_and_leaves_frozen_encoders(tmp_path: Path) -> None:
    model, _ = fitted(tmp_path)
    loaded = TransRec.load(tmp_path)
    assert model.users.mask_token is not None and model.users.mask_token.any()
    assert loaded.users.mask_token is not None
    assert torch.equal(model.users.mask_token.cpu(), loaded.users.mask_token)
    target, _ = transfer(
        tmp_path,
        platform(users=30, items=40, seed=3),
        TransferSettings(training=TrainingSettings(max_steps=1, device="cpu", tensorboard=False), tune="frozen"),
        console=QUIET,
    )
    assert target.users.mask_token is not None and target.users.mask_token.any(), "it moved with the user encoder"


def test_what_learned_in_any_stage_has_learned(tmp_path: Path) -> None:
    chosen = settings().model.updated({"items": {"modalities": ["given", "identity"]}})
    masked = {"objective": {"kind": "masked"}, "tune": "full"}
    fitted(tmp_path, model=chosen.model_dump(mode="json"), stages=[masked], tune="frozen")
    became = {p["name"]: p["learns"] for p in json.loads((tmp_path / "parameters.json").read_text())["parameters"]}
    assert became and all(became.values())


def interrupted(at: int, of: str) -> Callable[..., SequenceBatch]:
    """A way of making batches that ends a training at this step of the stage with these targets."""
    batch = SequenceBatches.batch

    def make(self: SequenceBatches, step: int) -> SequenceBatch:
        if self._plan.targets == of and step == at:
            raise KeyboardInterrupt
        return batch(self, step)

    return make


@pytest.mark.parametrize(("stage", "step"), [("none", 4), ("none", 7), ("following", 0), ("following", 7)])
def test_a_course_that_was_interrupted_ends_with_the_same_weights(
    tmp_path: Path, stage: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_step = {**settings().training.model_dump(mode="json"), "checkpoint_minutes": 0}
    whole, expected = fitted(tmp_path / "whole", training=every_step)
    with monkeypatch.context() as patched:
        patched.setattr(SequenceBatches, "batch", interrupted(step, stage))
        with pytest.raises(KeyboardInterrupt):
            fitted(tmp_path / "broken", training=every_step)
    assert (tmp_path / "broken" / "checkpoints").exists() == (stage == "following")
    made: list[str] = []
    batch = SequenceBatches.batch

    def told(self: SequenceBatches, number: int) -> SequenceBatch:
        made.append(self._plan.targets)
        return batch(self, number)

    monkeypatch.setattr(SequenceBatches, "batch", told)
    resumed, result = fitted(tmp_path / "broken", resume=True, training=every_step)
    assert result == expected
    assert ("none" in made) == (stage == "none"), "a stage that has ended is not trained again"
    weights: Mapping[str, Tensor] = resumed.state_dict()
    assert all(tensor.equal(weights[name]) for name, tensor in whole.state_dict().items())
    for log in ("metrics.jsonl", "stages/1/metrics.jsonl"):
        assert rows(tmp_path / "whole" / log) == rows(tmp_path / "broken" / log)
    assert (tmp_path / "whole" / "parameters.json").read_text() == (tmp_path / "broken" / "parameters.json").read_text()


def test_resuming_asks_for_the_same_stages(tmp_path: Path) -> None:
    fitted(tmp_path)
    with pytest.raises(RunError, match="another stages"):
        fitted(tmp_path, resume=True, stages=[])


def test_the_stages_are_written_down_and_can_be_given_back(tmp_path: Path) -> None:
    fitted(tmp_path)
    record = RunRecord.read(tmp_path)
    assert [StageSettings.from_mapping(stage) for stage in record.stages] == list(settings().stages)
    document = {
        name: value for name, value in read_yaml(tmp_path / "settings.yaml").items() if name not in ("run", "format")
    }
    again = TrainSettings.from_mapping(document)
    assert (again.stages, again.objective, again.training) == (settings().stages, settings().objective, settings().training)


def test_an_objective_that_does_not_fit_a_stage_is_said() -> None:
    plain = settings().model.updated({"users": {"mask_token": False}}).model_dump(mode="json")
    with pytest.raises(ModelError, match="no vector to put in place"):
        fitted(model=plain)


def test_folders_and_where_to_go_on(tmp_path: Path) -> None:
    folders = stage_folders(tmp_path, 3)
    assert folders == [tmp_path / "stages" / "1", tmp_path / "stages" / "2", tmp_path]
    assert stage_folders(None, 2) == [None, None]
    assert stage_to_resume(folders) == 0
    for place in (0, 1):
        last = tmp_path / "stages" / str(place + 1) / "checkpoints" / "last"
        last.mkdir(parents=True)
        assert stage_to_resume(folders) == max(0, place - 1), "a folder alone is no checkpoint"
        (last / "progress.json").write_text("{}")
        assert stage_to_resume(folders) == place


def test_a_checkpoint_that_was_being_replaced_leaves_the_one_before(tmp_path: Path) -> None:
    old = tmp_path / "stages" / "2" / "checkpoints" / "before"
    old.mkdir(parents=True)
    (old / "progress.json").write_text("{}")
    assert stage_to_resume(stage_folders(tmp_path, 3)) == 1


def test_hidden_items_are_learned_to_be_filled_in(tmp_path: Path) -> None:
    """The items of this platform follow each other in a circle, so each is told by its neighbours on both sides."""
    own = {"items": {"width": 32}, "users": {"layers": 2, "dropout": 0.0, "feedforward": 64}}
    chosen = settings(
        model=settings().model.updated(own).model_dump(mode="json"), stages=[], objective={"kind": "masked"}, tune="frozen"
    )
    loop = {"epochs": 100, "validate_every": 100, "batch_size": 100, "learning_rate": 0.01, "keep": "last"}
    train([platform(users=100, items=30)], chosen.updated({"training": loop}), tmp_path, console=QUIET)
    hits = [row["masked_hit@1"] for row in rows(tmp_path / "metrics.jsonl") if row["kind"] == "train"]
    assert sum(hits[:5]) / 5 < 0.15
    assert sum(hits[-5:]) / 5 > 0.7
