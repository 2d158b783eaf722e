"""Baselines' ranks, kept beside the dataset: every run on a platform is compared with the same ones, tuned once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transrec.data.folders import made_once
from transrec.data.splits import Split
from transrec.evaluation.baselines import tuning
from transrec.evaluation.baselines.tuning import BaselineName, tuned_baselines
from transrec.evaluation.ranks import RankedTargets, rank_targets

FORMAT = 1
"""Raised when a baseline or a rule of ranking changes, so that kept ranks are made anew."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptBaseline:
    """A tuned baseline on the test targets.

    Attributes:
        name: what to call it in tables.
        settings: what was chosen on validation.
        ranked: the rank of every test target.
    """

    name: str
    settings: Mapping[str, Any]
    ranked: RankedTargets


def kept_baselines(
    split: Split,
    num_items: int,
    folder: Path | None,
    *,
    which: Sequence[BaselineName] = ("popularity", "markov", "ease"),
    seed: int = 0,
) -> list[KeptBaseline]:
    """Baselines tuned on validation and ranked on test; found in the folder when they are there already.

    Args:
        split: of the platform's events.
        num_items: V.
        folder: the dataset's store; nothing is kept when None.
        which: see :func:`~transrec.evaluation.baselines.tuning.tuned_baselines`.
        seed: likewise.
    """
    if folder is None:
        return _ranked(split, num_items, which, seed)
    final = made_once(
        folder / f"baselines-{_key(split, num_items, which, seed)}",
        lambda building: _save(_ranked(split, num_items, which, seed), building),
    )
    listed = json.loads((final / "baselines.json").read_text())
    return [
        KeptBaseline(entry["name"], entry["settings"], RankedTargets.open(final / f"{place}.parquet"))
        for place, entry in enumerate(listed)
    ]


def _ranked(split: Split, num_items: int, which: Sequence[BaselineName], seed: int) -> list[KeptBaseline]:
    return [
        KeptBaseline(tuned.name, getattr(tuned.ranker, "settings", {}), rank_targets(tuned.ranker, split, split.test))
        for tuned in tuned_baselines(split, num_items, which=which, seed=seed)
    ]


def _save(baselines: Sequence[KeptBaseline], folder: Path) -> None:
    for place, baseline in enumerate(baselines):
        baseline.ranked.save(folder / f"{place}.parquet")
    listed = [{"name": baseline.name, "settings": dict(baseline.settings)} for baseline in baselines]
    (folder / "baselines.json").write_text(json.dumps(listed))


def _key(split: Split, num_items: int, which: Sequence[BaselineName], seed: int) -> str:
    """Changes with the events, the split, and everything that tuning tries."""
    grids = {name: value for name, value in vars(tuning).items() if name.isupper()}
    events = split.interactions.fingerprint()
    parts = [FORMAT, events, split.description, num_items, list(which), seed, sorted(grids.items())]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()
