"""Runs of a study: each is trained once, found again by what decides it, gone on with where it was interrupted."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from transrec._version import __version__
from transrec.data.dataset import Dataset
from transrec.data.folders import grown_once
from transrec.recipes.comparing.bench import backbones_digest
from transrec.recipes.comparing.cost import Cost, with_cost
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.resuming import has_begun
from transrec.recipes.train import train
from transrec.training.trainer import Fit, resolve_device

RUN, DONE = "run", "done.json"


@dataclass(frozen=True, slots=True)
class Trained:
    """How the training of a run went.

    Attributes:
        fit: the training.
        cost: what it took.
        resumed: whether it was interrupted, so that the cost is that of its last part.
    """

    fit: Fit
    cost: Cost
    resumed: bool

    @classmethod
    def of(cls, run: Path) -> Trained:
        """What was written beside a run that :func:`trained_run` made."""
        found = json.loads((run.parent / DONE).read_text())
        return cls(Fit(**found["fit"]), Cost(**found["cost"]), found["resumed"])


def trained_run(
    sources: Sequence[Dataset], training: TrainSettings, folder: Path, name: str, *, console: Console | None = None
) -> Path:
    """The run of these settings in the folder, trained now, or on from where it was interrupted, if it is not there.

    Args:
        sources: what it learns from.
        training: how.
        folder: with a folder for each run.
        name: of the run; a digest of all that decides what it becomes is added.
        console: where tables and progress go; standard error when None.
    """
    make = functools.partial(_train, sources, training, console)
    return grown_once(place_of(sources, training, folder, name), make) / RUN


def place_of(sources: Sequence[Dataset], training: TrainSettings, folder: Path, name: str) -> Path:
    """The folder that a run of these settings has, or would have; the run is below it."""
    key = {
        "version": __version__,
        "data": [own.fingerprint for own in sources],
        "training": training.model_dump(mode="json"),
        "backbones": backbones_digest(training.model.items),
    }
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=8).hexdigest()
    return folder / f"{name}-{digest}"


def _train(sources: Sequence[Dataset], training: TrainSettings, console: Console | None, folder: Path) -> None:
    run = folder / RUN
    resume = has_begun(run, training)
    if not resume:
        shutil.rmtree(run, ignore_errors=True)  # interrupted before the first step
    device = resolve_device(training.training.device)
    (_, fit), cost = with_cost(lambda: train(sources, training, run, resume=resume, console=console), device)
    for checkpoints in list(run.rglob("checkpoints")):
        shutil.rmtree(checkpoints)
    document = {"fit": asdict(fit), "cost": asdict(cost), "resumed": resume}
    (folder / DONE).write_text(json.dumps(document, indent=1) + "\n")
