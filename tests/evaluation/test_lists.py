"""Lists as wholes: their spread by its definition, what of a user they serve, and that a run's lists are looked at."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import SETTINGS, platform

from transrec.data.catalog import Catalog, Item
from transrec.data.histories import Histories
from transrec.data.splits import leave_one_out
from transrec.errors import EvaluationError
from transrec.evaluation.lists import ListMeasureSettings, group_coverage, groups_of, max_div, measure_lists
from transrec.evaluation.ranks import ModelRanker
from transrec.model import TransRec


def test_spread_is_the_sum_of_squared_distances_over_pairs_in_both_orders() -> None:
    vectors = torch.randn(30, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = torch.randint(30, (7, 4), generator=torch.Generator().manual_seed(1))
    units = vectors / vectors.norm(dim=1, keepdim=True)
    expected = [sum(float((units[i] - units[j]).square().sum()) for i in row for j in row) for row in rows.tolist()]
    assert max_div(vectors, rows) == pytest.approx(expected)
    assert max_div(torch.eye(5), torch.tensor([[2, 2, 2]])) == pytest.approx(0.0)
    assert max_div(torch.eye(5), torch.tensor([[0, 1, 2]])) == pytest.approx(6 * 2)


def test_a_list_serves_the_groups_of_its_user_as_far_as_it_is_long() -> None:
    groups = np.array([0, 0, 1, 2, 3, -1])
    histories = Histories.from_lists([[0, 1, 2], [0, 2, 3, 4], [5], [0]])
    listed = np.array([[1, 3], [2, 3], [0, 1], [5, 2]])
    # one of two; two of the two that fit; nothing to serve; none
    assert group_coverage(listed, groups, histories).tolist() == [0.5, 1.0, 1.0, 0.0]


def test_groups_are_told_by_a_column_and_an_empty_one_is_none() -> None:
    items = [Item(f"i{n}", text=f"thing {n}") for n in range(4)]
    catalog = Catalog.from_items(items, {"genre": ["drama", None, "war", "drama"]})
    assert groups_of(catalog, "genre").tolist() == [0, -1, 1, 0]
    with pytest.raises(EvaluationError, match=r"no column 'colour'[\s\S]*genre"):
        groups_of(catalog, "colour")


def test_the_lists_of_a_run_are_those_that_it_recommends() -> None:
    dataset = platform()
    model = TransRec.build(SETTINGS.updated({"prior": "none"}), [dataset.catalog]).eval()
    split = leave_one_out(dataset.interactions)
    ranker = ModelRanker.of(model, dataset, split)
    found = measure_lists(ranker, split, dataset.catalog, ListMeasureSettings(length=5, groups="title"))
    histories = Histories.before(split.interactions, split.test)
    scores = ranker.scores(histories)
    scores[torch.from_numpy(histories.owners), torch.from_numpy(histories.rows)] = -torch.inf
    best = scores.topk(5).indices
    assert found.spread.value == pytest.approx(max_div(ranker.index.vectors_VD, best).mean())
    assert found.shown == pytest.approx(len(best.unique()) / len(dataset.catalog))
    assert found.covered is not None and found.covered.value == 0, "titles differ, and what was had is not shown"
    with pytest.raises(EvaluationError, match="shorter lists"):
        measure_lists(ranker, split, dataset.catalog, ListMeasureSettings(length=50))
