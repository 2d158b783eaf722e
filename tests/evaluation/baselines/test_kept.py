"""Kept baselines: tuned once for the same events, and again when anything changes."""

from pathlib import Path

import numpy as np
import pytest
from cases import platform

from transrec.data.splits import Split, by_time, leave_one_out
from transrec.evaluation.baselines import kept
from transrec.evaluation.baselines.kept import kept_baselines


@pytest.fixture
def split() -> Split:
    return leave_one_out(platform().interactions)


def test_found_again_as_they_were_made(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fresh = kept_baselines(split, 50, None)
    stored = kept_baselines(split, 50, tmp_path)

    def never(*_: object, **__: object):
        raise AssertionError("tuned again")

    monkeypatch.setattr(kept, "tuned_baselines", never)
    found = kept_baselines(split, 50, tmp_path)
    assert [b.name for b in found] == [b.name for b in stored] == ["popularity", "Markov chain", "EASE"]
    for one, other in zip(fresh, found, strict=True):
        assert one.settings == other.settings
        assert np.array_equal(one.ranked.ranks, other.ranked.ranks)
        assert one.ranked.users.equals(other.ranked.users)
        assert other.ranked.num_items == 50


@pytest.mark.parametrize("change", ["events", "split", "which", "grid"])
def test_made_anew_when_something_changes(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str):
    kept_baselines(split, 50, tmp_path, which=["popularity"])
    which = ["popularity"]
    if change == "events":
        split = leave_one_out(platform(seed=4).interactions)
    if change == "split":
        split = by_time(platform().interactions, validation=0.2, test=0.2)
    if change == "which":
        which = ["markov"]
    if change == "grid":
        monkeypatch.setattr(kept.tuning, "VOTERS", (1, 2))
    kept_baselines(split, 50, tmp_path, which=which)
    assert len(list(tmp_path.iterdir())) == 2


def test_other_vectors_make_similarity_anew_and_nothing_else(split: Split, tmp_path: Path):
    generator = np.random.default_rng(0)
    vectors = {"text": generator.normal(size=(50, 4)).astype(np.float32)}
    which = ["popularity", "similarity"]
    first = kept_baselines(split, 50, tmp_path, which=which, vectors=vectors)
    kept_baselines(split, 50, tmp_path, which=which, vectors={"text": vectors["text"].copy()})
    assert len(list(tmp_path.iterdir())) == 2
    moved = vectors["text"].copy()
    moved[7] += generator.normal(size=4)
    second = kept_baselines(split, 50, tmp_path, which=which, vectors={"text": moved})
    assert len(list(tmp_path.iterdir())) == 3
    assert [b.name for b in second] == [b.name for b in first] == ["popularity", "content similarity"]
    assert not np.array_equal(first[1].ranked.ranks, second[1].ranked.ranks)
    kept_baselines(split, 50, tmp_path, which=which, vectors={"image": moved})
    assert len(list(tmp_path.iterdir())) == 4


def test_a_choice_of_baselines_shares_what_another_choice_made(split: Split, tmp_path: Path):
    kept_baselines(split, 50, tmp_path, which=["popularity", "markov"])
    kept_baselines(split, 50, tmp_path, which=["markov"])
    assert len(list(tmp_path.iterdir())) == 2
