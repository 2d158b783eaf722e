"""``transrec compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.recipes.compare import compare as compare_recipe
from transrec.recipes.comparing.going_on import commands
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.showing import next_steps


def compare(
    run: Path,
    /,
    *,
    data: Path,
    out: Path | None = None,
    config: Path | None = None,
    settings: Annotated[CompareSettings, Parameter(name="*", negative_iterable=())] = CompareSettings(),  # noqa: B008
) -> None:
    """Will pre-training elsewhere help here? Simple methods, from scratch, zero-shot and transferred, side by side.

    Everything is trained on the target with the same split, budget and seeds, and chosen on its validation targets; then the
    test split is opened. One table, one figure, one JSON file, and one sentence that says no more than the numbers do. What
    is done is found again; interrupted, the same command goes on. Trained rows take the run's own settings; flags and the
    file of --config go before them.

    Args:
        run: the run that would be transferred.
        data: the dataset folder of the target platform.
        out: a folder for the results; RUN/compare/DATASET when not given.
        config: a YAML file of the settings below.
        settings: which rows, how often, on how much, and how sure.
    """
    next_steps(*commands(compare_recipe(run, data, settings, out)))
