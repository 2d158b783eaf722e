"""Gains: by how much one run exceeds another on the same test targets, where both have been evaluated."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from transrec.evaluation.intervals import paired_difference
from transrec.evaluation.metrics import metric_columns
from transrec.evaluation.ranks import RankedTargets
from transrec.reports.files import RunFiles

METRIC, CUTOFF = "NDCG@10", 10


def gains_between(runs: Sequence[RunFiles], *, seed: int = 0) -> list[str]:
    """A sentence for every two runs and every dataset on which both have ranked the same test targets.

    Args:
        runs: in order; the later one of a pair is compared with the earlier one.
        seed: of the resamples of the users.
    """
    found = []
    for first, second in itertools.combinations(runs, 2):
        ours, theirs = _ranks(first), _ranks(second)
        for fingerprint in ours.keys() & theirs.keys():
            (name, earlier), (_, later) = ours[fingerprint], theirs[fingerprint]
            told = _gain(RankedTargets.open(later), RankedTargets.open(earlier), seed)
            if told:
                found.append(f"On {name}, {METRIC} of {second.name} minus that of {first.name}, paired by user: {told}")
    return found


def _ranks(run: RunFiles) -> dict[str, tuple[str, Path]]:
    """By fingerprint, the datasets that the run has been evaluated on: their name, and where the ranks are."""
    found = {}
    for stem, document in run.evaluations.items():
        path = run.folder / "evaluation" / f"{stem}.ranks.parquet"
        if path.exists():
            found[document["dataset"]["fingerprint"]] = (document["dataset"]["name"], path)
    return found


def _gain(first: RankedTargets, second: RankedTargets, seed: int) -> str:
    """The paired difference in words; empty where the targets are not the same, as under another split."""
    same = len(first) == len(second) and first.users.equals(second.users) and np.array_equal(first.rows, second.rows)
    if not same:
        return ""
    values = [metric_columns(own.ranks, (CUTOFF,))[METRIC] for own in (first, second)]
    _, users_E = np.unique(first.users.to_numpy(), return_inverse=True)
    found = paired_difference(values[0], values[1], users_E, np.random.default_rng(seed))
    gain = found.gain
    return f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}], p = {found.p_value:.3f}."
