"""Measuring: what the tables show of ranked targets: HR@10 and NDCG@10 of all, NDCG@10 of cold ones and of the tail.

Cold is a target that no training event of the whole split touches, the tail are those that at most four do, as in ``transrec
compare``. Values are means over seeds; differences are paired by user. Axes: E targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from transrec.evaluation.intervals import Interval, paired_difference
from transrec.evaluation.metrics import hit_rate, ndcg
from transrec.evaluation.ranks import RankedTargets
from transrec.evaluation.slices import by_popularity
from transrec.recipes.comparing.results import COLD, TAIL

HEADINGS = ("HR@10", "NDCG@10", "cold", "tail")


@dataclass(frozen=True, eq=False)
class Measured:
    """One row.

    Attributes:
        values_E: NDCG@10 of each target, the mean over seeds.
        users_E: whose target it is, as a number.
        metrics: by heading, the mean over targets; None where no target belongs to a slice.
        seeds: how many.
    """

    values_E: np.ndarray
    users_E: np.ndarray
    metrics: Mapping[str, float | None]
    seeds: int

    @classmethod
    def of(cls, ranked: Sequence[RankedTargets], counts_V: np.ndarray) -> Measured:
        """Measure the same targets under every seed.

        Args:
            ranked: one a seed.
            counts_V: training events of each item, of the whole split.
        """
        values_E = np.mean([ndcg(one.ranks, 10) for one in ranked], axis=0)
        hits_E = np.mean([hit_rate(one.ranks, 10) for one in ranked], axis=0)
        slices = {part.label: part.mask_E for part in by_popularity(ranked[0].rows, counts_V)}
        cold, tail = (float(values_E[slices[label]].mean()) if label in slices else None for label in (COLD, TAIL))
        metrics = dict(zip(HEADINGS, (float(hits_E.mean()), float(values_E.mean()), cold, tail), strict=True))
        users_E = np.unique(ranked[0].users.to_numpy(), return_inverse=True)[1]
        return cls(values_E, users_E, metrics, len(ranked))

    @property
    def cells(self) -> list[str]:
        """The metrics as a table shows them."""
        return ["" if value is None else f"{value:.4f}" for value in self.metrics.values()]

    def against(self, other: Measured | None) -> Interval | None:
        """What is gained over another row; None against itself or none."""
        if other is None or other is self:
            return None
        return paired_difference(self.values_E, other.values_E, self.users_E, np.random.default_rng(0)).gain

    def to_json(self, other: Measured | None) -> dict[str, object]:
        """The row as numbers, with what it gains over another."""
        gain = self.against(other)
        return {"metrics": self.metrics, "gain": asdict(gain) if gain else None, "seeds": self.seeds}


def shown(gain: Interval | None) -> str:
    """A gain as a table shows it; empty where there is none."""
    return "" if gain is None else f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"


def heading(*names: str) -> list[str]:
    """The first two lines of a table in Markdown."""
    return [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
