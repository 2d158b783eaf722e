"""Encoders: what is it worth to let encoders learn from the recommendations, and how much of them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.errors import ModelError, SettingsError
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.studies.one_platform import Question, answered, opened
from transrec.recipes.studies.way_settings import EncodersSettings
from transrec.recipes.studies.way_study import WayStudy
from transrec.recipes.studies.ways import (
    Size,
    Way,
    encoder_ways,
    require_different,
    try_out,
)


def study_encoders(
    data: str | Path | Dataset,
    training: TrainSettings,
    settings: EncodersSettings | None = None,
    out: str | Path | None = None,
    *,
    console: Console | None = None,
) -> WayStudy:
    """Train one platform from scratch once with each tuning rule and seed, and hold the rules against the first.

    Learning rates are chosen on validation; then the test is opened, once, and that is written down. What is done is found
    again, what is interrupted goes on.

    Args:
        data: a dataset folder, or a dataset in memory.
        training: the model and how it learns; its own tuning rule is not used.
        settings: which rules, seeds and rates, and how sure one wants to be.
        out: a folder for table, figure and runs; ``study-<dataset>/encoders`` when None.
        console: where everything goes; when None the table goes to standard output and training to standard error.

    Returns:
        everything that was found.

    Raises:
        DataError: nothing can be written there, there is nothing to learn, choose or measure by, or no content to read.
        ModelError: a rule does not fit the encoders; then nothing has been trained.
        SettingsError: two rules let the same parameters learn; likewise.
    """
    told_to, settings = console or Console(highlight=False), settings or EncodersSettings()
    dataset, folder = opened("encoders", data, training, out)
    ways, sizes, left_out = _possible(encoder_ways(training, settings), dataset, named="tunes" in settings.model_fields_set)
    stages = ("stages before the training are the same in every line",) if training.stages else ()
    question = Question("encoders", "tuning rule", dataset, training, settings, ways, sizes, stages, left_out)
    return answered(question, folder, told_to=told_to, progress=console)


def _possible(
    ways: Sequence[Way], dataset: Dataset, *, named: bool
) -> tuple[tuple[Way, ...], Mapping[str, Size], Mapping[str, str]]:
    """The ways with their sizes; of those that nobody has named some may be left out, each with the reason.

    Raises:
        ModelError: a rule that was named does not fit, or with it fewer than two are left.
        SettingsError: likewise where it lets the same parameters learn as another.
    """
    sizes: dict[str, Size] = {}
    left_out: dict[str, str] = {}
    for way in ways:
        try:
            own = try_out([way], dataset)
            require_different(way, own[way.name], sizes)
        except (ModelError, SettingsError) as error:
            if named or way is ways[0] or (way is ways[-1] and len(sizes) < 2):
                raise
            left_out[way.name] = error.what
        else:
            sizes |= own
    return tuple(way for way in ways if way.name in sizes), sizes, left_out
