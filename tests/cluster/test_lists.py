"""Vectors and lists that processes of a cluster make are those of one machine, row for row."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from clustered_ground import laid

from transrec.cluster.asked import Cluster
from transrec.cluster.lists import ListMaker, recommend_all_on
from transrec.cluster.seeing import Ground
from transrec.errors import ClusterError
from transrec.recipes.recommend_all import recommend_all
from transrec.recipes.train import train
from transrec.serving import lists
from transrec.serving.lists import ListSettings


def test_the_file_is_that_of_one_machine(joined_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "USERS_AT_ONCE", 7)
    settings = laid(tmp_path).updated({"training": {"max_steps": 3}})
    train([tmp_path / "rare"], settings, tmp_path / "run")
    wanted = ListSettings(k=5, popularity=0.5)
    recommend_all_on(Cluster("local", 1), tmp_path / "run", tmp_path / "cluster.parquet", wanted)
    recommend_all(tmp_path / "run", tmp_path / "one.parquet", wanted)
    ours, theirs = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("cluster", "one"))
    assert ours.equals(theirs), "the same rows in the same order, and the same scores bit for bit, from the same index"
    assert len(ours) == 24 * 5
    assert (tmp_path / "cluster.parquet").read_bytes() == (tmp_path / "one.parquet").read_bytes()


def test_another_state_than_that_of_the_command_is_noticed(tmp_path: Path) -> None:
    settings = laid(tmp_path).updated({"training": {"max_steps": 1}})
    train([tmp_path / "rare"], settings, tmp_path / "run")
    given = {"run": str(tmp_path / "run"), "data": None, "device": "cpu", "settings": ListSettings()}
    with pytest.raises(ClusterError, match=r"a worker finds another model, catalog or dataset(.|\n)*state, data"):
        ListMaker(ground=Ground.under([tmp_path / "run"]), state={"state": "", "data": ""}, **given)
