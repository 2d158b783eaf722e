"""Baselines' ranks, kept beside the dataset: every run on a platform is compared with the same ones, tuned once."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transrec.data.folders import made_once
from transrec.data.splits import Split
from transrec.evaluation.baselines import tuning
from transrec.evaluation.baselines.tuning import BaselineName, tuned_baselines
from transrec.evaluation.ranks import RankedTargets, rank_targets

FORMAT = 2
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
    vectors: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
) -> list[KeptBaseline]:
    """Baselines tuned on validation and ranked on test; those found in the folder are as they were made.

    Args:
        split: of the platform's events.
        num_items: V.
        folder: the dataset's store; nothing is kept when None.
        which: see :func:`~transrec.evaluation.baselines.tuning.tuned_baselines`.
        vectors: likewise.
        seed: likewise.

    Raises:
        EvaluationError: there is no such baseline, or it lacks its vectors.
    """

    def made(name: BaselineName) -> KeptBaseline:
        [tuned] = tuned_baselines(split, num_items, which=[name], vectors=vectors, seed=seed)
        ranked = rank_targets(tuned.ranker, split, split.test)
        return KeptBaseline(tuned.name, getattr(tuned.ranker, "settings", {}), ranked)

    def make(name: BaselineName, building: Path) -> None:
        _save(made(name), building)

    if folder is None:
        return [made(name) for name in which]
    described = [FORMAT, split.interactions.fingerprint(), split.description, num_items, seed, _grids()]
    found = []
    for name in which:
        # the others do not look at the vectors, so that runs with different encoders share them
        key = _digest([*described, name, _content(vectors or {}) if name == "similarity" else {}])
        found.append(_open(made_once(folder / f"baseline-{name}-{key}", functools.partial(make, name))))
    return found


def _save(baseline: KeptBaseline, folder: Path) -> None:
    baseline.ranked.save(folder / "ranks.parquet")
    (folder / "baseline.json").write_text(json.dumps({"name": baseline.name, "settings": dict(baseline.settings)}))


def _open(folder: Path) -> KeptBaseline:
    described = json.loads((folder / "baseline.json").read_text())
    return KeptBaseline(described["name"], described["settings"], RankedTargets.open(folder / "ranks.parquet"))


def _grids() -> list[tuple[str, Any]]:
    """Everything that tuning tries."""
    return sorted((name, value) for name, value in vars(tuning).items() if name.isupper())


def _content(vectors: Mapping[str, np.ndarray]) -> Mapping[str, str]:
    """A digest of the vectors of each modality."""
    arrays = {name: np.ascontiguousarray(vectors_VD) for name, vectors_VD in vectors.items()}
    return {name: f"{array.shape} {array.dtype} {hashlib.blake2b(array.data).hexdigest()}" for name, array in arrays.items()}


def _digest(parts: Sequence[object]) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()
