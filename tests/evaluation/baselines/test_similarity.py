"""Similarity of content against its definition, and on neighbours that were planted."""

from __future__ import annotations

import numpy as np
import pytest
from cases import platform

from transrec.data.histories import Histories
from transrec.data.splits import leave_one_out
from transrec.errors import EvaluationError
from transrec.evaluation.baselines import similarity
from transrec.evaluation.baselines.similarity import ContentSimilarity

ITEMS = 55  # five that nobody touched
SPLIT = leave_one_out(platform(users=30, items=50).interactions)
LISTS = [[4, 9, 2, 30], [], [7, 3, 7], [54], [50], list(range(20))]
HISTORIES = Histories.from_lists(LISTS)
TOLERANCE = 3e-6  # the tie-break adds up to a millionth


@pytest.fixture
def vectors() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(3)
    made = {"text": generator.normal(5.0, 1.0, (ITEMS, 6)), "image": generator.normal(-1.0, 3.0, (ITEMS, 4))}
    made["image"][40:52] = 0  # these have no picture
    return {name: vectors_VD.astype(np.float32) for name, vectors_VD in made.items()}


def cosines(vectors_VD: np.ndarray, rows: list[int], last: int, fade: float) -> np.ndarray:
    """The definition for one history."""
    present = vectors_VD.any(axis=1)
    centred = vectors_VD.astype(np.float64) - vectors_VD[present].mean(axis=0, dtype=np.float64)
    units = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    units[~present] = 0
    user = np.zeros(units.shape[1])
    for back, row in enumerate(reversed(rows[-last:]), start=1):
        user += units[row] * back**-fade
    length = np.linalg.norm(user)
    return units @ user / length if length else np.zeros(len(units))


@pytest.mark.parametrize(("last", "fade"), [(1, 0.0), (3, 1.0), (20, 0.5)])
@pytest.mark.parametrize("at_once", [4096, 7])
def test_it_is_the_weighted_sum_of_cosines(
    vectors: dict[str, np.ndarray], last: int, fade: float, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity, "ROWS_AT_ONCE", at_once)
    ranker = ContentSimilarity.fit(SPLIT, vectors, last=last, fade=fade, weights={"text": 1.0, "image": 0.3})
    expected = [
        cosines(vectors["text"], rows, last, fade) + 0.3 * cosines(vectors["image"], rows, last, fade) for rows in LISTS
    ]
    np.testing.assert_allclose(ranker.scores(HISTORIES).numpy(), expected, atol=TOLERANCE)
    assert ranker.settings == {"last": last, "fade": fade, "text weight": 1.0, "image weight": 0.3}


def test_a_planted_neighbour_is_found_though_nobody_has_touched_it(vectors: dict[str, np.ndarray]) -> None:
    vectors["text"][53] = vectors["text"][17] + 0.01
    ranker = ContentSimilarity.fit(SPLIT, {"text": vectors["text"]}, last=1)
    assert SPLIT.train_counts(ITEMS)[53] == 0
    scores_V = ranker.scores(Histories.from_lists([[3, 17]]))[0]
    assert scores_V.argsort(descending=True)[:2].tolist() == [17, 53]


def test_what_lacks_the_modality_is_neither_like_nor_unlike(vectors: dict[str, np.ndarray]) -> None:
    ranker = ContentSimilarity.fit(SPLIT, {"image": vectors["image"]})
    scores_BV = ranker.scores(HISTORIES)
    assert scores_BV[:, 40:52].abs().max() <= TOLERANCE
    # a history of items without it, as an empty one, is told nothing but what is popular
    counts_V = SPLIT.train_counts(ITEMS)
    for user in (1, 4):
        order = scores_BV[user].argsort(descending=True, stable=True).numpy()
        assert (np.diff(counts_V[order]) <= 0).all()


def test_only_differences_between_items_count(vectors: dict[str, np.ndarray]) -> None:
    text = vectors["text"]
    plain = ContentSimilarity.fit(SPLIT, {"text": text}).scores(HISTORIES)
    moved = ContentSimilarity.fit(SPLIT, {"text": 3 * text + 10}).scores(HISTORIES)
    np.testing.assert_allclose(plain, moved, atol=1e-4)
    same = ContentSimilarity.fit(SPLIT, {"text": np.full_like(text, 0.1)})
    assert not same.units["text"].any()


def test_a_modality_of_no_weight_is_not_looked_at(vectors: dict[str, np.ndarray]) -> None:
    alone = ContentSimilarity.fit(SPLIT, {"image": vectors["image"]})
    beside = ContentSimilarity.fit(SPLIT, vectors, weights={"text": 0.0, "image": 1.0})
    assert alone.scores(HISTORIES).equal(beside.scores(HISTORIES))
    by_default = ContentSimilarity.fit(SPLIT, vectors)
    assert by_default.weights == {"text": 1.0, "image": 1.0}


def test_equal_items_are_told_apart_by_popularity(vectors: dict[str, np.ndarray]) -> None:
    counts_V = SPLIT.train_counts(ITEMS)
    popular, cold = int(counts_V.argmax()), 54
    vectors["text"][cold] = vectors["text"][popular]
    scores_V = ContentSimilarity.fit(SPLIT, {"text": vectors["text"]}).scores(HISTORIES)[0]
    assert scores_V[popular] > scores_V[cold] > scores_V[popular] - TOLERANCE


def test_what_is_given_wrong_is_said(vectors: dict[str, np.ndarray]) -> None:
    with pytest.raises(EvaluationError, match="no vectors to compare"):
        ContentSimilarity.fit(SPLIT, {})
    with pytest.raises(EvaluationError, match=r"different numbers of items: \{'text': 55, 'image': 54\}"):
        ContentSimilarity.fit(SPLIT, {**vectors, "image": vectors["image"][:-1]})
    vectors["image"][3, 2] = np.inf
    with pytest.raises(EvaluationError, match="image vector of catalog row 3 is not finite"):
        ContentSimilarity.fit(SPLIT, vectors)
