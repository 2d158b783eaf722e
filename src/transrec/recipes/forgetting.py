"""Forgetting: what a run that went on after another has lost on the other's test set, and who may be served it.

The earlier run's test targets lie in the past when a training goes on, so that the newer data teach them. Some of their
users are therefore kept back: they teach the new run what they taught the earlier one and no more. On them both runs are
measured, over the earlier catalog, histories and counts. What other users did since is known to the new run alone, so that
a gain here says little; a loss is a loss.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.folders import local_folder
from transrec.data.growth import held_back, new_events, shared_items
from transrec.data.sealing import write_whole
from transrec.data.splits import Split, Targets, split_of
from transrec.errors import DataError, RunError
from transrec.evaluation.contrasts import Measured, contrast
from transrec.evaluation.intervals import Interval
from transrec.evaluation.metrics import metric_columns
from transrec.evaluation.protocol import EvaluationSettings
from transrec.evaluation.ranks import ModelRanker, rank_targets, sampled
from transrec.model import TransRec
from transrec.recipes.showing import progress_bar
from transrec.runs import CARD, CONTINUED, RunRecord, open_run_data
from transrec.settings import read_yaml
from transrec.weights import SETTINGS

FORMAT = 1
MOST_USERS = 0.2
"""Of the users of the earlier test, so many are kept back at most: what they did since teaches nothing."""
SAME_PLATFORM = 0.1
"""Two platforms that share fewer of their items are not one platform at two times."""


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """What a run learned from, when another goes on after it.

    Attributes:
        dataset: as it was then.
        split: of its events.
        kept: the test targets on which both runs are measured.
    """

    dataset: Dataset
    split: Split
    kept: Targets

    @classmethod
    def open(cls, run: str | Path, data: str, *, users: int, seed: int) -> Earlier:
        """What a run learned from.

        Args:
            run: the earlier run.
            data: where its dataset is now; where the run says when empty.
            users: at most so many are kept back.
            seed: of which they are.

        Raises:
            RunError: the dataset is not there, or is not what the run learned from.
        """
        record = RunRecord.read(run)
        dataset = open_run_data(run, data or None)
        if dataset.fingerprint != record.data[0].fingerprint:
            raise RunError(
                f"the dataset at {data} is not what the run learned from: it has changed, or it is another one",
                where=str(run),
                remedy="name the folder that it learned from: --continuing.before OLD_DATA",
            )
        split = split_of(dataset.interactions, record.split)
        limit = min(users, int(MOST_USERS * len(split.test)))
        return cls(dataset, split, sampled(split.test, limit, np.random.default_rng(seed)))

    def require_same_platform(self, now: Dataset) -> None:
        """Raise a DataError when the newer data are of another platform.

        Raises:
            DataError: they share almost no item.
        """
        shared = shared_items(self.dataset.catalog, now.catalog)
        if shared < SAME_PLATFORM:
            raise DataError(
                f"{now.name} shares {shared:.0%} of its items with {self.dataset.name}, which the run learned from: it is "
                "another platform",
                remedy="move the run there: transrec transfer RUN DATA --out RUN2",
            )

    def split_of_now(self, split: Split, now: Dataset) -> Split:
        """The split of the newer data in which the users who are kept back teach only what they taught before."""
        if not len(self.kept):
            return split
        return held_back(split, now.catalog, self.dataset, self.split, self.kept.users)

    def new_events(self, now: Dataset) -> np.ndarray:
        """Which events of the newer data the run has not learned from, bool (N,)."""
        return new_events(self.dataset, self.split, now)


@dataclass(frozen=True, slots=True)
class Check:
    """What the new run ranks beside the earlier one on the earlier test.

    Attributes:
        metric: which one.
        users: how many were kept back and measured.
        before: the mean metric of the earlier run.
        now: of the new one.
        points: what the new one gains, with its interval over users; a loss is below zero.
        percent: the same in percent of the earlier one.
        allowance: the share of the metric that may be lost.
    """

    metric: str
    users: int
    before: float
    now: float
    points: Interval
    percent: Interval
    allowance: float

    @property
    def forgotten(self) -> bool:
        """Whether more is lost than is allowed, and the interval leaves out that nothing is."""
        return self.points.high < 0 and self.points.value < -self.allowance * self.before

    @property
    def told(self) -> str:
        """What the interval says of the allowance."""
        if self.forgotten:
            return f"more is forgotten than the allowance of {self.allowance:.0%}"
        if self.points.low >= -self.allowance * self.before:
            return f"within the allowance of {self.allowance:.0%}"
        return f"so few users do not show that it is within the allowance of {self.allowance:.0%}, nor that it is not"

    def __str__(self) -> str:
        gain = f"{self.points.value:+.4f} [{self.points.low:+.4f}, {self.points.high:+.4f}]"
        return (
            f"on {self.users:,} users of the earlier test who taught nothing new: {self.metric} {self.before:.4f} before, "
            f"{self.now:.4f} now ({gain}); {self.told}"
        )

    def to_json(self) -> dict[str, Any]:
        """The numbers, and what they say."""
        return {**_finite(asdict(self)), "forgotten": self.forgotten}


def checked(
    run: str | Path, model: TransRec, earlier: Earlier, *, metric: str, allowance: float, device: torch.device
) -> Check | None:
    """Measure a new model beside the run that it went on from; None where nobody was kept back.

    Args:
        run: the earlier run.
        model: the new model.
        earlier: what the earlier run learned from.
        metric: by which they are measured.
        allowance: the share of it that may be lost.
        device: where both run.
    """
    if not len(earlier.kept):
        return None
    before = TransRec.load(run, device=device)
    split = replace(earlier.split, test=earlier.kept)
    with progress_bar(Console(stderr=True)) as progress:
        rankers = [
            ModelRanker.of(each.to(device).eval(), earlier.dataset, split, progress=progress) for each in (model, before)
        ]
    ranked = [rank_targets(ranker, split, earlier.kept) for ranker in rankers]
    now_E, before_E = (metric_columns(found.ranks, (10,))[metric] for found in ranked)
    now, then = Measured("now", now_E[None]), Measured("before", before_E[None])
    found = contrast(now, then, earlier.kept.users, EvaluationSettings())
    return Check(
        metric, len(earlier.kept), found.values[1], found.values[0], found.points, found.percent, allowance=allowance
    )


def keep_check(folder: Path, check: Check | None, why_not: str, facts: dict[str, Any]) -> None:
    """Write ``continued.json``, and a section of the model card.

    Args:
        folder: of the new run.
        check: None where nothing could be measured.
        why_not: then the reason.
        facts: of the training.
    """
    written = {"format": FORMAT, **facts, "check": check.to_json() if check else None, "unchecked": why_not}
    told = f"{check}." if check else f"What it has forgotten was not measured: {why_not}."
    card = (folder / CARD).read_text(encoding="utf-8")
    section = f"## Beside the run before\n\n{told[0].upper()}{told[1:]}\n\n"
    write_whole(folder / CARD, card.replace("## Parameters\n", f"{section}## Parameters\n", 1))
    write_whole(folder / CONTINUED, json.dumps(written, indent=2, ensure_ascii=False) + "\n")


def require_remembered(run: str | Path, *, allow: bool = False, console: Console | None = None) -> None:
    """Say before a run is served that it has forgotten, or that nobody has looked.

    Args:
        run: a run folder; a model without a record has nothing to say.
        allow: whether a run is served that has forgotten more than was allowed.
        console: where it is told that nothing was measured; standard error when None.

    Raises:
        RunError: it has forgotten more, or its training has not come to the check.
    """
    folder = local_folder(run)
    if not (folder / SETTINGS).exists() or "continuing" not in read_yaml(folder / SETTINGS):
        return
    path = folder / CONTINUED
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        known, check, why_not = int(written["format"]), written["check"], written["unchecked"]
        forgotten = bool(check and check["forgotten"])
    except FileNotFoundError:
        raise RunError(
            "the training of this run has not come to its end: what it has forgotten is not measured",
            where=str(path),
            remedy="go on with it: the same transrec train, with --resume",
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"what this run has forgotten cannot be read: {error}", where=str(path), remedy="copy the run folder again"
        ) from None
    if known > FORMAT:
        raise RunError(
            f"{CONTINUED} has format {known}, this version of transrec reads up to {FORMAT}",
            where=str(folder),
            remedy="upgrade transrec",
        )
    say = partial((console or Console(stderr=True)).print, markup=False, highlight=False, soft_wrap=True)
    if forgotten:
        told = f"{check['metric']} {check['before']:.4f} before, {check['now']:.4f} now, on {check['users']:,} users"
        if not allow:
            raise RunError(
                f"this run has forgotten more of the earlier test than its allowance of {check['allowance']:.0%}: {told}",
                where=str(path),
                remedy="serve the run before, go on from it again with a larger --continuing.replay, or serve this one with "
                "--allow-forgetting",
            )
        say(f"this run has forgotten: {told}")
    elif not check:
        say(f"what this run has forgotten was not measured: {why_not}")


def _finite(value: Any) -> Any:
    """The value with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(own) for name, own in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
