"""How much more than it has to the encoder computes in a training step: counted, so that no busy machine moves it."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    return importlib.import_module("benchmarks.prefix")


def test_text_is_at_most_15_percent_above_the_least(benchmark: ModuleType) -> None:
    ratios = list(benchmark.text_ladder(users=16, items=800, width=32).values())
    assert ratios == sorted(ratios, reverse=True), "every step of the ladder spares something"
    assert ratios[0] > 4.0
    assert 1.0 <= ratios[-1] <= 1.15


def test_pictures_are_at_most_5_percent_above_the_least(benchmark: ModuleType) -> None:
    ratios = list(benchmark.image_ladder(users=4, items=400, side=32, widths=(8, 8, 16, 16)).values())
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > 1.5
    assert 1.0 <= ratios[-1] <= 1.05
