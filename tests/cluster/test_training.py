"""Two workers of Ray Train train as one process does, also when one of them is killed in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clustered_ground import BATCH, STEPS, killed_at, laid, rows, same_training

from transrec.cluster import training
from transrec.cluster.asked import Cluster
from transrec.cluster.training import train_on, transfer_on
from transrec.data.batches import SequenceBatches
from transrec.data.dataset import Dataset
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.errors import ClusterError, RunError, SettingsError, TransRecError
from transrec.model import TransRec
from transrec.objectives import build_objective
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.train import train

TWO = Cluster("local", 2)


def shares_without_a_modality(settings: TrainSettings, data: Path) -> int:
    """At how many steps a worker has no texts, or no pictures, among the items that it encodes."""
    dataset = Dataset.open(data)
    model = TransRec.build(settings.model, [dataset.catalog])
    store = ContentStore.prepare(dataset.catalog, model.items.preparers())
    plan = build_objective(settings.objective, model).plan
    batches = SequenceBatches(leave_one_out(dataset.interactions), store, plan, batch_size=BATCH, seed=0)
    lacking = 0
    for step in range(STEPS):
        held = [set(batches.of_rank(rank, 2).batch(step).items.parts) for rank in range(2)]
        lacking += any(len(own) < 2 for own in held)
    return lacking


def test_a_training_whose_worker_is_killed_is_that_of_one_process(
    joined_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = laid(tmp_path)
    assert shares_without_a_modality(settings, tmp_path / "rare") > 0
    monkeypatch.setattr(training, "work", killed_at(30, tmp_path / "died"))
    two = train_on(TWO, [tmp_path / "rare"], settings, tmp_path / "two")
    assert (tmp_path / "died").exists(), "a worker was killed"
    _, one = train([tmp_path / "rare"], settings, tmp_path / "one")
    same_training(tmp_path / "two", two, tmp_path / "one", one)
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert not left, "nothing of Ray's own is left"


@pytest.mark.slow
def test_a_killed_training_ends_bit_for_bit_as_an_undisturbed_one(
    joined_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = laid(tmp_path).updated({"model": {"users": {"dropout": 0.2}}})
    undisturbed = train_on(TWO, [tmp_path / "rare"], settings, tmp_path / "undisturbed")
    monkeypatch.setattr(training, "work", killed_at(30, tmp_path / "died"))
    killed = train_on(TWO, [tmp_path / "rare"], settings, tmp_path / "killed")
    assert (tmp_path / "died").exists(), "a worker was killed"
    assert killed == undisturbed
    assert rows(tmp_path / "killed") == rows(tmp_path / "undisturbed")
    for name in ("model.safetensors", "checkpoints/last/model.safetensors", "checkpoints/last/optimiser.safetensors"):
        ours, theirs = ((tmp_path / run / name).read_bytes() for run in ("killed", "undisturbed"))
        assert ours == theirs, name


def test_a_mistake_in_a_worker_is_told_once_and_nothing_is_started_anew(
    joined_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = laid(tmp_path)
    told = str(tmp_path / "called")

    def unseeing(job: Any) -> Any:
        from pathlib import Path

        with Path(told).open("a") as calls:
            calls.write("called\n")
        (Path(told).parent / "rare" / "dataset.json").write_text("{}")  # as if it were another one there
        job.ground.stand()

    monkeypatch.setattr(training, "work", unseeing)
    with pytest.raises(ClusterError, match=r"a worker on \S+ finds another dataset\.json than the command does"):
        train_on(Cluster("local", 1), [tmp_path / "rare"], settings, tmp_path / "run")
    assert (tmp_path / "called").read_text() == "called\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("verb", ["train", "transfer"])
def test_what_is_wrong_is_told_before_a_cluster_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.setattr(training, "joined", lambda _: pytest.fail("the cluster was asked"))
    settings = laid(tmp_path)
    data, out = tmp_path / "rare", tmp_path / "run"

    def started(resume: bool = False, **changes: Any) -> TransRecError:
        begin = {
            "train": lambda: train_on(TWO, [data], settings.updated(changes), out, resume=resume),
            "transfer": lambda: transfer_on(
                TWO, tmp_path / "one", data, TransferSettings.from_mapping(changes), out, resume=resume
            ),
        }
        with pytest.raises(TransRecError) as caught:
            begin[verb]()
        return caught.value

    assert isinstance(started(training={"batch_size": "auto"}), SettingsError)
    assert isinstance(started(resume=True), RunError)
    out.mkdir()
    (out / "something").write_text("")
    assert "not empty" in str(started())
    (out / "something").unlink()
    (data / "dataset.json").rename(data / "moved.json")
    assert "is not a dataset folder" in str(started())
