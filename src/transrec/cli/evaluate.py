"""``transrec evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.evaluation.protocol import EvaluationSettings
from transrec.recipes.evaluate import evaluate as evaluate_recipe


def evaluate(
    run: Path,
    /,
    *,
    data: Path | None = None,
    baselines: bool = True,
    device: str = "auto",
    settings: Annotated[EvaluationSettings, Parameter(name="*")] = EvaluationSettings(),  # noqa: B008
) -> None:
    """Open the test split: rank the whole catalog, beside simple baselines, with intervals.

    With ``--data`` the run is measured on another platform as it is, without training there: zero-shot.

    Args:
        run: the run folder.
        data: another dataset folder; the run's own when not given.
        baselines: popularity, a Markov chain and EASE (or item-kNN on large catalogs), tuned on validation.
        device: auto, cpu, cuda or mps.
        settings: cutoffs and intervals.
    """
    evaluate_recipe(run, data, settings, baselines=baselines, device=device)
