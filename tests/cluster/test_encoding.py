"""A catalog that processes of a cluster encode has the vectors of one machine, whichever of them are killed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from clustered_ground import laid, mortal

from transrec.cluster import encoding
from transrec.cluster.asked import Cluster
from transrec.cluster.encoding import Encoder, encoding_on, index_on, kind_of
from transrec.cluster.seeing import Ground
from transrec.data.dataset import Dataset
from transrec.errors import ClusterError
from transrec.model import TransRec
from transrec.recipes.index import index
from transrec.recipes.train import train
from transrec.retrieval import kept
from transrec.retrieval.encoding import encode_rows
from transrec.retrieval.kept import fingerprint_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoding")
    settings = laid(folder).updated({"training": {"max_steps": 2}})
    train([folder / "rare"], settings, folder / "run")
    return folder / "run"


def told(run: Path) -> dict[str, Any]:
    model, data = TransRec.load(run), run.parent / "rare"
    return {
        "ground": Ground.under([run, data]),
        "run": str(run),
        "data": str(data),
        "device": "cpu",
        "platform": 0,
        "projections": safetensors.torch.save(model.items.projections.state_dict()),
        "fingerprint": fingerprint_of(model, 0),
    }


def test_a_process_encodes_rows_as_the_command_would(run: Path) -> None:
    model, dataset = TransRec.load(run), Dataset.open(run.parent / "rare")
    made = safetensors.torch.load(Encoder(**told(run))(range(5, 17)))
    vectors_nD, readable_n = encode_rows(model, dataset.catalog, np.arange(5, 17), 0)
    assert made["vectors"].equal(vectors_nD)
    assert made["readable"].numpy().tolist() == readable_n.tolist() == [True] * 12


def test_projections_that_were_centred_elsewhere_are_those_of_the_command(run: Path) -> None:
    model = TransRec.load(run)
    with torch.no_grad():
        for projection in model.items.projections.values():
            projection.means.add_(1.0)
    state = safetensors.torch.save(model.items.projections.state_dict())
    centred = {**told(run), "projections": state, "fingerprint": fingerprint_of(model, 0)}
    made = safetensors.torch.load(Encoder(**centred)(range(4)))["vectors"]
    assert made.equal(encode_rows(model, Dataset.open(run.parent / "rare").catalog, np.arange(4), 0)[0])
    assert not made.equal(safetensors.torch.load(Encoder(**told(run))(range(4)))["vectors"])


def test_another_model_in_the_run_is_noticed(run: Path) -> None:
    with pytest.raises(ClusterError, match="a worker finds another model in the run than the command does"):
        Encoder(**{**told(run), "fingerprint": "0" * 32})


def test_a_dataset_in_memory_is_seen_by_nobody_else(run: Path) -> None:
    import ray

    catalog = Dataset.open(run.parent / "rare").catalog
    memory = Dataset(catalog, Dataset.open(run.parent / "rare").interactions)
    with pytest.raises(ClusterError, match=r"dataset\.save"):
        encoding_on(ray, Cluster("local", 1), run, memory, device="cpu")


def test_what_a_process_takes() -> None:
    assert [kind_of(device) for device in ("cpu", "cuda", "cuda:1", "mps")] == ["CPU", "GPU", "GPU", "CPU"]


def test_the_index_is_that_of_one_machine(run: Path, monkeypatch: pytest.MonkeyPatch, in_this_process: None) -> None:
    monkeypatch.setattr(kept, "WINDOW", 7)
    the_same(run)


@pytest.mark.slow
def test_the_index_is_that_of_one_machine_though_processes_are_killed(
    joined_here: None, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "WINDOW", 4)
    monkeypatch.setattr(encoding, "Encoder", mortal("encoding:Encoder", tmp_path / "died", at=(8, 36)))
    the_same(run)
    assert len(list((tmp_path / "died").iterdir())) == 2, "two processes were killed"


def the_same(run: Path) -> None:
    """The vectors that are kept are those of one machine but for rounding, and each is in its row."""
    shutil.rmtree(run / "index", ignore_errors=True)
    found = index_on(Cluster("local", 2), run)
    assert found.encoded == 40
    ours = found.vectors.whole().clone()
    shutil.rmtree(run / "index")
    theirs = index(run).vectors.whole()
    assert ours.shape == theirs.shape == (40, 16)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
