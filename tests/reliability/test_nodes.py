"""A node of a cluster goes away in the middle of a training, which goes on with those that are left."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from clustered_ground import killed_at, laid, same_training

from transrec.cluster import joining, training
from transrec.cluster.asked import Cluster
from transrec.cluster.training import train_on
from transrec.recipes.train import train

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"


@pytest.fixture
def address() -> Iterator[str]:
    """Of a cluster of a head without CPUs and three nodes of one CPU each, all of them on this machine."""
    from ray.cluster_utils import Cluster as Nodes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = {"object_store_memory": 80 << 20}
        nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
        for _ in range(3):
            nodes.add_node(num_cpus=1, **small)
    yield nodes.address
    nodes.shutdown()


@pytest.mark.slow
def test_a_training_goes_on_where_a_node_has_gone(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = laid(tmp_path)
    # nodes have the address of this machine, which tests may not connect to; Ray itself does
    monkeypatch.setattr(joining, "_require_answer", lambda *_: None)
    monkeypatch.setattr(training, "work", killed_at(30, tmp_path / "died", node=True))
    two = train_on(Cluster(address, 2), [tmp_path / "rare"], settings, tmp_path / "two")
    assert (tmp_path / "died").exists(), "a node was killed"
    same_training(tmp_path / "two", two, tmp_path / "one", train([tmp_path / "rare"], settings, tmp_path / "one")[1])
