"""Linear probes with few labels: against another ridge regression, on a world that hides the label, and what is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.linalg import lstsq

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.interactions import Interactions
from transrec.data.splits import leave_one_out
from transrec.errors import EvaluationError, SettingsError
from transrec.evaluation.probing import RIDGE, ProbeSettings, probe, told
from transrec.evaluation.ranks import ModelRanker
from transrec.model import ModelSettings, TransRec
from transrec.retrieval.index import encode_histories


def test_it_is_ridge_regression_on_what_is_known() -> None:
    """Against least squares of the equations with the penalty written below them."""
    chance = np.random.default_rng(0)
    labels = chance.integers(4, size=300)
    vectors = chance.normal(size=(300, 20)) * chance.uniform(0.1, 9, size=20) + 3
    vectors[:, :4] += 6 * np.eye(4)[labels]
    vectors[:, 7] = 2.0  # says nothing, and has no spread
    known = chance.permutation(300)[:40]
    standard = (vectors - vectors.mean(axis=0)) / np.maximum(vectors.std(axis=0), 1e-9)
    targets = np.eye(4)[labels[known]]
    below = np.vstack([standard[known], np.sqrt(RIDGE) * np.eye(20)])
    weights = lstsq(below, np.vstack([targets - targets.mean(axis=0), np.zeros((20, 4))]))[0]
    others = np.setdiff1d(np.arange(300), known)
    expected = ((standard[others] @ weights + targets.mean(axis=0)).argmax(axis=1) == labels[others]).mean()
    assert told(vectors, labels, known) == expected and expected > 0.6
    assert told(chance.normal(size=(300, 20)), labels, known) < 0.45, "of noise it tells nothing"


def kinds(users: int = 120, items: int = 60, groups: int = 4) -> Dataset:
    """Users stay within a group of items, whose name is a column; every tenth item has none."""
    chance = np.random.default_rng(0)
    centres = 2 * np.eye(8)[:groups]
    group = np.arange(items) % groups
    drawn = [Item(f"i{row}", vectors={"given": centres[group[row]] + 0.5 * chance.normal(size=8)}) for row in range(items)]
    rows = [chance.choice(np.flatnonzero(group == user % groups), 6, replace=False) for user in range(users)]
    columns = {"user": np.repeat(np.arange(users), 6).astype(str), "row": np.concatenate(rows)}
    events = pl.DataFrame({**columns, "time": np.tile(np.arange(6.0), users)})
    named = [None if row % 10 == 9 else f"group {group[row]}" for row in range(items)]
    catalog = Catalog.from_items(drawn, {"group": named, "one": ["all"] * items})
    return Dataset(catalog, Interactions.from_columns(events), name="kinds")


@pytest.mark.parametrize("interests", [0, 2])
def test_user_vectors_tell_the_kind_of_the_next_item(interests: int) -> None:
    dataset = kinds()
    form = {"items": {"width": 8}, "prior": "none"}
    users = {"window": 6, "layers": 1, "heads": 2, "feedforward": 8, "interests": {"count": interests}}
    model = TransRec.build(ModelSettings.from_mapping({**form, "users": users}), [dataset.catalog]).eval()
    split = leave_one_out(dataset.interactions)
    ranker = ModelRanker.of(model, dataset, split)
    found = probe(ranker, split, dataset.catalog, ProbeSettings(column="group", labels=(8, 40), draws=3))
    labelled = [dataset.catalog.column("group")[int(row)] for row in dataset.interactions.rows[split.test.positions]]
    assert found.users == sum(value is not None for value in labelled) < 120 and found.values == 4
    assert found.most_frequent == pytest.approx(pl.Series(labelled).drop_nulls().value_counts()["count"].max() / found.users)
    for name in ("users", "items"):
        assert [len(found.accuracy[name][labels]) for labels in (8, 40)] == [3, 3]
        assert np.mean(found.accuracy[name][40]) > 0.9 > 2 * found.most_frequent
    # the mean of the items, slowly, for the first draw
    histories = Histories.before(split.interactions, split.test)
    vectors = ranker.index.vectors_VD.double().numpy()
    means = np.stack([vectors[histories.block(user, user + 1).rows].mean(axis=0) for user in range(len(histories))])
    there = np.array([value is not None for value in labelled])
    values = np.unique([value for value in labelled if value is not None], return_inverse=True)[1]
    known = np.random.default_rng([0, 0]).permutation(found.users)[:8]
    assert found.accuracy["items"][8][0] == pytest.approx(told(means[there], values, known))
    wanted = encode_histories(model, ranker.index, histories).vectors
    assert wanted.shape[1:] == ((2, 8) if interests else (8,))


def test_what_cannot_be_told_is_refused() -> None:
    dataset = kinds(users=40)
    model = TransRec.build(ModelSettings.from_mapping({"items": {"width": 8}, "prior": "none"}), [dataset.catalog]).eval()
    split = leave_one_out(dataset.interactions)
    ranker = ModelRanker.of(model, dataset, split)
    with pytest.raises(EvaluationError, match=r"no column 'colour'[\s\S]*--probe.column[\s\S]*group"):
        probe(ranker, split, dataset.catalog, ProbeSettings(column="colour"))
    with pytest.raises(EvaluationError, match="has 1 value"):
        probe(ranker, split, dataset.catalog, ProbeSettings(column="one"))
    with pytest.raises(EvaluationError, match=r"50 labels are to be known[\s\S]*--probe.labels"):
        probe(ranker, split, dataset.catalog, ProbeSettings(column="group", labels=(5, 50)))
    with pytest.raises(SettingsError, match="labels"):
        ProbeSettings.from_mapping({"labels": "1"})
