"""A loss that is not a number: nothing of it is kept, what caused it is written down, and it can be left out by choice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from cases import Case, Spoiled
from safetensors.torch import load_file

from transrec.data.batches import SequenceBatch
from transrec.errors import TrainingError
from transrec.model import TransRec
from transrec.training.finite import MOST_SKIPPED, FiniteWatch
from transrec.training.settings import TrainingSettings
from transrec.training.trainer import Trainer


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings.from_mapping(
        {"epochs": 3, "device": "cpu", "tensorboard": False, "log_every": 100, "estimate": False, **changes}
    )


def fit(folder: Path, bad: set[int], **changes: object) -> tuple[Case, Spoiled]:
    case = Case()
    objective = Spoiled(case.objective, bad)
    names = [f"thing {row}" for row in range(50)]
    trainer = Trainer(settings(**changes), folder, name_items=lambda batch: [names[row] for row in batch.rows_U.tolist()])

    def validate(_: TransRec) -> Mapping[str, float]:
        return {"NDCG@10": 0.1}

    trainer.fit(case.model, objective, case.batches, validate)
    return case, objective


def test_it_stops_before_the_weights_move_and_names_the_items(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"not a number at step 5; its \d+ items are in nonfinite.json") as caught:
        fit(tmp_path, {4})
    assert "--training.on-nonfinite skip" in str(caught.value)
    report = json.loads((tmp_path / "nonfinite.json").read_text())
    case = Case()
    assert report["step"] == 5
    assert report["items"] == [[f"thing {row}" for row in case.batches.batch(4).rows_U.tolist()]]
    assert report["losses, gradient"][0] == "nan"
    weights = load_file(str(tmp_path / "checkpoints" / "last" / "model.safetensors"))
    assert all(bool(tensor.isfinite().all()) for tensor in weights.values()), "the last good state"


def test_skipped_steps_leave_the_weights_alone_and_the_rest_goes_on(tmp_path: Path) -> None:
    case, objective = fit(tmp_path, {4, 5}, on_nonfinite="skip")
    assert objective.calls == 3 * case.batches.steps_per_epoch
    assert all(bool(parameter.isfinite().all()) for parameter in case.model.parameters())
    assert json.loads((tmp_path / "nonfinite.json").read_text())["step"] == 6


def test_skipping_ends_when_it_does_not_help(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=f"{MOST_SKIPPED + 1} times in a row"):
        fit(tmp_path, set(range(4, 1000)), on_nonfinite="skip", epochs=50, patience=50)


def test_an_accelerator_notes_and_looks_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of a GPU, on the type of tensors that has no values to look at."""
    watch = FiniteWatch("stop", tmp_path)
    case = Case()
    looked: list[int] = []
    monkeypatch.setattr(torch.Tensor, "device", torch.device("cuda"), raising=False)
    for step, value in enumerate((1.0, float("inf"), 1.0, float("nan"))):
        assert watch.allows([torch.tensor(value)], torch.tensor(1.0), step, [])
    monkeypatch.undo()

    def made(step: int) -> list[SequenceBatch]:
        looked.append(step)
        return [case.batches.batch(step)]

    with pytest.raises(TrainingError, match="at step 2"):
        watch.settle(made)
    assert looked == [1]
    assert json.loads((tmp_path / "nonfinite.json").read_text())["items"] == [case.batches.batch(1).rows_U.tolist()]
    quiet = FiniteWatch("stop", None)
    quiet.settle(made)
    assert looked == [1]
