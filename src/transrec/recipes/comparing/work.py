"""Work: a job done, or found done; what is interrupted goes on where it stopped."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from transrec.data.folders import grown_once
from transrec.data.splits import split_of
from transrec.errors import EvaluationError
from transrec.evaluation.baselines.tuning import tuned_baselines
from transrec.evaluation.ranks import ModelRanker, RankedTargets, rank_targets
from transrec.model import TransRec
from transrec.recipes.comparing.backbones import own_flags
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.cost import Cost, with_cost
from transrec.recipes.comparing.jobs import Job, folder_name, key_of, settings_of, split_settings
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.comparing.variants import SimpleMethod
from transrec.recipes.fitting import FitSettings, TrainSettings, TransferSettings
from transrec.recipes.published import published_vectors
from transrec.recipes.resuming import has_begun
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer
from transrec.training.trainer import Fit
from transrec.weights import SETTINGS

DONE, RANKS, RUN = "done.json", "ranks.parquet", "run"
QUIET = Console(quiet=True)


def unnoted() -> None:
    """What is done about the opening of the test where nothing notes it."""


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A job that is done.

    Attributes:
        job: which.
        folder: where it is kept.
        ranked: the rank of every test target.
        validation: the validation metric that its weights or settings were chosen by; None where nothing was chosen.
        fit: how the training went; None where there was none.
        chosen: settings that were chosen on validation, of a simple method.
        cost: of the training or tuning; None where there was none.
        resumed: whether the training was interrupted, so that the cost is that of its last part.
        method: what a simple method calls itself; empty for others.
    """

    job: Job
    folder: Path
    ranked: RankedTargets
    validation: float | None = None
    fit: Fit | None = None
    chosen: Mapping[str, Any] | None = None
    cost: Cost | None = None
    resumed: bool = False
    method: str = ""

    def save(self, folder: Path, key: Mapping[str, Any]) -> None:
        """Write it; the description last, because what has it is done."""
        self.ranked.save(folder / RANKS)
        document = {
            "key": key,
            "validation": self.validation,
            "fit": asdict(self.fit) if self.fit else None,
            "chosen": dict(self.chosen) if self.chosen is not None else None,
            "cost": asdict(self.cost) if self.cost else None,
            "resumed": self.resumed,
            "method": self.method,
        }
        (folder / DONE).write_text(json.dumps(document, indent=1) + "\n")

    @classmethod
    def open(cls, job: Job, folder: Path) -> Finished:
        """Read what :meth:`save` wrote."""
        found = json.loads((folder / DONE).read_text())
        return cls(
            job=job,
            folder=folder,
            ranked=RankedTargets.open(folder / RANKS),
            validation=found["validation"],
            fit=Fit(**found["fit"]) if found["fit"] else None,
            chosen=found["chosen"],
            cost=Cost(**found["cost"]) if found["cost"] else None,
            resumed=found["resumed"],
            method=found["method"],
        )


@dataclass(frozen=True, eq=False)
class Workshop:
    """Does jobs in a folder.

    Attributes:
        bench: what they have in common.
        settings: of the comparison.
        out: a folder with a folder for each job.
        opening: is called whenever ranks of test targets are about to be made or read.
    """

    bench: Bench
    settings: CompareSettings
    out: Path
    opening: Callable[[], object] = unnoted

    def place(self, job: Job) -> Path:
        """The folder of a job: another one as soon as anything is different that decides its outcome."""
        return self.out / folder_name(job, key_of(job, self.settings, self.bench))

    def is_done(self, job: Job) -> bool:
        """Whether it is done already."""
        return (self.place(job) / DONE).exists()

    def done(self, job: Job) -> Finished:
        """The job, done now if it is not.

        Raises:
            TransRecError: it cannot be done.
        """
        folder = grown_once(self.place(job), functools.partial(self._do, job))
        self.opening()
        return Finished.open(job, folder)

    def _do(self, job: Job, folder: Path) -> None:
        fitting = settings_of(job, self.settings, self.bench)
        if fitting is not None:
            finished = self._trained(job, fitting, folder)
        elif isinstance(job.row.made, SimpleMethod):
            finished = self._simple(job, job.row.made, folder)
        else:
            finished = Finished(job, folder, self._ranked(self.bench.model, job, place=None))
        finished.save(folder, key_of(job, self.settings, self.bench))

    def _trained(self, job: Job, fitting: FitSettings, folder: Path) -> Finished:
        run, bench = folder / RUN, self.bench
        resume = has_begun(run, fitting)
        if not resume:
            shutil.rmtree(run, ignore_errors=True)  # interrupted before the first step

        def training() -> tuple[TransRec, Fit]:
            if isinstance(fitting, TrainSettings):
                return train([bench.dataset], fitting, run, resume=resume, console=QUIET)
            assert isinstance(fitting, TransferSettings)
            return transfer(bench.run, bench.dataset, fitting, run, resume=resume, console=QUIET)

        (model, fit), cost = with_cost(training, bench.device)
        ranked = self._ranked(model, job)
        for checkpoints in list(run.rglob("checkpoints")):
            shutil.rmtree(checkpoints)
        if not self.settings.keep_models:
            (run / SETTINGS).rename(folder / SETTINGS)  # with them it can be made again
            shutil.rmtree(run)
        return Finished(job, folder, ranked, fit.best, fit, cost=cost, resumed=resume)

    def _simple(self, job: Job, made: SimpleMethod, folder: Path) -> Finished:
        catalog = self.bench.dataset.catalog
        split = split_of(self.bench.dataset.interactions, split_settings(job, self.bench))
        vectors = self._content_vectors if made.which == "similarity" else None
        [tuned], cost = with_cost(
            lambda: tuned_baselines(split, len(catalog), which=[made.which], vectors=vectors, seed=job.seed),
            self.bench.device,
        )
        self.opening()
        ranked = rank_targets(tuned.ranker, split, split.test)
        chosen = dict(getattr(tuned.ranker, "settings", {}))
        return Finished(job, folder, ranked, tuned.validation_ndcg, chosen=chosen, cost=cost, method=tuned.name)

    @functools.cached_property
    def _content_vectors(self) -> Mapping[str, np.ndarray]:
        with own_flags():
            found = published_vectors(self.bench.model, self.bench.dataset, settings=self.bench.fresh)
        if not found:
            raise EvaluationError("the run reads nothing that these items have", where=self.bench.dataset.name)
        return found

    def _ranked(self, model: TransRec, job: Job, *, place: int | None = 0) -> RankedTargets:
        """The rank of every test target under a model; whatever share of the users it learned from, all are tested."""
        counted = split_of(self.bench.dataset.interactions, split_settings(job, self.bench))
        weight = self.settings.evaluation.popularity
        ranker = ModelRanker.of(model, self.bench.dataset, counted, place=place, popularity=weight)
        self.opening()
        return rank_targets(ranker, self.bench.whole, self.bench.whole.test)
