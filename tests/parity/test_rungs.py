"""With fewer tricks a training step costs more and computes the same; the programs that measure it say so."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from transrec.data.batches import SequenceBatches
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.retrieval.prefix import Keeping, with_states

Program = Callable[..., dict[str, Any]]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def program(benchmark: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Program:
    """Runs a program in this process and returns what it wrote."""
    for name, value in benchmark("rungs").ALLOCATOR.items():
        monkeypatch.setenv(name, value)  # else it would start itself anew

    def run(name: str, writes: str, *arguments: str) -> dict[str, Any]:
        common = ("--threads", str(torch.get_num_threads()), "--out", str(tmp_path))
        monkeypatch.setattr(sys, "argv", [name, *arguments, *common])
        benchmark(name).main()
        assert (tmp_path / f"{writes}.png").stat().st_size > 1_000
        found: dict[str, Any] = json.loads((tmp_path / f"{writes}.json").read_text())
        return found

    return run


def test_all_rungs_have_the_same_loss_and_gradients(benchmark: Callable[[str], ModuleType]) -> None:
    rungs = benchmark("rungs")
    platform = benchmark("step").Platform(users=6, items=40, layers=3, width=64)
    model = platform.model.eval()
    objective = build_objective(ObjectiveSettings(), model)
    batches = {
        rung: SequenceBatches(platform.split, store, objective.plan, batch_size=6, seed=0).batch(0)
        for rung in rungs.RUNGS
        for store in [with_states(model, platform.store, Keeping()) if rung == rungs.STORE else platform.store]
    }
    assert batches[rungs.STORE].items.parts["text"].below == 1
    found = {}
    for rung, batch in batches.items():
        model.zero_grad()
        loss = rungs.loss_on(rung, model, objective, batch)
        loss.backward()
        found[rung] = (loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    expected_loss, expected = found[rungs.EVERY_OCCURRENCE]
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for rung, (loss, gradients) in found.items():
        torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=0.0, msg=rung)
        assert gradients.keys() == expected.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-5 * largest, msg=f"{rung}: {name}")


def test_every_event_of_a_batch_is_an_occurrence(benchmark: Callable[[str], ModuleType]) -> None:
    platform = benchmark("step").Platform(users=4, items=60, layers=2, width=64)
    objective = build_objective(ObjectiveSettings(), platform.model)
    batch = SequenceBatches(platform.split, platform.store, objective.plan, batch_size=4, seed=0).batch(0)
    rows = batch.rows_U[benchmark("rungs").occurrences(batch)]
    assert sorted(rows.tolist()) == sorted(row for line in platform.lines for row in line)


def test_the_ladder_tells_times_operations_and_efficiency(program: Program) -> None:
    found = program("ladder", "step", "--layers", "3", "--width", "64", "--batch", "4", "--items", "60", "--rounds", "1")
    waste = list(found["waste"].values())
    assert waste == sorted(waste, reverse=True), "every step of the ladder spares something"
    assert 1.0 <= waste[-1] < 1.15
    assert list(found["times"].values())[-1] == 1.0
    first, *_, last = found["seconds"].values()
    assert found["ratio"] == pytest.approx(first / last)
    assert found["efficiency"] > 0.0
    assert found["loss_difference"] <= 1e-5 * max(found["losses"].values())


def test_both_trainings_follow_the_same_curve(program: Program) -> None:
    world = ("--users", "80", "--items", "60", "--layers", "3", "--width", "16", "--batch", "32", "--epochs", "2")
    found = program("quality", "quality", *world)
    on, off = found["losses"]
    assert on == pytest.approx(off, rel=1e-5)
    assert found["difference"] <= 2 / 80, "of 80 users, rounding may turn one or two"
    points = found["points"]
    assert [point["epoch"] for point in points] == [0.0, 1.0, 2.0]
    assert points[0]["seconds_on"] == found["filling"] > 0.0 == points[0]["seconds_off"]
    assert found["ratio"] == pytest.approx(found["seconds"][1] / found["seconds"][0])
    assert found["ratio_of_all_steps"] == pytest.approx(points[-1]["seconds_off"] / points[-1]["seconds_on"])


def test_the_time_to_the_same_quality_is_that_of_the_first_point_that_has_it(benchmark: Callable[[str], ModuleType]) -> None:
    quality = benchmark("quality")
    values = [(0.0, 0.9, 0.9, 5.0, 0.0), (1.0, 0.2, 0.2, 7.0, 8.0), (2.0, 0.4, 0.35, 9.0, 16.0), (3.0, 0.3, 0.4, 11.0, 24.0)]
    result = quality.Result([quality.Point(*value) for value in values], losses=(1.0, 1.0), filling=5.0, steps=3)
    assert result.reached == 0.4, "what both had before any step does not count"
    assert result.seconds == (9.0, 24.0)
    assert result.ratio == pytest.approx(24 / 9)
    assert result.difference == pytest.approx(0.1)
