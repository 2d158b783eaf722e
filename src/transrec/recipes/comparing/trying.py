"""Trying: whether every model can be built and tuned as asked, found out before hours of training."""

from __future__ import annotations

from collections.abc import Sequence

from transrec.data.splits import split_of
from transrec.model import TransRec
from transrec.recipes.comparing.backbones import own_flags, require_same_form
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.jobs import Job, settings_of
from transrec.recipes.comparing.work import Workshop
from transrec.recipes.fitting import FitSettings, TrainSettings, TransferSettings, rehearsed
from transrec.recipes.transfer import moved
from transrec.rules import initial_sources


def try_out(jobs: Sequence[Job], workshop: Workshop) -> None:
    """Build the model of each row that is still to be trained, and apply its rules without taking a step.

    Args:
        jobs: of all rows.
        workshop: knows which of them are done; a row of which all are needs no trial.

    Raises:
        TransRecError: a model cannot be built, a rule of origin or of tuning does not fit it, an objective cannot train it,
            or there is nothing to learn from.
    """
    tried: set[str] = set()
    _require_the_encoders(workshop)
    for job in jobs:
        fitting = settings_of(job, workshop.settings, workshop.bench)
        if fitting is None or job.row.name in tried or workshop.is_done(job):
            continue
        split_of(workshop.bench.dataset.interactions, fitting.split).require_trainable()
        rehearsed(*_begun(fitting, workshop.bench), fitting)
        tried.add(job.row.name)


def _require_the_encoders(workshop: Workshop) -> None:
    """Read the encoders that are said to be elsewhere, and hold their form against those of the run."""
    bench = workshop.bench
    names = tuple(name for name in workshop.settings.backbones.names if name in bench.content)
    if names:
        with own_flags():
            fresh = TransRec.build(bench.fresh.reading(names), [bench.dataset.catalog])
        require_same_form(fresh, bench.model, names)


def _begun(fitting: FitSettings, bench: Bench) -> tuple[TransRec, dict[str, str]]:
    """The model as its training would begin with it, and where its parameters come from."""
    if isinstance(fitting, TrainSettings):
        with own_flags():
            model = TransRec.build(fitting.model, [bench.dataset.catalog], seed=fitting.training.seed)
        return model, initial_sources(model)
    assert isinstance(fitting, TransferSettings)
    return moved(bench.source, bench.dataset.catalog, fitting)
