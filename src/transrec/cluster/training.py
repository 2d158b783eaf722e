"""Training on a cluster: the recipes of one machine, run by every worker of Ray Train."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, final

from rich.console import Console

from transrec.cluster.asked import Cluster
from transrec.cluster.joining import joined, mistake_in, require_workers
from transrec.cluster.seeing import Ground
from transrec.cluster.watching import watching
from transrec.data.dataset import Dataset
from transrec.data.holding import until_free
from transrec.data.splits import split_of
from transrec.errors import ClusterError, SettingsError, require_extra
from transrec.recipes.fitting import FitSettings, TrainSettings, TransferSettings
from transrec.recipes.resuming import to_go_on
from transrec.recipes.train import require_once, train
from transrec.recipes.transfer import transfer
from transrec.runs import require_empty
from transrec.training.trainer import Fit

RESTARTS = 10
"""How often all workers are started anew after one of them has gone, besides nodes that were taken away with notice."""
FORMER_S = 120.0
"""Seconds in which the process that wrote the run folder before has to let go of it."""


def train_on(
    cluster: Cluster, data: Sequence[str | Path], settings: TrainSettings, out: str | Path, *, resume: bool = False
) -> Fit:
    """Train a model from scratch with several processes of a cluster; see :func:`transrec.recipes.train.train`.

    It is the same training as with one process, with the same batches, negatives, loss and gradients, but for rounding and
    the draws of dropout. When a worker is lost, all are started anew and go on from the last checkpoint.

    Args:
        cluster: which, and how many workers.
        data: dataset folders; the run recommends from the first.
        settings: the model and how it learns.
        out: the run folder to make.
        resume: go on with an interrupted training in ``out``, wherever it was begun.

    Raises:
        ClusterError: the cluster cannot be reached, has fewer CPUs or GPUs than workers, or a worker does not see a folder.
        TransRecError: what the recipe would raise.
    """
    return _done(cluster, _Job(tuple(map(str, data)), settings, str(out), resume))


def transfer_on(
    cluster: Cluster,
    run: str | Path,
    data: str | Path,
    settings: TransferSettings,
    out: str | Path,
    *,
    resume: bool = False,
) -> Fit:
    """Start from a run and train on another platform with several processes of a cluster; as :func:`train_on`.

    Args:
        cluster: which, and how many workers.
        run: the source run.
        data: the dataset folder of the target platform.
        settings: where parameters come from, and how it learns.
        out: the run folder to make.
        resume: go on with an interrupted transfer in ``out``.

    Raises:
        TransRecError: as :func:`train_on`.
    """
    return _done(cluster, _Job((str(data),), settings, str(out), resume, source=str(run)))


@final
@dataclass(frozen=True, slots=True)
class _Job:
    """What every worker is given."""

    data: tuple[str, ...]
    settings: FitSettings
    out: str
    resume: bool
    source: str = ""
    ground: Ground | None = None

    @property
    def folders(self) -> tuple[str, ...]:
        """What it reads."""
        items = self.settings.model.items if isinstance(self.settings, TrainSettings) else None
        backbones = (items.text.backbone, items.image.backbone) if items else ()
        return (*self.data, *filter(None, (self.source, *backbones)))

    def require_sound(self, workers: int) -> None:
        """Say what is wrong before a cluster is asked for anything.

        Raises:
            TransRecError: the data cannot be trained on, the folder holds something else, or a size is to be found.
        """
        if workers > 1 and any(stage.training.to_find for stage in self.settings.course):
            raise SettingsError(
                "sizes are found by one process alone",
                where="training.batch_size, training.items_at_once",
                remedy="find them with --workers 1 or without --cluster, and give the numbers",
            )
        if self.resume:
            to_go_on(Path(self.out), self.settings, resume=True, console=Console(quiet=True))
        else:
            require_empty(Path(self.out))
        datasets = [Dataset.open(folder) for folder in self.data]
        require_once(datasets)
        for dataset in datasets:
            split_of(dataset.interactions, self.settings.split).require_trainable()

    def fit(self, *, resume: bool) -> Fit:
        """The recipe, as on one machine."""
        if isinstance(self.settings, TransferSettings):
            return transfer(self.source, self.data[0], self.settings, self.out, resume=resume)[1]
        assert isinstance(self.settings, TrainSettings)
        return train(self.data, self.settings, self.out, resume=resume)[1]


def work(job: _Job) -> dict[str, Any]:
    """What a worker does; called anew in other processes after one was lost, and then it goes on.

    Returns:
        What a :class:`~transrec.training.trainer.Fit` holds, in plain values: Ray's controller reads it, too, and would
        import all that trains.
    """
    collective = require_extra("ray.train.collective", extra="cluster", purpose="--cluster")
    context = require_extra("ray.train", extra="cluster", purpose="--cluster").get_context()
    assert job.ground is not None
    job.ground.stand()
    resume = job.resume
    if context.get_world_rank() == 0:  # one looks, so that all do the same
        resume = resume or _has_left_something(Path(job.out))
        until_free(Path(job.out), FORMER_S)
    return asdict(job.fit(resume=collective.broadcast_from_rank_zero(resume)))


def _has_left_something(out: Path) -> bool:
    """Whether workers before these have begun: the command itself began with an empty folder."""
    return out.is_dir() and any(out.iterdir())


def _done(cluster: Cluster, job: _Job) -> Fit:
    job.require_sound(cluster.workers)
    out = Path(job.out).resolve()
    with Ground.under(job.folders).writing(out) as ground, joined(cluster) as ray:
        gpus = _on_gpus(ray, job.settings)
        require_workers(ray, cluster.workers, kind="GPU" if gpus else "CPU")
        return _fitted(cluster, replace(job, ground=ground), out, gpus=gpus)


def _on_gpus(ray: ModuleType, settings: FitSettings) -> bool:
    """Whether workers take GPUs: where it is said, or where the cluster has any and it is not said otherwise."""
    device = settings.training.device
    return device == "cuda" or (device == "auto" and ray.cluster_resources().get("GPU", 0) >= 1)


def _fitted(cluster: Cluster, job: _Job, out: Path, *, gpus: bool) -> Fit:
    """Let Ray Train run the workers, and start them anew when one is lost.

    Raises:
        ClusterError: workers were lost more often than they are started anew, or failed in a way that is no mistake of ours.
        TransRecError: what the recipe raised in a worker.
    """
    train_api = require_extra("ray.train", extra="cluster", purpose="--cluster")
    torch_api = require_extra("ray.train.torch", extra="cluster", purpose="--cluster")
    # Ray's own notes on the training; checkpoints are ours and in the run folder
    notes = out.with_name(f".{out.name}.ray")
    trainer = torch_api.TorchTrainer(
        functools.partial(work, job),
        scaling_config=train_api.ScalingConfig(num_workers=cluster.workers, use_gpu=gpus),
        run_config=train_api.RunConfig(
            name=notes.name,
            storage_path=str(notes.parent),
            failure_config=train_api.FailureConfig(max_failures=RESTARTS),
            callbacks=[watching()],
            logging_config=train_api.LoggingConfig(log_level="ERROR"),
        ),
    )
    try:
        found = trainer.fit().return_value
    except train_api.TrainingFailedError as error:
        mistake = mistake_in(getattr(error, "controller_failure", None))
        if mistake is not None:
            raise mistake from None
        raise ClusterError(
            f"the workers failed: {error}",
            where=job.out,
            remedy="what is finished is kept; --resume goes on with the training, with a cluster or without",
        ) from None
    finally:
        shutil.rmtree(notes, ignore_errors=True)
    return Fit(**found)
