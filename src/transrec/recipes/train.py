"""Train: a model from scratch on one platform or several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.splits import split_of
from transrec.errors import RunError
from transrec.model import TransRec
from transrec.recipes.fitting import FitSettings, NewRun, TrainSettings, fit, record_of
from transrec.rules import initial_sources
from transrec.runs import RunRecord, require_empty
from transrec.training.settings import AUTO
from transrec.training.trainer import Fit

Fitting = TypeVar("Fitting", bound=FitSettings)


def train(
    data: Sequence[str | Path | Dataset],
    settings: TrainSettings,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    console: Console | None = None,
) -> tuple[TransRec, Fit]:
    """Train a model from scratch.

    Args:
        data: dataset folders, or datasets in memory. The run recommends from the first.
        settings: the model and how it learns.
        out: the run folder to make; nothing is written when None.
        resume: go on with an interrupted training in ``out``, with the settings that it was started with.
        console: where tables and progress go; standard error when None.

    Returns:
        the model with the weights that validated best, and how the training went.

    Raises:
        RunError: ``out`` is not empty; or with ``resume`` there is nothing to go on with, or the settings differ.
    """
    datasets = [d if isinstance(d, Dataset) else Dataset.open(d) for d in data]
    folder = Path(out) if out is not None else None
    if folder and not resume:
        require_empty(folder)
    for dataset in datasets:
        split_of(dataset.interactions, settings.split).require_trainable()
    if resume:
        settings = as_started(folder, settings)
    record = record_of(datasets, settings)
    if resume:
        require_same(folder, record)
    model = TransRec.build(settings.model, [d.catalog for d in datasets], seed=settings.training.seed)
    run = NewRun(initial_sources(model), record, folder, resume)
    result = fit(model, datasets, settings, run, console=console)
    return model, result


def as_started(folder: Path | None, settings: Fitting) -> Fitting:
    """The settings with the sizes that the run in the folder has found where they say ``auto``.

    Raises:
        RunError: the folder is not a run.
    """
    if folder is None:
        return settings
    record = RunRecord.read(folder)
    found = {name: record.training.get(name, AUTO) for name in settings.training.to_find}
    stages = []
    for own, stage, then in zip(settings.stages, settings.course, record.stages, strict=False):
        sizes = {name: then["training"][name] for name in stage.training.to_find if name in then["training"]}
        stages.append(own.model_copy(update={"training": {**own.training, **sizes}}))
    stages += settings.stages[len(stages) :]
    return settings.model_copy(update={"training": settings.training.updated(found), "stages": tuple(stages)})


def require_same(folder: Path | None, record: RunRecord) -> None:
    """Raise a RunError when the run in the folder was started with other data or settings than the record's.

    Raises:
        RunError: it was, or there is no run.
    """
    if folder is None:
        raise RunError("there is no folder to resume in", remedy="give --out")
    before = RunRecord.read(folder)
    own, other = record.model_dump(mode="json"), before.model_dump(mode="json")
    differing = [name for name in own if own[name] != other[name] and name != "version"]
    if differing:
        raise RunError(
            f"the training in {folder} was started with another {', '.join(differing)}",
            where=str(folder),
            remedy="resume with the same data and settings (they are in its settings.yaml), or train into another folder",
        )
