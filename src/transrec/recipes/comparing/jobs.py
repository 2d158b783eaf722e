"""Jobs: one for each row, seed and share of the users; everything that decides its outcome, and the name of its folder."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transrec._version import __version__
from transrec.data.splits import SplitSettings, sample_size
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.comparing.variants import FromScratch, Row, SimpleMethod, Transferred, TransferredWithIds, ZeroShot
from transrec.recipes.fitting import FitSettings, TrainSettings, TransferSettings
from transrec.rules import IDENTITY

FORMAT = 3
"""Raised when what a job does or keeps changes, so that kept ones are made anew."""


@dataclass(frozen=True, slots=True)
class Job:
    """One model to be made and ranked.

    Attributes:
        row: which row it belongs to.
        fraction: share of the target's users that train and validate.
        seed: of fresh weights, order and dropout, and of the sample of the users.
        rate: what the learning rates are multiplied by.
        length: what the number of epochs is multiplied by.
    """

    row: Row
    fraction: float = 1.0
    seed: int = 0
    rate: float = 1.0
    length: float = 1.0

    def __str__(self) -> str:
        told = [self.row.label]
        told += [f"{self.fraction:.3g} of the users"] if self.fraction < 1 else []
        told += [f"seed {self.seed}"] if self.fraction < 1 or not isinstance(self.row.made, ZeroShot) else []
        told += [f"rates x {self.rate:g}"] if self.rate != 1 else []
        told += [f"epochs x {self.length:.3g}"] if self.length != 1 else []
        return ", ".join(told)


def jobs_of(rows: Sequence[Row], settings: CompareSettings, bench: Bench) -> list[Job]:
    """All jobs, the cheap ones first, so that what cannot be done is found out early.

    What has nothing random in it is done once: simple methods on all users, and the run as it is, which takes nothing of the
    target but, where it has a prior, counts of the users' training events.
    """
    quick: list[Job] = []
    long: list[Job] = []
    for fraction in distinct_fractions(settings.fractions, bench):
        tried = list(itertools.product(settings.rates, lengths_of(fraction, settings, bench), settings.seeds))
        for row in rows:
            match row.made:
                case ZeroShot() if bench.model.prior is None or fraction == 1:
                    quick += [Job(row)] if Job(row) not in quick else []
                case SimpleMethod() | ZeroShot():
                    seeds = settings.seeds if fraction < 1 else settings.seeds[:1]
                    quick += [Job(row, fraction, seed) for seed in seeds]
                case FromScratch() | Transferred() | TransferredWithIds():
                    long += [Job(row, fraction, seed, rate, length) for rate, length, seed in tried]
    return quick + sorted(long, key=lambda job: job.fraction)


def users_of(fraction: float, bench: Bench) -> int:
    """How many of the target's users train and validate at this share."""
    training = int((bench.whole.train_ends > bench.whole.interactions.offsets[:-1]).sum())
    return sample_size(training, fraction)


def distinct_fractions(fractions: Sequence[float], bench: Bench) -> list[float]:
    """The shares that are different numbers of users, increasing; one that comes to all users is 1."""
    everyone = users_of(1.0, bench)
    largest_first = {users_of(fraction, bench): fraction for fraction in sorted(fractions, reverse=True)}
    return sorted(1.0 if users == everyone else fraction for users, fraction in largest_first.items())


def lengths_of(fraction: float, settings: CompareSettings, bench: Bench) -> Sequence[float]:
    """What the number of epochs is multiplied by with this share of the users: each is tried; see ``budget``."""
    stretch = users_of(1.0, bench) / users_of(fraction, bench)
    tried = {"epochs": [1.0], "steps": [stretch], "best": [1.0, math.sqrt(stretch), stretch]}[settings.budget]
    by_epochs = {math.ceil(bench.training.epochs * length): length for length in tried}
    return list(by_epochs.values())


def settings_of(job: Job, settings: CompareSettings, bench: Bench) -> FitSettings | None:
    """How the job's model is trained; None for a row that is not."""
    shared: dict[str, Any] = {
        "objective": bench.objective,
        "training": bench.training.longer(job.length).faster(job.rate).updated({"seed": job.seed}),
        "split": split_settings(job, bench),
        "stages": tuple(stage.longer(job.length).faster(job.rate) for stage in bench.stages),
    }
    match job.row.made:
        case FromScratch(content=content, identity=identity, tune=tune, counts=counts):
            names = (*(bench.content if content else ()), *(("identity",) if identity else ()))
            model = bench.fresh.reading(names)
            if not counts:
                model = model.updated({"prior": "none"})
            return TrainSettings(**shared, tune=str(tune), model=model)
        case Transferred(tune=tune):
            return TransferSettings(**shared, tune=str(tune), rules=(*settings.rules, *bench.dropping))
        case TransferredWithIds(tune=tune):
            others = tuple(rule for rule in settings.rules if not rule.startswith(IDENTITY))
            return TransferSettings(**shared, tune=str(tune), rules=(*others, *bench.dropping, f"{IDENTITY}=add"))
    return None


def split_settings(job: Job, bench: Bench) -> SplitSettings:
    """The target's split at the job's share of the users."""
    if job.fraction == 1:
        return bench.split
    return bench.split.updated({"users": job.fraction, "users_seed": job.seed})


def key_of(job: Job, settings: CompareSettings, bench: Bench) -> dict[str, Any]:
    """Everything that decides the outcome of a job, as values that JSON can hold."""
    fitted = settings_of(job, settings, bench)
    key: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "dataset": bench.dataset.fingerprint,
        "row": job.row.name,
        "split": split_settings(job, bench).model_dump(mode="json"),
        "fit": fitted.model_dump(mode="json") if fitted else None,
    }
    if not isinstance(job.row.made, SimpleMethod):
        key["popularity"] = settings.evaluation.popularity
    match job.row.made:
        case SimpleMethod(which=which):
            key |= {"baseline": which, "seed": job.seed}
            key |= {"run": bench.run_digest} if which == "similarity" else {}
            if which == "similarity" and settings.backbones:
                key["backbones"] = bench.backbones_digest
        case FromScratch(content=True):
            key["backbones"] = bench.backbones_digest
        case ZeroShot() | Transferred() | TransferredWithIds():
            key["run"] = bench.run_digest
    return key


def folder_name(job: Job, key: dict[str, Any]) -> str:
    """A name that people can read, with a digest of the job's key."""
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=8).hexdigest()
    rate = f"-rate{job.rate:g}" if job.rate != 1 else ""
    length = f"-length{job.length:.3g}" if job.length != 1 else ""
    return f"{job.row.name}-users{job.fraction:g}-seed{job.seed}{rate}{length}-{digest}"
