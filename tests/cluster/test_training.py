"""Two workers of Ray Train train as one process does, also when one of them is killed in the middle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
from clustered_ground import BATCH, STEPS, laid, largest_difference, rows

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


def killed_at(step: int, died: Path) -> Callable[[Mapping[str, Any]], Any]:
    """The work of a worker, of which the second is killed before this step, once."""
    told = str(died)

    def sabotaged(given: Mapping[str, Any]) -> Any:
        import os
        import signal
        from pathlib import Path

        from transrec.cluster.training import work
        from transrec.training.loop import Loop

        plain = Loop._step

        def stepped(self: Loop, parts: Any, now: int) -> Any:
            if now == step and os.environ["RANK"] == "1" and not Path(told).exists():
                Path(told).write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(self, parts, now)

        Loop._step = stepped
        return work(given)

    return sabotaged


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
    assert (two.steps, two.best_step, two.weighed) == (one.steps, one.best_step, one.weighed)
    assert two.steps == STEPS
    assert two.best == pytest.approx(one.best, rel=1e-6)
    ours, theirs = rows(tmp_path / "two"), rows(tmp_path / "one")
    assert [(row["kind"], row["step"]) for row in ours] == [(row["kind"], row["step"]) for row in theirs]
    for own, other in zip(ours, theirs, strict=True):
        numbers = [name for name, value in other.items() if isinstance(value, float)]
        np.testing.assert_allclose([own[n] for n in numbers], [other[n] for n in numbers], rtol=1e-4, err_msg=str(other))
    weights = [safetensors.torch.load_file(tmp_path / name / "model.safetensors") for name in ("two", "one")]
    assert largest_difference(*weights) < 1e-4
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert not left, "nothing of Ray's own is left"


def test_a_mistake_in_a_worker_is_told_once_and_nothing_is_started_anew(
    joined_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = laid(tmp_path)
    told = str(tmp_path / "called")

    def unseeing(given: Mapping[str, Any]) -> Any:
        from pathlib import Path

        with Path(told).open("a") as calls:
            calls.write("called\n")
        (Path(told).parent / "rare" / "dataset.json").write_text("{}")  # as if it were another one there
        given["job"].ground.stand()

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
