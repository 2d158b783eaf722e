"""Lists that processes of a cluster make are those of one machine, row for row, whichever of them are killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from clustered_ground import laid, mortal

from transrec.cluster import encoding
from transrec.cluster import lists as on_cluster
from transrec.cluster.asked import Cluster
from transrec.cluster.lists import ListMaker, recommend_all_on
from transrec.cluster.seeing import Ground
from transrec.errors import ClusterError
from transrec.recipes.recommend_all import recommend_all
from transrec.recipes.train import train
from transrec.retrieval import kept
from transrec.serving import lists
from transrec.serving.lists import ListSettings

WANTED = ListSettings(k=5, popularity=0.5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lists")
    settings = laid(folder).updated({"training": {"max_steps": 3}})
    train([folder / "rare"], settings, folder / "run")
    return folder / "run"


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "USERS_AT_ONCE", 5)
    monkeypatch.setattr(kept, "WINDOW", 8)


def the_same(run: Path, out: Path, write: Callable[[Path], Path]) -> None:
    """The file that is written is that of one machine from the same index, byte for byte."""
    ours, theirs = write(out / "cluster.parquet"), recommend_all(run, out / "one.parquet", WANTED)
    assert ours.read_bytes() == theirs.read_bytes()
    assert len(pl.read_parquet(ours)) == 24 * 5
    assert sorted(path.name for path in out.glob("*parquet*")) == ["cluster.parquet", "one.parquet"], "no parts are left"


def test_the_file_is_that_of_one_machine(run: Path, tmp_path: Path, in_this_process: None) -> None:
    the_same(run, tmp_path, lambda out: recommend_all_on(Cluster("local", 2), run, out, WANTED))


@pytest.mark.slow
def test_the_file_is_that_of_one_machine_though_processes_are_killed(
    joined_here: None, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "Encoder", mortal("encoding:Encoder", tmp_path / "encoders", at=(8, 32)))
    monkeypatch.setattr(on_cluster, "ListMaker", mortal("lists:ListMaker", tmp_path / "makers", at=(0, 15)))
    the_same(run, tmp_path, lambda out: recommend_all_on(Cluster("local", 2), run, out, WANTED))
    for died in ("encoders", "makers"):
        assert len(list((tmp_path / died).iterdir())) == 2, "two processes were killed"


def test_another_state_than_that_of_the_command_is_noticed(run: Path) -> None:
    given = {"run": str(run), "data": None, "device": "cpu", "settings": WANTED}
    with pytest.raises(ClusterError, match=r"a worker finds another model, catalog or dataset(.|\n)*state, data"):
        ListMaker(ground=Ground.under([run]), state={"state": "", "data": ""}, **given)
