"""Work of a study of one platform: every way trained at every rate and seed, the best rate chosen, then the test ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.reading.findings import counted
from transrec.data.splits import Split
from transrec.evaluation.ranks import ModelRanker, RankedTargets, rank_targets
from transrec.model import TransRec
from transrec.recipes.opening import note_that_the_test_is_opened
from transrec.recipes.showing import progress_bar
from transrec.recipes.studies.study import folder_name
from transrec.recipes.studies.tables import DOCUMENT
from transrec.recipes.studies.trained import Trained, place_of, trained_run
from transrec.recipes.studies.way_settings import WaysSettings
from transrec.recipes.studies.ways import Way
from transrec.training.trainer import resolve_device

RUNS = "runs"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One training that is done.

    Attributes:
        way: which.
        seed: of fresh weights, order and dropout.
        rate: what the learning rates were multiplied by.
        run: the run folder.
        trained: how it went.
    """

    way: Way
    seed: int
    rate: float
    run: Path
    trained: Trained


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """A way at the rate that validated best.

    Attributes:
        way: which.
        rate: the factor that was chosen.
        validation: by factor, the mean over seeds of the metric that it was chosen by.
        tried: all trainings.
        chosen: those at the chosen rate, one a seed.
        targets: the rank of every test target under each of these.
    """

    way: Way
    rate: float
    validation: Mapping[float, float]
    tried: tuple[Attempt, ...]
    chosen: tuple[Attempt, ...]
    targets: tuple[RankedTargets, ...]


@dataclass(frozen=True, eq=False)
class WayWork:
    """Does the work in a folder; what is there already is not done again.

    Attributes:
        dataset: the platform.
        split: of its events, the same for all ways.
        settings: of the study.
        folder: of the study; the runs are below it.
        console: where it is told what was done.
        progress: where tables and progress of the trainings go; standard error when None.
    """

    dataset: Dataset
    split: Split
    settings: WaysSettings
    folder: Path
    console: Console
    progress: Console | None = None

    def all_done(self, ways: Sequence[Way]) -> tuple[list[Ranked], list[str]]:
        """Train everything, choose on validation, and only then open the test.

        Returns:
            the ways in their order, and when the test has been opened, this time included.

        Raises:
            TransRecError: a training cannot be done.
        """
        asked = [(way, rate, seed) for way in ways for rate in self.settings.rates for seed in self.settings.seeds]
        self.console.print(f"[bold]{counted(len(asked), 'model')} to train and rank[/bold]")
        tried: dict[str, list[Attempt]] = {}
        for number, (way, rate, seed) in enumerate(asked, start=1):
            factor = f", rates x {rate:g}" if rate != 1 else ""
            tried.setdefault(way.name, []).append(
                self._trained(way, rate, seed, f"{number} of {len(asked)}: {way.label}, seed {seed}{factor}")
            )
        best = {way.name: _validated_best(tried[way.name]) for way in ways}
        opened = note_that_the_test_is_opened(self.folder / DOCUMENT)
        found = []
        for way in ways:
            rate, validation = best[way.name]
            chosen = tuple(own for own in tried[way.name] if own.rate == rate)
            ranks = tuple(self._ranked(own) for own in chosen)
            found.append(Ranked(way, rate, validation, tuple(tried[way.name]), chosen, ranks))
        return found, opened

    def _trained(self, way: Way, rate: float, seed: int, which: str) -> Attempt:
        training, name = way.attempt(seed, rate), folder_name(f"{way.name}-seed{seed}-rate{rate:g}")
        runs = self.folder / RUNS
        there = place_of([self.dataset], training, runs, name).exists()
        run = trained_run([self.dataset], training, runs, name, console=self.progress)
        trained = Trained.of(run)
        took = "found done" if there else f"{trained.cost.seconds:.1f} s"
        self.console.print(f"{which}: validation {trained.fit.best:.4f}, {took}", markup=False, soft_wrap=True)
        return Attempt(way, seed, rate, run, trained)

    def _ranked(self, attempt: Attempt) -> RankedTargets:
        """The rank of every test target; kept beside the run."""
        weight = self.settings.evaluation.popularity
        path = attempt.run.parent / f"ranks-popularity{weight:g}.parquet"
        if not path.exists():
            training = attempt.way.training
            model = TransRec.load(attempt.run, device=resolve_device(training.training.device))
            with progress_bar(self.progress) as progress:
                ranker = ModelRanker.of(model, self.dataset, self.split, popularity=weight, progress=progress)
            building = path.with_suffix(".part")
            rank_targets(ranker, self.split, self.split.test).save(building)
            building.replace(path)
        return RankedTargets.open(path)


def _validated_best(tried: Sequence[Attempt]) -> tuple[float, dict[float, float]]:
    """The rate with the highest validation metric, the mean over seeds, and that of every rate."""
    rates = dict.fromkeys(own.rate for own in tried)
    means = {rate: float(np.mean([own.trained.fit.best for own in tried if own.rate == rate])) for rate in rates}
    return max(means, key=lambda rate: means[rate]), means
