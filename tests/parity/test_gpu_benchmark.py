"""The program that measures steps on a GPU runs on a CPU too, and a side that cannot be measured spoils no other."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    threads = torch.get_num_threads()
    yield lambda name: importlib.import_module(f"benchmarks.{name}")
    torch.set_num_threads(threads)


def test_all_parts_but_compiling_run(
    benchmark: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ["--device", "cpu", "--quick", "--rounds", "1", "--batches", "4", "--large", "8"]
    monkeypatch.setattr(sys, "argv", ["gpu", *tiny, "--parts", "a", "b", "c", "d", "f"])
    benchmark("gpu").main()
    told = capsys.readouterr().out
    assert "broken off" not in told and "Error" not in told
    for table in ("a: all blocks learn, 4 users", "b: 4 users", "c: all blocks learn, 4 users", "d: 8 users, counts off"):
        assert table in told
    assert "texts can be packed: yes" in told


def test_the_sides_of_a_layout_and_of_a_precision_have_nearly_the_same_loss(benchmark: Callable[[str], ModuleType]) -> None:
    gpu, made = benchmark("gpu"), benchmark("gpu_world")
    world = made.World(gpu.QUICK, torch.device("cpu"))
    stepper = made.Stepper.of(world, world.model("full").eval(), world.tokens, batch=4)
    losses = []
    for batching in ("padded", "packed"):
        made.laid_out(stepper.model, batching, attention_dropout=False)
        losses.append(float(stepper.loss(0).detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_side_that_cannot_be_done_is_named_and_left_out(
    benchmark: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    turns, done = benchmark("turns"), list[int]()

    def refuses(step: int) -> None:
        if step == 3:
            raise torch.OutOfMemoryError("it is full")

    taken = turns.in_turns(
        {"first": refuses, "second": done.append}, torch.device("cpu"), rounds=3, seconds=60.0, units=2, warm=1
    )
    assert done == [0, *range(6)]
    assert len(taken["second"].seconds) == 3
    turns.show("table", taken, users=1, base="first")
    told = capsys.readouterr().out
    assert "OutOfMemoryError: it is full" in told
    assert "1.00 x" in told
