"""``transrec evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.evaluation.baselines.tuning import BaselineName
from transrec.evaluation.lists import ListMeasureSettings
from transrec.evaluation.probing import ProbeSettings
from transrec.evaluation.protocol import EvaluationSettings
from transrec.recipes.evaluate import BASELINES
from transrec.recipes.evaluate import evaluate as evaluate_recipe
from transrec.recipes.showing import next_steps


def evaluate(
    run: Path,
    /,
    *,
    data: Path | None = None,
    baselines: Annotated[tuple[BaselineName, ...], Parameter(consume_multiple=True, negative="--no-baselines")] = BASELINES,
    lists: ListMeasureSettings = ListMeasureSettings(),  # noqa: B008
    probe: ProbeSettings = ProbeSettings(),  # noqa: B008
    device: str = "auto",
    settings: Annotated[EvaluationSettings, Parameter(name="*")] = EvaluationSettings(),  # noqa: B008
) -> None:
    """Open the test split: rank the whole catalog, beside simple baselines, with intervals.

    With ``--data`` the run is measured on another platform as it is, without training there: zero-shot.

    Args:
        run: the run folder.
        data: another dataset folder; the run's own when not given.
        baselines: simple methods, tuned on validation; ease becomes knn on large catalogs, ials takes a minute or more,
            similarity is that of the content as the published encoders see it.
        lists: what lists are like as wholes: spread, and how much of a user they serve.
        probe: what else user vectors tell: a linear map from few labels.
        device: auto, cpu, cuda or mps.
        settings: cutoffs and intervals.
    """
    evaluate_recipe(run, data, settings, baselines=baselines, lists=lists, probed_by=probe, device=device)
    next_steps(f"transrec report {run}")
