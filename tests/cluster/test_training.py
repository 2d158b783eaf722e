"""Two workers of Ray Train train as one process does, also when one of them is killed in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clustered_ground import killed_at, laid, rows, same_training

from transrec.cluster import training
from transrec.cluster.asked import Cluster
from transrec.cluster.training import train_on, transfer_on
from transrec.errors import ClusterError, RunError, SettingsError, TransRecError
from transrec.recipes.fitting import TransferSettings
from transrec.recipes.train import train

TWO = Cluster("local", 2)


def test_a_training_whose_worker_is_killed_goes_on_and_is_that_of_one_process(
    joined_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"model": {"users": {"dropout": 0.2}}, "training": {"max_steps": 24, "checkpoint_minutes": 0}}
    settings = laid(tmp_path).updated(changes)
    monkeypatch.setattr(training, "work", killed_at(15, tmp_path / "died"))
    killed = train_on(Cluster("local", 1), [tmp_path / "rare"], settings, tmp_path / "killed")
    assert (tmp_path / "died").exists(), "the worker was killed"
    _, here = train([tmp_path / "rare"], settings, tmp_path / "here")
    assert killed == here
    the_same_files(tmp_path / "killed", tmp_path / "here")
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert not left, "nothing of Ray's own is left"


@pytest.mark.slow
def test_two_workers_of_whom_one_is_killed_train_as_one_process(
    joined_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = laid(tmp_path)
    monkeypatch.setattr(training, "work", killed_at(30, tmp_path / "died"))
    two = train_on(TWO, [tmp_path / "rare"], settings, tmp_path / "two")
    assert (tmp_path / "died").exists(), "a worker was killed"
    same_training(tmp_path / "two", two, tmp_path / "one", train([tmp_path / "rare"], settings, tmp_path / "one")[1])


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
    the_same_files(tmp_path / "killed", tmp_path / "undisturbed")


def the_same_files(ours: Path, theirs: Path) -> None:
    """Weights, states of the optimiser and numbers of two runs are the same bit for bit."""
    assert rows(ours) == rows(theirs)
    for name in ("model.safetensors", "checkpoints/last/model.safetensors", "checkpoints/last/optimiser.safetensors"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


@pytest.mark.slow
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


def test_a_dataset_that_is_given_twice_is_told_before_a_cluster_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "joined", lambda _: pytest.fail("the cluster was asked"))
    settings = laid(tmp_path)
    with pytest.raises(RunError, match="the dataset 'rare' is given twice"):
        train_on(TWO, [tmp_path / "rare", tmp_path / "rare"], settings, tmp_path / "run")
