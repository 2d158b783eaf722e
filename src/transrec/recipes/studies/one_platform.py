"""Studies of one platform: the same events, split, budget and seeds for every way, everything chosen on validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.folders import require_place
from transrec.data.splits import split_of
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.studies.study import folder_name
from transrec.recipes.studies.tables import DOCUMENT
from transrec.recipes.studies.way_lines import WayGround
from transrec.recipes.studies.way_settings import WaysSettings
from transrec.recipes.studies.way_study import WayStudy
from transrec.recipes.studies.way_tables import keep, tell
from transrec.recipes.studies.way_work import WayWork
from transrec.recipes.studies.ways import Size, Way, require_content


@dataclass(frozen=True, eq=False)
class Question:
    """What a study of one platform asks.

    Attributes:
        name: of the study.
        column: what the lines differ in.
        dataset: the platform.
        training: the file's settings.
        settings: of the study.
        ways: of each line; the first is what the others are held against.
        sizes: by the name of the way, how large its model is.
        notes: what has to be known with the table.
        left_out: lines that cannot be had, each with the reason.
        pairs: labels of lines that are held against each other besides.
    """

    name: Literal["encoders", "identity"]
    column: str
    dataset: Dataset
    training: TrainSettings
    settings: WaysSettings
    ways: tuple[Way, ...]
    sizes: Mapping[str, Size]
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    pairs: tuple[tuple[str, str], ...] = ()


def opened(name: str, data: str | Path | Dataset, training: TrainSettings, out: str | Path | None) -> tuple[Dataset, Path]:
    """The platform of a study, which has what it takes, and the folder that the study is kept in.

    Args:
        name: of the study.
        data: a dataset folder, or a dataset in memory.
        training: the file's settings.
        out: the folder; ``study-<dataset>/NAME`` when None.

    Raises:
        DataError: nothing can be written there, there is nothing to learn, choose or measure by, or no content to read.
    """
    dataset = data if isinstance(data, Dataset) else Dataset.open(data)
    folder = Path(out) if out is not None else Path(f"study-{folder_name(dataset.name)}") / name
    require_place(folder / DOCUMENT)
    require_content(dataset, training)
    return dataset, folder


def answered(question: Question, folder: Path, *, told_to: Console, progress: Console | None) -> WayStudy:
    """Train, choose, open the test, and keep and tell what is found.

    Args:
        question: which ways, of which platform.
        folder: for the table, the figure and the runs.
        told_to: where the table goes.
        progress: where tables and progress of trainings go; standard error when None.

    Raises:
        TransRecError: a training cannot be done.
    """
    dataset, training, settings = question.dataset, question.training, question.settings
    split = split_of(dataset.interactions, training.split)
    ranked, times = WayWork(dataset, split, settings, folder, told_to, progress).all_done(question.ways)
    ground = WayGround(dataset, split, settings)
    lines = ground.lines(ranked, question.sizes)
    measured = {line.label: line.measured for line in lines}
    pairs = [pair for pair in question.pairs if set(pair) <= set(measured)]
    study = WayStudy(
        name=question.name,
        title=f"{dataset.name}, by {question.column}",
        column=question.column,
        lines=lines,
        besides=tuple(ground.against([(measured[first], measured[second]) for first, second in pairs])),
        dataset=dataset,
        split=split,
        training=training,
        settings=settings,
        notes=question.notes,
        left_out=question.left_out,
        opened=tuple(times),
    )
    keep(study, folder)
    tell(study, folder, told_to)
    return study
