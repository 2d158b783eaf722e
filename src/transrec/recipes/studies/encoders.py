"""Encoders: what is it worth to let encoders learn from the recommendations, and how much of them?"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.folders import require_place
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.studies.one_platform import Question, answered, usual_folder
from transrec.recipes.studies.tables import DOCUMENT
from transrec.recipes.studies.way_settings import EncodersSettings
from transrec.recipes.studies.way_study import WayStudy
from transrec.recipes.studies.ways import encoder_ways, require_content, require_different, try_out


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
    dataset = data if isinstance(data, Dataset) else Dataset.open(data)
    folder = Path(out) if out is not None else usual_folder("encoders", dataset)
    require_place(folder / DOCUMENT)
    require_content(dataset, training)
    ways = encoder_ways(training, settings)
    sizes = try_out(ways, dataset)
    require_different(ways, sizes)
    stages = ("stages before the training are the same in every line",) if training.stages else ()
    question = Question("encoders", "tuning rule", dataset, training, settings, ways, sizes, stages)
    return answered(question, folder, told_to=told_to, progress=console)
