"""Each baseline against its definition, written out plainly for one history at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from cases import platform

from transrec.data.histories import Histories
from transrec.data.splits import leave_one_out
from transrec.evaluation.baselines import ease as ease_module
from transrec.evaluation.baselines.ease import Ease
from transrec.evaluation.baselines.knn import ItemKnn
from transrec.evaluation.baselines.markov import Markov
from transrec.evaluation.baselines.popularity import Popularity

ITEMS = 55  # five that nobody touched
SPLIT = leave_one_out(platform(users=30, items=50).interactions)
TRAIN = [SPLIT.interactions.history(user)[:-2].tolist() for user in range(30)]
COUNTS = Counter(row for history in TRAIN for row in history)
HISTORIES = Histories.from_lists([TRAIN[0], [], [7, 3, 7], [54], list(range(20))])
LISTS = [TRAIN[0], [], [7, 3, 7], [54], list(range(20))]
TOLERANCE = 2e-6  # the tie-break adds up to a millionth


def interaction_matrix() -> np.ndarray:
    matrix = np.zeros((30, ITEMS))
    for user, history in enumerate(TRAIN):
        matrix[user, history] = 1
    return matrix


def test_popularity() -> None:
    scores_BV = Popularity.fit(SPLIT, ITEMS).scores(HISTORIES)
    assert scores_BV.tolist() == [[float(COUNTS[row]) for row in range(ITEMS)]] * 5


@pytest.mark.parametrize(("window", "power", "voters", "fade"), [(1, 0.0, 1, 0.0), (3, 0.5, 2, 0.0), (10, 1.0, 5, 1.0)])
def test_markov(window: int, power: float, voters: int, fade: float) -> None:
    ranker = Markov.fit(SPLIT, ITEMS, window=window, power=power, voters=voters, fade=fade)
    expected = np.zeros((5, ITEMS))
    for user, rows in enumerate(LISTS):
        for back, voter in enumerate(reversed(rows[-voters:]), start=1):
            for history in TRAIN:
                for start, item in enumerate(history):
                    for distance, follower in enumerate(history[start + 1 : start + 1 + window], start=1):
                        if item == voter:
                            expected[user, follower] += back**-fade * distance**-fade / COUNTS[follower] ** power
    np.testing.assert_allclose(ranker.scores(HISTORIES).numpy(), expected, rtol=1e-5, atol=TOLERANCE)


def test_an_unknown_or_empty_history_gets_what_is_popular() -> None:
    order = Popularity.fit(SPLIT, ITEMS).scores(HISTORIES)[1].argsort(descending=True, stable=True)
    for ranker in (Markov.fit(SPLIT, ITEMS), ItemKnn.fit(SPLIT, ITEMS), Ease.fit(SPLIT, ITEMS)):
        for user in (1, 3):
            assert ranker.scores(HISTORIES)[user].argsort(descending=True, stable=True).tolist() == order.tolist()


@pytest.mark.parametrize("users", [30, 300])
@pytest.mark.parametrize("directly", [1024, 4])
def test_ease(users: int, directly: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # with fewer users than items it inverts the matrix of users, else that of items, whole or by halves
    monkeypatch.setattr(ease_module, "INVERTED_DIRECTLY", directly)
    split = leave_one_out(platform(users=users).interactions)
    matrix = np.zeros((users, ITEMS))
    for user in range(users):
        matrix[user, split.interactions.history(user)[:-2]] = 1
    precision = np.linalg.inv(matrix.T @ matrix + 3.0 * np.eye(ITEMS))
    weights = np.eye(ITEMS) - precision / np.diag(precision)
    np.fill_diagonal(weights, 0)
    known = np.zeros((5, ITEMS))
    for user, rows in enumerate(LISTS):
        known[user, rows] = 1
    scores = Ease.fit(split, ITEMS, ridge=3.0).scores(HISTORIES)
    np.testing.assert_allclose(scores.numpy(), known @ weights, atol=1e-4)


@pytest.mark.parametrize("at_once", [2048, 9])
def test_item_knn(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transrec.evaluation.baselines.knn.ITEMS_AT_ONCE", at_once)
    matrix = interaction_matrix()
    users = matrix.sum(axis=0)
    similarity = (matrix.T @ matrix) / (np.sqrt(np.outer(users, users)) + 2.0)
    np.fill_diagonal(similarity, 0)
    for row in similarity:
        kept = sorted(range(ITEMS), key=lambda column: (-np.float32(row[column]), column))[:4]
        row[[column for column in range(ITEMS) if column not in kept]] = 0
    known = np.zeros((5, ITEMS))
    for user, rows in enumerate(LISTS):
        known[user, rows] = 1
    scores = ItemKnn.fit(SPLIT, ITEMS, neighbours=4, shrinkage=2.0).scores(HISTORIES)
    np.testing.assert_allclose(scores.numpy(), known @ similarity, rtol=1e-5, atol=TOLERANCE)
    narrowed = ItemKnn.fit(SPLIT, ITEMS, neighbours=9, shrinkage=2.0).narrowed(4)
    assert narrowed.scores(HISTORIES).tolist() == scores.tolist()
    assert narrowed.settings == {"neighbours": 4, "shrinkage": 2.0}
