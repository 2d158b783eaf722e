from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from cases import platform
from torch import Tensor

from transrec.data.histories import Histories
from transrec.data.splits import leave_one_out
from transrec.errors import EvaluationError, SettingsError
from transrec.evaluation.baselines.popularity import Popularity
from transrec.evaluation.metrics import metric_columns
from transrec.evaluation.protocol import EvaluationSettings, compare, evaluate

DATASET = platform(users=60)
SPLIT = leave_one_out(DATASET.interactions)
POPULARITY = Popularity.fit(SPLIT, 50)


class Oracle:
    """Knows the test targets."""

    def __init__(self) -> None:
        self.settings = {"knows": "all"}

    def scores(self, histories: Histories) -> Tensor:
        # items of a user come one after another in this world
        return torch.eye(50)[torch.from_numpy((histories.rows[histories.offsets[1:] - 1] + 1) % 50)]


def test_a_result_states_its_choices_and_holds_every_slice() -> None:
    result = evaluate(Oracle(), SPLIT, DATASET.catalog, name="oracle", settings=EvaluationSettings(small_slice=30))
    assert result.overall.metrics["HR@1"].value == result.overall.metrics["MRR"].low == 1.0
    assert result.overall.targets == 60
    assert result.ranker_settings == {"knows": "all"}
    choices = result.choices
    assert "leave-one-out" in choices.split
    assert "test" in choices.split
    assert choices.candidates == "all 50 items of the catalog"
    assert "history" in choices.masked
    assert "10" in choices.metrics
    assert choices.skipped == {"fewer than three events": 0}
    groups = {part.group for part in result.slices}
    assert groups == {"content", "training events", "history length"}
    assert all(part.small == (part.targets < 30) for part in result.slices)
    for group in ("content", "history length"):
        assert sum(part.targets for part in result.slices if part.group == group) == 60


def test_slices_are_means_over_their_targets() -> None:
    result = evaluate(POPULARITY, SPLIT, DATASET.catalog, name="popularity")
    counts = SPLIT.train_counts(50)[result.ranked.rows]
    values = metric_columns(result.ranked.ranks, (10,))["NDCG@10"]
    part = next(part for part in result.slices if part.label == "5-19")
    inside = (counts >= 5) & (counts < 20)
    assert part.targets == inside.sum()
    assert part.metrics["NDCG@10"].value == pytest.approx(values[inside].mean())
    assert part.metrics["NDCG@10"].low <= values[inside].mean() <= part.metrics["NDCG@10"].high


def test_the_test_targets_are_opened_only_when_asked_for() -> None:
    result = evaluate(POPULARITY, SPLIT, DATASET.catalog, name="popularity", part="validation")
    assert np.array_equal(result.ranked.rows, SPLIT.interactions.rows[SPLIT.validation.positions])
    assert "validation targets" in result.choices.split


def test_json_holds_everything_and_is_the_same_again() -> None:
    texts = [json.dumps(evaluate(POPULARITY, SPLIT, DATASET.catalog, name="p").to_json()) for _ in range(2)]
    assert texts[0] == texts[1]
    read = json.loads(texts[0])
    assert read["ranker"] == "p"
    assert set(read["overall"]["metrics"]["HR@10"]) == {"value", "low", "high"}
    assert read["settings"]["resamples"] == 1000


def test_compare_pairs_users() -> None:
    oracle = evaluate(Oracle(), SPLIT, DATASET.catalog, name="oracle")
    popularity = evaluate(POPULARITY, SPLIT, DATASET.catalog, name="popularity")
    found = compare(oracle, popularity, metric="HR@10")
    gain = oracle.overall.metrics["HR@10"].value - popularity.overall.metrics["HR@10"].value
    assert found.gain.value == pytest.approx(gain)
    assert found.p_value < 0.01
    with pytest.raises(EvaluationError, match="known are HR@1"):
        compare(oracle, popularity, metric="HR@11")
    other = evaluate(POPULARITY, SPLIT, DATASET.catalog, name="popularity", part="validation")
    with pytest.raises(EvaluationError, match="different targets"):
        compare(oracle, other)


def test_settings_are_checked() -> None:
    with pytest.raises(SettingsError, match="resamples"):
        EvaluationSettings.from_mapping({"resamples": 1})
    with pytest.raises(SettingsError, match="cutoffs"):
        EvaluationSettings.from_mapping({"cutoffs": []})
    with pytest.raises(SettingsError, match="cutoffs"):
        EvaluationSettings.from_mapping({"cutoffs": [0, 10]})
