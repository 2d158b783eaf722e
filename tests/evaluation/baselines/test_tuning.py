from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from cases import platform

from transrec.data.histories import Histories
from transrec.data.interactions import Interactions
from transrec.data.splits import Split, leave_one_out
from transrec.errors import EvaluationError
from transrec.evaluation.baselines import tuning
from transrec.evaluation.baselines.ease import Ease
from transrec.evaluation.baselines.knn import ItemKnn
from transrec.evaluation.baselines.markov import Markov
from transrec.evaluation.baselines.tuning import tuned_baselines
from transrec.evaluation.ranks import validation_metrics

DATASET = platform(users=80)
SPLIT = leave_one_out(DATASET.interactions)


@pytest.fixture(autouse=True)
def _small_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, values in {"WINDOWS": (1, 3), "POWERS": (0.0, 0.5), "VOTERS": (1, 2), "SHRINKAGES": (0.0, 5.0)}.items():
        monkeypatch.setattr(tuning, name, values)


def test_each_is_chosen_by_validation_and_says_what_was_chosen() -> None:
    found = {tuned.name: tuned for tuned in tuned_baselines(SPLIT, 50, which=("popularity", "markov", "ease", "knn"))}
    assert list(found) == ["popularity", "Markov chain", "EASE", "item-kNN"]
    for tuned in found.values():
        measured = validation_metrics(tuned.ranker, SPLIT)["NDCG@10"]
        assert tuned.validation_ndcg == pytest.approx(measured, abs=1e-9)
    assert found["Markov chain"].tried == 16
    assert set(found["Markov chain"].ranker.settings) == {"window", "power", "voters", "fade"}  # type: ignore[attr-defined]
    # items of a user come one after another in this world, which one step back tells best
    assert found["Markov chain"].validation_ndcg > 0.8


def test_the_best_of_the_grid_is_chosen() -> None:
    [tuned] = tuned_baselines(SPLIT, 50, which=("markov",))
    grid = [(w, p, v, f) for w in (1, 3) for p in (0.0, 0.5) for v in (1, 2) for f in (0.0, 1.0)]
    best = max(
        validation_metrics(Markov.fit(SPLIT, 50, window=w, power=p, voters=v, fade=f), SPLIT)["NDCG@10"]
        for w, p, v, f in grid
    )
    assert tuned.validation_ndcg == pytest.approx(best, abs=1e-9)


def test_the_ridge_is_the_best_of_all() -> None:
    [tuned] = tuned_baselines(SPLIT, 50, which=("ease",))
    qualities = [validation_metrics(Ease.fit(SPLIT, 50, ridge=r), SPLIT)["NDCG@10"] for r in tuning.RIDGES]
    assert tuned.validation_ndcg >= max(qualities) - 0.02
    assert tuned.tried >= 2


def test_the_test_targets_have_no_influence() -> None:
    table = DATASET.interactions.to_frame()
    last = pl.Series(np.arange(len(table))).is_in(SPLIT.test.positions.tolist())
    other = leave_one_out(
        Interactions.from_columns(table.with_columns(pl.when(last).then(0).otherwise(pl.col("row")).alias("row")))
    )
    probe = Histories.from_lists([[1, 2, 3], [40], []])

    def seen(split: Split) -> list[tuple[float, list[list[float]]]]:
        found = tuned_baselines(split, 50, which=("popularity", "markov", "ease", "knn"))
        return [(tuned.validation_ndcg, tuned.ranker.scores(probe).tolist()) for tuned in found]

    assert seen(SPLIT) == seen(other)


def test_neighbours_stand_in_for_ease_where_it_would_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "EASE_LIMIT", 10)
    [tuned] = tuned_baselines(SPLIT, 50, which=("ease",))
    assert tuned.name == "item-kNN"
    assert isinstance(tuned.ranker, ItemKnn)


def test_an_unknown_baseline_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="known are popularity, markov, ease, knn"):
        tuned_baselines(SPLIT, 50, which=("svd",))  # type: ignore[arg-type]
