"""Lines of a study of widths: what a run is at one of them, and how that is measured.

Axes: E targets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import numpy as np

from transrec._version import __version__
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.splits import Split, Targets
from transrec.evaluation.intervals import Interval, bootstrap, paired_difference
from transrec.evaluation.metrics import metric_columns
from transrec.evaluation.protocol import Part
from transrec.evaluation.ranks import ModelRanker, rank_targets
from transrec.model import TransRec
from transrec.recipes.showing import progress_bar
from transrec.recipes.studies.settings import WidthsSettings
from transrec.retrieval.index import encode_histories

How = Literal["whole", "slice", "index"]
"""The run as it is; a smaller model out of it; or the first numbers alone compared, users being read as before."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class WidthLine:
    """One width.

    Attributes:
        width: how many numbers a vector has, or of how many the first are compared.
        how: whether it is the run itself, a slice, or a cut of the index alone.
        value: the metric.
        gain: by how much it exceeds that of the whole on the same targets; None for the whole.
        index_bytes: what is searched: the compared numbers of all items, in float32.
        parameters: of the model without encoders of content, whose size does not depend on the width.
        reading: milliseconds in which the user tower reads one history, the median.
        searching: milliseconds in which the best ten are found for one user, the median.
    """

    width: int
    how: How
    value: Interval
    gain: Interval | None
    index_bytes: int
    parameters: int
    reading: float
    searching: float


@final
@dataclass(frozen=True, slots=True, eq=False)
class WidthStudy:
    """A study of widths that is done.

    Attributes:
        title: of the figure.
        metric: what is shown.
        part: the targets.
        targets: how many.
        lines: from the smallest to the whole.
        settings: how it was measured.
    """

    title: str
    metric: str
    part: Part
    targets: int
    lines: tuple[WidthLine, ...]
    settings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Everything, as values that JSON can hold."""
        return {"format": 1, "version": __version__, "study": "widths", **asdict(self)}


@final
class WidthGround:
    """What every width is measured on.

    Args:
        dataset: whose items are ranked.
        split: of its events.
        place: which of the platforms that the run has learned from it is, None: none of them.
        settings: the targets, the metric, and how sure one wants to be.
    """

    def __init__(self, dataset: Dataset, split: Split, place: int | None, settings: WidthsSettings) -> None:
        self.dataset, self.split, self.place, self.settings = dataset, split, place, settings
        self.targets: Targets = getattr(split, settings.part)

    def line(self, how: How, model: TransRec, whole_E: np.ndarray | None) -> tuple[WidthLine, np.ndarray]:
        """What a model is at its width, and the metric of each target, (E,).

        Args:
            how: it came to be.
            model: as it would be used.
            whole_E: the metric of each target under the whole; None for the whole itself.

        Raises:
            EvaluationError: there are no targets.
        """
        with progress_bar() as progress:
            ranker = ModelRanker.of(model, self.dataset, self.split, place=self.place, progress=progress)
        ranks_E = rank_targets(ranker, self.split, self.targets).ranks
        values_E = metric_columns(ranks_E, self.settings.evaluation.cutoffs)[self.settings.metric]
        width = model.scorer.reads or model.items.width
        content = tuple(f"items.encoders.{name}." for name in model.items.encoders if name != "identity")
        own = sum(p.numel() for name, p in model.named_parameters() if not name.startswith(content))
        reading, searching = self._times(ranker)
        value, gain = self._intervals(values_E, whole_E)
        size = 4 * width * len(self.dataset.catalog)
        return WidthLine(width, how, value, gain, size, own, reading, searching), values_E

    def _intervals(self, values_E: np.ndarray, whole_E: np.ndarray | None) -> tuple[Interval, Interval | None]:
        """The mean, and by how much it differs from that of the whole, each with its interval over users."""
        asked, users_E = self.settings.evaluation, self.targets.users
        one, other = (np.random.default_rng(asked.seed) for _ in range(2))
        sure = {"resamples": asked.resamples}
        [value] = bootstrap(values_E[:, None], users_E, one, confidence=asked.confidence, **sure)
        if whole_E is None:
            return value, None
        return value, paired_difference(values_E, whole_E, users_E, other, confidence=asked.confidence, **sure).gain

    def _times(self, ranker: ModelRanker) -> tuple[float, float]:
        """Milliseconds of reading a history and of finding the best ten: medians over some users, one of whom warms up."""
        some = Targets(self.targets.users[: self.settings.timed], self.targets.positions[: self.settings.timed])
        histories = Histories.before(self.split.interactions, some, times=ranker.reads_times)
        reading, searching = [], []
        for user in (0, *range(len(some))):
            own = histories.block(user, user + 1)
            start = time.perf_counter()
            query = encode_histories(ranker.model, ranker.index, own)
            read = time.perf_counter()
            ranker.index.search(query, 10, own)
            reading.append(read - start)
            searching.append(time.perf_counter() - read)
        return 1000 * float(np.median(reading[1:])), 1000 * float(np.median(searching[1:]))
