"""What is asked of a recommender, and what it answers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from transrec.data.catalog import Item
from transrec.errors import DataError
from transrec.retrieval.explaining import Reason


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A question: what fits a history.

    Attributes:
        history: items, oldest first: ids, or what an item is where the catalog does not hold it.
        k: how many are wanted; fewer come back when no more may be shown.
        times: when the events of the history were, in the unit of the dataset's (seconds, where it had dates), None for
            those of which nobody knows. For models that read times; without any they do as well as they can.
        seen: whether items of the history may be recommended again.
        popularity: how much of what popularity is worth counts: 1 as it was weighed after training; with less, rare and new
            items come up; 0 for none.
        where: a filter over catalog columns, see :func:`~transrec.retrieval.filters.allowed_by`.
        exclude: ids that must not be recommended; those that the catalog does not hold do no harm.
        diversity: from 0, the best items, to 1, items as far from each other as may be; see
            :func:`~transrec.retrieval.diversity.spread`.
        explain: whether to say why, see :class:`~transrec.retrieval.explaining.Reason`.

    Raises:
        DataError: a value is out of its range, or ``times`` do not fit the history.
    """

    history: Sequence[str | Item]
    k: int = 10
    times: Sequence[float | None] | None = None
    seen: bool = False
    popularity: float = 1.0
    where: str | None = None
    exclude: Sequence[str] = ()
    diversity: float = 0.0
    explain: bool = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise DataError(f"k is {self.k}", remedy="ask for at least one recommendation")
        if not 0 <= self.popularity < math.inf:
            raise DataError(f"popularity is {self.popularity}", remedy="0 for none, 1 for as much as was learned")
        if not 0 <= self.diversity <= 1:
            raise DataError(f"diversity is {self.diversity}", remedy="0 for the best items, 1 for the most different ones")
        if isinstance(self.exclude, str) or isinstance(self.history, str):
            raise DataError("a text is given where a list of ids is wanted", remedy="put the id into a list")
        if self.times is not None:
            _check_times(self.times, self.history)

    @property
    def when(self) -> np.ndarray | None:
        """The times as float64, NaN where they are not known; None without times."""
        return None if self.times is None else np.array(self.times, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One recommended item.

    Attributes:
        id: the platform's own name for it.
        title: what to show a person.
        score: higher is better; comparable within one list only.
        reason: why, where that was asked for.
    """

    id: str
    title: str
    score: float
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Recommendations:
    """A ranked list, best first.

    Attributes:
        items: the recommendations.
        used: ids of the history that were read, oldest first.
        unknown: ids of the history that the catalog does not hold; they had no influence.
    """

    items: tuple[Recommendation, ...]
    used: tuple[str, ...]
    unknown: tuple[str, ...]

    def __iter__(self) -> Iterator[Recommendation]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def _check_times(times: Sequence[float | None], history: Sequence[str | Item]) -> None:
    if len(times) != len(history):
        raise DataError(
            f"there are {len(times)} times for a history of {len(history)} events", remedy="give one for each, or None"
        )
    when = np.array(times, dtype=np.float64)
    if (np.diff(when[~np.isnan(when)]) < 0).any():
        raise DataError("the times of the history go back", remedy="give the history oldest first")
