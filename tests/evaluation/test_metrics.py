from __future__ import annotations

import numpy as np
import pytest
from ranx import Qrels, Run
from ranx import evaluate as ranx_evaluate

from transrec.evaluation.metrics import hit_rate, metric_columns, ndcg, reciprocal_rank


@pytest.mark.filterwarnings("ignore")  # ranx compiles with numba, which warns about its own casts
def test_metrics_agree_with_ranx() -> None:
    generator = np.random.default_rng(0)
    scores = generator.random((60, 40))
    targets = generator.integers(40, size=60)
    ranks = 1 + (scores > scores[np.arange(60), targets][:, None]).sum(axis=1).astype(float)
    qrels = Qrels({f"u{u}": {f"i{targets[u]}": 1} for u in range(60)})
    run = Run({f"u{u}": {f"i{i}": float(scores[u, i]) for i in range(40)} for u in range(60)})
    names = {"HR": "hit_rate", "NDCG": "ndcg", "MRR": "mrr"}
    ours = {name: values.mean() for name, values in metric_columns(ranks, (1, 5, 10, 20)).items()}
    theirs = ranx_evaluate(
        qrels, run, [f"{names[n.partition('@')[0]]}{n.partition('@')[1]}{n.partition('@')[2]}" for n in ours]
    )
    assert list(theirs.values()) == pytest.approx(list(ours.values()), abs=1e-12)


def test_metrics_of_known_ranks() -> None:
    ranks = np.array([1.0, 3.0, 10.0, 10.5, 11.0])
    assert hit_rate(ranks, 10).tolist() == [1, 1, 1, 0, 0]
    assert ndcg(ranks, 3).tolist() == pytest.approx([1, 0.5, 0, 0, 0])
    assert reciprocal_rank(ranks, 3).tolist() == pytest.approx([1, 1 / 3, 0, 0, 0])
    assert reciprocal_rank(ranks)[-1] == pytest.approx(1 / 11)
    assert list(metric_columns(ranks, (1, 10))) == ["HR@1", "HR@10", "NDCG@1", "NDCG@10", "MRR@1", "MRR@10", "MRR"]
