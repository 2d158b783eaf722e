"""The estimate: told before a long training, once, and nothing of what is learned changes by it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from cases import Case
from rich.console import Console
from told import Told

from transrec.data.room import readable_bytes
from transrec.errors import TrainingError
from transrec.model import TransRec
from transrec.training import estimate, trainer
from transrec.training.estimate import Course, Estimate, estimated, readable_time
from transrec.training.rehearsal import Rehearsal
from transrec.training.settings import TrainingSettings
from transrec.training.trainer import Trainer

GIB = 1 << 30
CPU = torch.device("cpu")


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training is long enough."""
    monkeypatch.setattr(trainer, "LONG", 1)
    monkeypatch.setattr(estimate, "multiplies_faster_in_bfloat16", lambda: True)


def fit(case: Any, console: Console, folder: Path | None = None, **changes: object) -> Mapping[str, torch.Tensor]:
    """The weights after two epochs."""

    def validate(model: TransRec) -> Mapping[str, float]:
        return {"NDCG@10": 0.1}

    common = {"epochs": 2, "device": "cpu", "tensorboard": False, "keep": "last"}
    settings = TrainingSettings.from_mapping({**common, **changes})
    Trainer(settings, folder, console=console).fit(case.model, case.objective, case.batches, validate)
    return case.model.state_dict()


@pytest.mark.parametrize("changes", [{}, {"accumulate": 2, "clip": None}, {"items_at_once": 5}, {"precision": "bfloat16"}])
def test_the_same_is_learned_with_it_and_without(long: None, text_case: Callable[..., Any], changes: dict) -> None:
    for make in (Case, text_case):
        told, silent = Told(), Told()
        with_it, without = fit(make(), told, **changes), fit(make(), silent, estimate=False, **changes)
        assert "a step takes about" in told.text and "a step takes" not in silent.text
        assert all(tensor.equal(without[name]) for name, tensor in with_it.items())


def test_it_is_told_once_before_the_first_step(long: None) -> None:
    told, case = Told(), Case()
    fit(case, told)
    assert told.text.count("a step takes about") == 1
    assert told.text.index("a step takes about") < told.text.index("validation NDCG@10")


def test_short_trainings_and_those_that_nobody_watches_are_not_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = mock.Mock()
    monkeypatch.setattr(trainer, "estimated", tried)
    fit(Case(), told := Told())
    assert "a step takes" not in told.text, "it has a few steps"
    monkeypatch.setattr(trainer, "LONG", 1)
    fit(Case(), Console(quiet=True))
    assert not tried.called
    fit(Case(), Told())
    assert tried.called


class Sleeping(torch.nn.Module):
    """Each pass takes so long."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.weight = seconds, torch.nn.Parameter(torch.zeros(1000))

    def forward(self, batch: object) -> mock.Mock:
        time.sleep(self.seconds)
        return mock.Mock(total=(self.weight * 2).sum())


def batches(per_epoch: int) -> mock.Mock:
    """Batches of 64 windows without any items."""
    batch = mock.Mock(mask_BL=torch.ones(64, 3))
    batch.items.parts = {}
    return mock.Mock(steps_per_epoch=per_epoch, batch=mock.Mock(return_value=batch))


def test_time_is_that_of_the_parts_of_a_step_and_counts_what_is_to_come() -> None:
    made = batches(40)
    found = estimated(Rehearsal(Sleeping(0.01), CPU), made, Course(start=10, total=30, per_epoch=20, parts=2))
    assert 0.02 <= found.seconds < 0.5
    assert (found.per_epoch, found.steps, found.rounded_seconds) == (20, 20, None)
    assert min(call.args[0] for call in made.batch.call_args_list) == 20, "the first batch of the eleventh step"


def test_memory_has_the_optimisers_state_unless_it_is_there_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "free_bytes", lambda _: 123)
    rehearsal = Rehearsal(Sleeping(0), CPU)
    fresh = estimated(rehearsal, batches(1), Course(0, 30, 20))
    resumed = estimated(rehearsal, batches(1), Course(10, 30, 20))
    assert fresh.bytes - resumed.bytes == rehearsal.state_bytes == 8000
    assert resumed.bytes >= 4000, "the gradient"
    assert fresh.free == 123


@pytest.mark.parametrize(("ask", "good"), [(True, True), (True, False), (False, True)])
def test_bfloat16_is_tried_where_it_may_be_had_and_the_cpu_is_good_at_it(
    monkeypatch: pytest.MonkeyPatch, ask: bool, good: bool
) -> None:
    monkeypatch.setattr(estimate, "multiplies_faster_in_bfloat16", lambda: good)
    found = estimated(Rehearsal(Sleeping(0), CPU), batches(1), Course(0, 30, 20), ask=ask)
    assert (found.rounded_seconds is not None) == (ask and good)


def test_what_does_not_fit_is_said_before_it_is_tried_in_earnest() -> None:
    task = Sleeping(0)
    with (
        mock.patch.object(task, "forward", side_effect=torch.OutOfMemoryError),
        pytest.raises(TrainingError, match="a step of 64 windows does not fit into the memory") as caught,
    ):
        estimated(Rehearsal(task, CPU), batches(1), Course(0, 30, 20))
    assert caught.value.remedy and "--training.items-at-once auto" in caught.value.remedy


def told(**changes: object) -> list[str]:
    return str(
        Estimate(**{"seconds": 0.9, "bytes": 3 * GIB, "free": 20 * GIB, "per_epoch": 800, "steps": 3200, **changes})
    ).splitlines()


def test_what_a_person_reads() -> None:
    assert told() == [
        "a step takes about 0.9 s and 3.0 GiB (20.0 GiB are free): about 12 min an epoch, at most 48 min, besides validation"
    ]
    assert told(free=None)[0].startswith("a step takes about 0.9 s and 3.0 GiB: about")
    [_, warning] = told(free=2 * GIB)
    assert warning == "that is more memory than is free; --training.items-at-once auto finds what fits"
    [_, advice] = told(rounded_seconds=0.5)
    assert advice == "in bfloat16 a step would take about 0.5 s: --training.precision bfloat16"
    assert len(told(rounded_seconds=0.8)) == 1, "not worth it"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "12 ms"),
        (0.0012, "1.2 ms"),
        (1.26, "1.3 s"),
        (45, "45 s"),
        (720, "12 min"),
        (5 * 3600, "5 h"),
        (9000, "2.5 h"),
        (2.5 * 86400, "2.5 days"),
    ],
)
def test_time_as_a_person_would_say_it(seconds: float, text: str) -> None:
    assert readable_time(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(17, "17 bytes"), (4096, "4 KiB"), (300 << 20, "300 MiB"), (1536 << 20, "1.5 GiB")]
)
def test_bytes_as_a_person_would_say_them(size: int, text: str) -> None:
    assert readable_bytes(size) == text
