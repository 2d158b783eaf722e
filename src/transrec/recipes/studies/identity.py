"""Identity: what do item ids bring that content does not, and the other way round, with and without counts?"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.studies.one_platform import Question, answered, opened
from transrec.recipes.studies.way_settings import CONTENT, IDS, WITHOUT, IdentityStudySettings
from transrec.recipes.studies.way_study import WayStudy
from transrec.recipes.studies.ways import LABELS, identity_ways, label_of, try_out

PAIRS = tuple(
    (label_of(first), label_of(second)) for first, second in ((IDS, IDS + WITHOUT), (IDS + WITHOUT, CONTENT + WITHOUT))
)
"""What counts bring to ids, and how ids compare with content where neither has counts."""


def study_identity(
    data: str | Path | Dataset,
    training: TrainSettings,
    settings: IdentityStudySettings | None = None,
    out: str | Path | None = None,
    *,
    console: Console | None = None,
) -> WayStudy:
    """Train one platform from scratch on content, on item ids, and on both, and hold them against content.

    Learning rates are chosen on validation; then the test is opened, once, and that is written down. What is done is found
    again, what is interrupted goes on.

    Args:
        data: a dataset folder, or a dataset in memory.
        training: the model and how it learns, with or without ids, which each line reads or not.
        settings: which lines, seeds and rates, and how sure one wants to be.
        out: a folder for table, figure and runs; ``study-<dataset>/identity`` when None.
        console: where everything goes; when None the table goes to standard output and training to standard error.

    Returns:
        everything that was found.

    Raises:
        DataError: nothing can be written there, there is nothing to learn, choose or measure by, or no content to read.
        ModelError: a rule or an objective does not fit a model; then nothing has been trained.
        SettingsError: a line without counts is named, and there are none; likewise.
    """
    told_to, settings = console or Console(highlight=False), settings or IdentityStudySettings()
    dataset, folder = opened("identity", data, training, out)
    ways, left_out = identity_ways(training, dataset.catalog, settings)
    sizes = try_out(ways, dataset)
    counts = "counts (the prior) as in the file" if training.model.prior != "none" else "no line has counts, as in the file"
    notes = (f"{LABELS[IDS]}: a table of a learned vector for each item, in which everything learns; {counts}",)
    question = Question("identity", "what is read", dataset, training, settings, ways, sizes, notes, left_out, PAIRS)
    return answered(question, folder, told_to=told_to, progress=console)
