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
from transrec.evaluation.baselines.ials import Ials
from transrec.evaluation.baselines.knn import ItemKnn
from transrec.evaluation.baselines.markov import Markov
from transrec.evaluation.baselines.similarity import ContentSimilarity
from transrec.evaluation.baselines.tuning import BaselineName, tuned_baselines
from transrec.evaluation.ranks import validation_metrics

DATASET = platform(users=80)
SPLIT = leave_one_out(DATASET.interactions)
EVERY: tuple[BaselineName, ...] = ("popularity", "markov", "ease", "knn", "ials", "similarity")


def vectors() -> dict[str, np.ndarray]:
    """Text as a walk round a circle, so that neighbours in time are neighbours in content; pictures say nothing."""
    turns = np.arange(50) * (2 * np.pi / 50)
    noise = np.random.default_rng(5).normal(size=(50, 8))
    return {"image": noise.astype(np.float32), "text": np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)}


@pytest.fixture(autouse=True)
def _small_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    smaller = {"WINDOWS": (1, 3), "POWERS": (0.0, 0.5), "VOTERS": (1, 2), "SHRINKAGES": (0.0, 5.0), "FACTORS": (4, 8)}
    for name, values in smaller.items():
        monkeypatch.setattr(tuning, name, values)


def test_each_is_chosen_by_validation_and_says_what_was_chosen() -> None:
    found = {tuned.name: tuned for tuned in tuned_baselines(SPLIT, 50, which=EVERY, vectors=vectors())}
    assert list(found) == ["popularity", "Markov chain", "EASE", "item-kNN", "iALS", "content similarity"]
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


def test_factors_are_chosen_with_a_product_that_is_climbed_alone() -> None:
    [tuned] = tuned_baselines(SPLIT, 50, which=("ials",), seed=3)
    assert isinstance(tuned.ranker, Ials)
    chosen = tuned.ranker.settings
    assert chosen["factors"] in (4, 8) and chosen["unobserved"] in tuning.UNOBSERVED
    product = chosen["unobserved"] * chosen["penalty"]
    assert min(abs(product / pull - 1) for pull in tuning.PULLS) < 1e-3
    [again] = tuned_baselines(SPLIT, 50, which=("ials",), seed=3)
    probe = Histories.from_lists([[1, 2, 3]])
    assert tuned.ranker.scores(probe).equal(again.ranker.scores(probe))


def test_the_modality_that_says_more_weighs_one_and_noise_is_weighed_down() -> None:
    [tuned] = tuned_baselines(SPLIT, 50, which=("similarity",), vectors=vectors())
    assert isinstance(tuned.ranker, ContentSimilarity)
    chosen = tuned.ranker.settings
    assert chosen["text weight"] == 1 and chosen["image weight"] <= 0.2
    [alone] = tuned_baselines(SPLIT, 50, which=("similarity",), vectors={"text": vectors()["text"]})
    assert alone.ranker.settings.keys() == {"last", "fade", "text weight"}  # type: ignore[attr-defined]
    grid = [(last, fade) for last in tuning.LASTS for fade in tuning.SIMILARITY_FADES]
    qualities = [
        validation_metrics(ContentSimilarity.fit(SPLIT, {"text": vectors()["text"]}, last=n, fade=f), SPLIT)["NDCG@10"]
        for n, f in grid
    ]
    assert alone.validation_ndcg >= max(qualities) - 0.02
    assert alone.tried < len(grid)


def test_similarity_needs_vectors() -> None:
    with pytest.raises(EvaluationError, match="no vectors to compare items by"):
        tuned_baselines(SPLIT, 50, which=("similarity",))


def test_the_test_targets_have_no_influence() -> None:
    table = DATASET.interactions.to_frame()
    last = pl.Series(np.arange(len(table))).is_in(SPLIT.test.positions.tolist())
    other = leave_one_out(
        Interactions.from_columns(table.with_columns(pl.when(last).then(0).otherwise(pl.col("row")).alias("row")))
    )
    probe = Histories.from_lists([[1, 2, 3], [40], []])

    def seen(split: Split) -> list[tuple[float, list[list[float]]]]:
        found = tuned_baselines(split, 50, which=EVERY, vectors=vectors())
        return [(tuned.validation_ndcg, tuned.ranker.scores(probe).tolist()) for tuned in found]

    assert seen(SPLIT) == seen(other)


def test_neighbours_stand_in_for_ease_where_it_would_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "EASE_LIMIT", 10)
    [tuned] = tuned_baselines(SPLIT, 50, which=("ease",))
    assert tuned.name == "item-kNN"
    assert isinstance(tuned.ranker, ItemKnn)


def test_an_unknown_baseline_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="known are popularity, markov, ease, knn, ials, similarity"):
        tuned_baselines(SPLIT, 50, which=("svd",))  # type: ignore[arg-type]
