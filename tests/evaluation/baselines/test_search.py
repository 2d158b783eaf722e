"""Climbing, on hills whose tops are known."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping

import pytest
import torch
from cases import platform
from torch import Tensor

from transrec.data.histories import Histories
from transrec.data.splits import leave_one_out
from transrec.evaluation.baselines import search
from transrec.evaluation.baselines.search import TunedBaseline, climbed

SPLIT = leave_one_out(platform().interactions)
AXES = {"across": (0.0, 1.0, 2.0, 3.0, 4.0), "up": (10.0, 20.0, 30.0, 40.0)}


class Marked:
    """A ranker that remembers its settings and nothing else."""

    def __init__(self, settings: Mapping[str, float]) -> None:
        self.settings = dict(settings)

    def scores(self, histories: Histories) -> Tensor:
        return torch.zeros(len(histories), 50)


@pytest.fixture
def climb(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[TunedBaseline, list[Mapping[str, float]], int]]:
    """Climb a hill; gives what was found, all that was tried, and the most rankers that there were at a time."""

    def climbing(
        height: Callable[[float, float], float],
    ) -> tuple[TunedBaseline, list[Mapping[str, float]], int]:
        alive: weakref.WeakSet[Marked] = weakref.WeakSet()
        tried, most = [], 0

        def fit(settings: Mapping[str, float]) -> Marked:
            nonlocal most
            ranker = Marked(settings)
            alive.add(ranker)
            tried.append(dict(settings))
            most = max(most, len(alive))
            return ranker

        monkeypatch.setattr(search, "mean_ndcg", lambda ranker, *_: height(*ranker.settings.values()))
        return climbed("hill", AXES, fit, SPLIT, SPLIT.validation), tried, most

    return climbing


@pytest.mark.parametrize("top", [(0.0, 10.0), (4.0, 40.0), (2.0, 30.0), (1.0, 40.0), (3.0, 20.0)])
def test_the_top_of_one_hill_is_reached(climb: Callable, top: tuple[float, float]) -> None:
    found, tried, most = climb(lambda across, up: 1 - abs(across - top[0]) / 10 - abs(up - top[1]) / 100)
    assert tuple(found.ranker.settings.values()) == top and found.validation_ndcg == 1
    assert len(tried) == found.tried < 20  # the grid has 20
    assert len({tuple(settings.values()) for settings in tried}) == len(tried)
    assert most == 2  # the best so far and the one being tried: they may be large


def test_it_begins_in_the_middle_and_stays_where_nothing_is_better(climb: Callable) -> None:
    found, tried, _ = climb(lambda *_: 0.5)
    assert tried[0] == {"across": 2.0, "up": 30.0} == found.ranker.settings
    assert found.tried == 5  # itself and a step each way


def test_an_axis_is_climbed_again_when_another_has_moved(climb: Callable) -> None:
    # going across pays as far as one has come up
    found, _, _ = climb(lambda across, up: (across if across <= up / 10 else -1) + up / 1000)
    assert found.ranker.settings == {"across": 4.0, "up": 40.0}
