from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transrec.evaluation.metrics import hit_rate, metric_columns, ndcg, reciprocal_rank

RANX = """
import json, sys
from ranx import Qrels, Run, evaluate
given = json.load(sys.stdin)
found = evaluate(Qrels(given["qrels"]), Run(given["run"]), given["names"])
print(json.dumps([float(found[name]) for name in given["names"]]))
"""


def test_metrics_agree_with_ranx() -> None:
    generator = np.random.default_rng(0)
    scores = generator.random((60, 40))
    targets = generator.integers(40, size=60)
    ranks = 1 + (scores > scores[np.arange(60), targets][:, None]).sum(axis=1).astype(float)
    ours = {name: values.mean() for name, values in metric_columns(ranks, (1, 5, 10, 20)).items()}
    given = {
        "qrels": {f"u{user}": {f"i{target}": 1} for user, target in enumerate(targets)},
        "run": {
            f"u{user}": {f"i{item}": score for item, score in enumerate(row)} for user, row in enumerate(scores.tolist())
        },
        "names": [name.lower().replace("hr@", "hit_rate@") for name in ours],
    }
    # in a process of its own without compilation, which takes ranx minutes
    answer = subprocess.run(
        [sys.executable, "-c", RANX],
        input=json.dumps(given),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(answer.stdout) == pytest.approx(list(ours.values()), abs=1e-12)


def test_metrics_of_known_ranks() -> None:
    ranks = np.array([1.0, 3.0, 10.0, 10.5, 11.0])
    assert hit_rate(ranks, 10).tolist() == [1, 1, 1, 0, 0]
    assert ndcg(ranks, 3).tolist() == pytest.approx([1, 0.5, 0, 0, 0])
    assert reciprocal_rank(ranks, 3).tolist() == pytest.approx([1, 1 / 3, 0, 0, 0])
    assert reciprocal_rank(ranks)[-1] == pytest.approx(1 / 11)
    assert list(metric_columns(ranks, (1, 10))) == ["HR@1", "HR@10", "NDCG@1", "NDCG@10", "MRR@1", "MRR@10", "MRR"]


@given(st.lists(st.integers(2, 400).map(lambda own: own / 2), min_size=1, max_size=30), st.integers(1, 60))
def test_metrics_are_those_of_the_list_of_a_target(ranks: list[float], k: int) -> None:
    """One place of the list is relevant; between two places it counts as where it is."""
    columns = metric_columns(np.array(ranks), (k, k + 1))
    for place, rank in enumerate(ranks):
        shown = math.ceil(rank) <= k
        assert columns[f"HR@{k}"][place] == shown
        assert columns[f"NDCG@{k}"][place] == pytest.approx(shown / math.log2(1 + rank))
        assert columns[f"MRR@{k}"][place] == pytest.approx(shown / rank)
        assert columns["MRR"][place] == pytest.approx(1 / rank)
    order = np.argsort(ranks)
    for name, values in columns.items():
        assert (np.diff(values[order]) <= 0).all(), f"{name}: a lower rank is never worse"
        assert ((values >= 0) & (values <= 1)).all()
    for name in ("HR", "NDCG", "MRR"):
        assert (columns[f"{name}@{k}"] <= columns[f"{name}@{k + 1}"]).all(), "a longer list is never worse"
