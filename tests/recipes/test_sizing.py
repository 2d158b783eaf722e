"""Sizes that are to be found: by real steps, told, written down, and the same when a run is resumed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from cases import SETTINGS, platform
from rich.console import Console
from told import Told

from transrec.data.worlds import World
from transrec.errors import TrainingError
from transrec.items.scratch import new_text_backbone
from transrec.model import TransRec
from transrec.recipes import sizing
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer
from transrec.runs import RunRecord
from transrec.training.trainer import Trainer

MIB = 1 << 20
QUIET = Console(quiet=True)
VECTORS = platform(users=400, items=300)
MODEL = SETTINGS.model_copy(update={"prior": "none"})


class Ground:
    """Texts and a network that reads them."""

    def __init__(self, folder: Path) -> None:
        made = World.make(np.random.default_rng(0), topics=4)
        self.data = made.platform("p", users=40, items=150, generator=np.random.default_rng(1), modalities="text")
        texts = [text for text in self.data.catalog.column("text").to_list() if text]
        self.backbone = new_text_backbone(texts, folder / "bert", width=32, layers=2, heads=2)

    def settings(self, **training: object) -> TrainSettings:
        items = {"width": 16, "text": {"backbone": str(self.backbone), "max_length": 16}}
        users = {"window": 8, "layers": 1, "heads": 2, "feedforward": 16}
        loop = {"epochs": 1, "batch_size": 40, "device": "cpu", "tensorboard": False, **training}
        return TrainSettings.from_mapping({"model": {"items": items, "users": users}, "training": loop, "tune": "full"})


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("sizing"))


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """How much memory is free; plenty unless a test says otherwise."""
    free = mock.Mock(return_value=1 << 40)
    monkeypatch.setattr(sizing, "free_bytes", free)
    return free


def vectors(**changes: object) -> TrainSettings:
    loop = {"epochs": 1, "device": "cpu", "tensorboard": False, **changes.pop("training", {})}  # type: ignore[dict-item]
    return TrainSettings.from_mapping({"model": MODEL.model_dump(), "training": loop, "tune": "full", **changes})


def told_bytes(console: Told) -> list[float]:
    """What the line says a step takes, and what is free, in MiB."""
    return [float(number) for number in re.findall(r"([\d.]+) MiB", " ".join(console.text.split("fits: ")[1].split()))]


def test_items_are_read_in_chunks_as_large_as_fit(ground: Ground, free: mock.Mock, tmp_path: Path) -> None:
    train([ground.data], ground.settings(items_at_once="auto"), tmp_path / "whole", console=(plenty := Told()))
    assert "items_at_once that fits: all;" in plenty.text
    assert RunRecord.read(tmp_path / "whole").training["items_at_once"] is None
    [whole, *_] = told_bytes(plenty)
    free.return_value = int(0.6 * whole * MIB)
    train([ground.data], ground.settings(items_at_once="auto"), tmp_path / "chunks", console=(little := Told()))
    number = RunRecord.read(tmp_path / "chunks").training["items_at_once"]
    assert number in (8, 16, 32, 64) and f"items_at_once that fits: {number};" in little.text
    [takes, has] = told_bytes(little)
    assert takes <= 0.8 * has + 0.5 and has <= 0.6 * whole, "what the optimiser needs is left aside"


def test_a_batch_is_as_large_as_fits_and_no_larger_than_an_epoch_bears(free: mock.Mock, tmp_path: Path) -> None:
    train([VECTORS], vectors(training={"batch_size": "auto"}), tmp_path / "run", console=(told := Told()))
    assert "batch_size that fits: 8;" in told.text
    assert RunRecord.read(tmp_path / "run").training["batch_size"] == 8
    windows = sum(-(-(int(length) - 3) // 6) for length in VECTORS.interactions.lengths)
    assert windows < 50 * 16, "16 in a batch would leave fewer than fifty steps"


def test_more_memory_is_a_larger_batch(free: mock.Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sizing, "STEPS_PER_EPOCH", 1)
    sizes = []
    for memory in (1 * MIB, 4 * MIB, 1 << 40):
        free.return_value = memory
        train([VECTORS], vectors(training={"batch_size": "auto"}), tmp_path / str(memory), console=QUIET)
        sizes.append(RunRecord.read(tmp_path / str(memory)).training["batch_size"])
    assert sizes == sorted(sizes) and len(set(sizes)) == 3 and sizes[-1] == 512


def test_what_is_found_is_what_the_run_would_have_had_with_the_number(free: mock.Mock, tmp_path: Path) -> None:
    found, _ = train([VECTORS], vectors(training={"batch_size": "auto"}), tmp_path / "auto", console=QUIET)
    given, _ = train([VECTORS], vectors(training={"batch_size": 8}), tmp_path / "given", console=QUIET)
    assert all(tensor.equal(given.state_dict()[name]) for name, tensor in found.state_dict().items())
    assert (tmp_path / "auto" / "settings.yaml").read_text() == (tmp_path / "given" / "settings.yaml").read_text()


STAGES = [{"objective": {"kind": "softmax"}, "tune": "full", "training": {"epochs": 1}}]


@pytest.mark.parametrize("stages", [[], STAGES], ids=["one training", "two stages"])
@pytest.mark.parametrize("interrupted", [0, 1])
def test_a_resumed_run_has_the_size_that_was_found(
    free: mock.Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stages: list, interrupted: int
) -> None:
    monkeypatch.setattr(sizing, "STEPS_PER_EPOCH", 1)
    settings = vectors(training={"batch_size": "auto", "epochs": 2}, stages=stages)
    free.return_value = 4 * MIB
    whole, _ = train([VECTORS], settings, tmp_path / "whole", console=QUIET)
    fit, calls = Trainer.fit, []

    def broken(trainer: Trainer, *arguments: object, **named: object) -> object:
        def stop(model: TransRec) -> Mapping[str, float]:
            calls.append(model)
            if len(calls) > interrupted:
                raise KeyboardInterrupt
            return validate(model)

        *others, validate = arguments
        return fit(trainer, *others, stop, **named)  # type: ignore[arg-type]

    with mock.patch.object(Trainer, "fit", broken), pytest.raises(KeyboardInterrupt):
        train([VECTORS], settings, tmp_path / "broken", console=QUIET)
    free.return_value = 1 << 40  # there would now be room for more
    resumed, _ = train([VECTORS], settings, tmp_path / "broken", resume=True, console=QUIET)
    if not stages or interrupted:  # else the second stage had not begun, and finds its size by what is free now
        assert all(tensor.equal(whole.state_dict()[name]) for name, tensor in resumed.state_dict().items())
    record, first = RunRecord.read(tmp_path / "broken"), RunRecord.read(tmp_path / "whole")
    assert [stage["training"]["batch_size"] for stage in record.stages] == [
        s["training"]["batch_size"] for s in first.stages
    ]
    assert isinstance(record.training["batch_size"], int)


def test_a_transfer_finds_its_own_and_resumes_with_it(free: mock.Mock, tmp_path: Path) -> None:
    train([VECTORS], vectors(), tmp_path / "source", console=QUIET)
    loop = {"epochs": 1, "device": "cpu", "tensorboard": False, "batch_size": "auto"}
    settings = TransferSettings.from_mapping({"training": loop, "tune": "full"})
    moved, _ = transfer(tmp_path / "source", platform(seed=3), settings, tmp_path / "target", console=QUIET)
    assert RunRecord.read(tmp_path / "target").training["batch_size"] == 8
    again, _ = transfer(tmp_path / "source", platform(seed=3), settings, tmp_path / "target", resume=True, console=QUIET)
    assert all(tensor.equal(again.state_dict()[name]) for name, tensor in moved.state_dict().items())


@pytest.mark.parametrize(
    ("memory", "message"), [(None, "does not say how much memory is free"), (1000, "not even 8 fit into the")]
)
def test_what_cannot_be_found_is_said(free: mock.Mock, memory: int | None, message: str) -> None:
    free.return_value = memory
    for name in ("batch_size", "items_at_once"):
        with pytest.raises(TrainingError, match=message) as caught:
            train([VECTORS], vectors(training={name: "auto"}), console=QUIET)
        assert caught.value.where == f"training.{name}"


def test_several_processes_are_given_a_number(free: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "processes", lambda _: mock.Mock(num_processes=2))
    with pytest.raises(TrainingError, match="several processes"):
        train([VECTORS], vectors(training={"batch_size": "auto"}), console=QUIET)
