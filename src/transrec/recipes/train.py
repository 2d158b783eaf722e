"""Train: a model from scratch on one platform or several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.holding import holding
from transrec.data.splits import split_of
from transrec.errors import RunError
from transrec.model import TransRec
from transrec.recipes.fitting import NewRun, TrainSettings, fit, record_of, writes
from transrec.recipes.resuming import as_started, require_same, to_go_on
from transrec.rules import initial_sources
from transrec.training.trainer import Fit


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
        resume: go on with an interrupted training in ``out``, with the settings that it was started with; one that was
            killed before its first checkpoint begins anew.
        console: where tables and progress go; standard error when None.

    Returns:
        the model with the weights that validated best, and how the training went.

    Raises:
        RunError: ``out`` is not empty, or another process writes it; or with ``resume`` there is nothing to go on with, or
            the settings differ; or a dataset is given twice.
        Stopped: SIGINT or SIGTERM came; the state is kept.
    """
    datasets = [d if isinstance(d, Dataset) else Dataset.open(d) for d in data]
    require_once(datasets)
    folder = Path(out) if out is not None else None
    resume = to_go_on(folder, settings, resume=resume, console=console)
    for dataset in datasets:
        split_of(dataset.interactions, settings.split).require_trainable()
    with holding(folder if writes(settings) else None, "transrec train"):
        if resume:
            settings = as_started(folder, settings)
        record = record_of(datasets, settings)
        if resume:
            require_same(folder, record)
        model = TransRec.build(settings.model, [d.catalog for d in datasets], seed=settings.training.seed)
        run = NewRun(initial_sources(model), record, folder, resume)
        result = fit(model, datasets, settings, run, console=console)
    return model, result


def require_once(datasets: Sequence[Dataset]) -> None:
    """Raise a RunError when a dataset is given twice: it would count double, and share everything with itself.

    Raises:
        RunError: see above.
    """
    prints = [dataset.fingerprint for dataset in datasets]
    for dataset in datasets:
        if prints.count(dataset.fingerprint) > 1:
            raise RunError(f"the dataset {dataset.name!r} is given twice", remedy="give each platform once")
