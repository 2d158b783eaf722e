"""A study of one platform: its lines, what is shown of each in a sentence, and everything as values that JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from transrec._version import __version__
from transrec.data.dataset import Dataset
from transrec.data.splits import Split
from transrec.evaluation.contrasts import Contrast
from transrec.recipes.comparing.report import without_nan
from transrec.recipes.comparing.sentence import measured_gain
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.studies.study import FORMAT, by_what_is_shown, listed
from transrec.recipes.studies.way_lines import WayLine
from transrec.recipes.studies.way_settings import WaysSettings


@dataclass(frozen=True, slots=True, eq=False)
class WayStudy:
    """A study of one platform that is done.

    Attributes:
        name: which one.
        title: of the figure.
        column: what the lines differ in.
        lines: the first is what the others are held against.
        besides: pairs of lines that are held against each other, too; their p-values are corrected for these alone.
        dataset: the platform.
        split: of its events.
        training: the file's settings.
        settings: of the study.
        notes: what has to be known with the table, of this study alone.
        left_out: lines that cannot be had, each with the reason.
        opened: when the test split has been opened.
    """

    name: Literal["encoders", "identity"]
    title: str
    column: str
    lines: tuple[WayLine, ...]
    besides: tuple[Contrast, ...]
    dataset: Dataset
    split: Split
    training: TrainSettings
    settings: WaysSettings
    notes: tuple[str, ...]
    left_out: Mapping[str, str]
    opened: tuple[str, ...]

    @property
    def metric(self) -> str:
        """What the lines are held against each other by."""
        return self.settings.metric

    @property
    def also(self) -> str | None:
        """The hit rate at the same cutoff, which stands beside the metric; None where there is none, or it is the metric."""
        name = f"HR@{self.metric.partition('@')[2]}"
        return name if name != self.metric and name in self.lines[0].metrics else None

    @property
    def first(self) -> WayLine:
        """What the others are held against."""
        return self.lines[0]

    @property
    def sentences(self) -> Sequence[str]:
        """For each line, and then for each pair besides, what is shown."""
        told = [f"{self.first.label} is what the others are held against ({self.metric} {self.first.metrics[self.metric]})."]
        told += [self._told(line.against) for line in self.lines if line.against]
        return [*told, *(self._told(pair) for pair in self.besides)]

    def _told(self, found: Contrast) -> str:
        numbers = f"({self.metric} {measured_gain(found)})"
        match found.shown(self.settings.alpha):
            case "above":
                return f"{found.first} is better than {found.second} {numbers}."
            case "below":
                return f"{found.first} is worse than {found.second} {numbers}."
        return f"No difference shown between {found.first} and {found.second} {numbers}."

    @property
    def headline(self) -> str:
        """Which lines are shown to differ from the first, and how."""
        found = [(line.label, line.against) for line in self.lines if line.against]
        shown = by_what_is_shown(found, self.settings.alpha)
        words = {"above": "better", "below": "worse", "undecided": "no difference shown"}
        told = [f"{words[what]}: {listed(labels)}" for what, labels in shown.items()]
        return f"Against {self.first.label}, {'; '.join(told)}."

    @property
    def measured(self) -> Sequence[str]:
        """The choices without which the numbers mean nothing, and the notes of this study."""
        training, settings = self.training.training, self.settings
        steps = f" or {training.max_steps:,} steps" if training.max_steps else ""
        rates = f", the best on validation of the learning rates x {listed([f'{rate:g}' for rate in settings.rates])}"
        return [
            f"{len(self.split.test):,} test targets, ranked among all {len(self.dataset.catalog):,} items of the catalog; "
            "masked: the user's history, never the target",
            f"split: {self.split.description}",
            f"budget of every line: at most {training.epochs:,} epochs{steps}, {training.patience} validations without a "
            f"better {training.metric}{rates if len(settings.rates) > 1 else ''}",
            f"seeds {', '.join(map(str, settings.seeds))}; {settings.evaluation.confidence:.0%} intervals over users, of "
            "the mean over seeds: they speak of other users, not of other trainings",
            *self.notes,
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything, as values that JSON can hold; numbers that are not known are null."""
        document = {
            "format": FORMAT,
            "version": __version__,
            "study": self.name,
            "title": self.title,
            "headline": self.headline,
            "metric": self.metric,
            "alpha": self.settings.alpha,
            "dataset": {"name": self.dataset.name, "fingerprint": self.dataset.fingerprint},
            "targets": len(self.split.test),
            "measured": list(self.measured),
            "left_out": dict(self.left_out),
            "lines": [_line(line, said) for line, said in zip(self.lines, self.sentences, strict=False)],
            "besides": [asdict(pair) for pair in self.besides],
            "settings": self.settings.model_dump(mode="json"),
            "trained_with": self.training.model_dump(mode="json"),
            "test_opened": list(self.opened),
        }
        cleaned: dict[str, Any] = without_nan(document)
        return cleaned


def _line(line: WayLine, sentence: str) -> dict[str, Any]:
    way = line.ranked.way
    return {
        "line": way.name,
        "label": line.label,
        **way.facts,
        "sentence": sentence,
        "rate": line.ranked.rate,
        "validation": {f"{rate:g}": value for rate, value in line.ranked.validation.items()},
        "metrics": {name: asdict(value) for name, value in line.metrics.items()},
        "by_seed": {name: list(values) for name, values in line.by_seed.items()},
        "spread_over_seeds": {name: line.spread(name) for name in line.metrics},
        "against_the_first": asdict(line.against) if line.against else None,
        "slices": [asdict(part) for part in line.slices],
        "learning": line.size.learning,
        "parameters": line.size.parameters,
        "seconds": line.seconds,
        "memory_bytes": line.memory,
        "trainings": [
            {
                "folder": own.run.parent.name,
                "seed": own.seed,
                "rate": own.rate,
                "counted": own in line.ranked.chosen,
                "fit": asdict(own.trained.fit),
                "cost": asdict(own.trained.cost),
                "resumed": own.trained.resumed,
            }
            for own in line.ranked.tried
        ],
    }
