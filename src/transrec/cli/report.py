"""``transrec report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.recipes.report import report as report_recipe
from transrec.recipes.reporting.settings import ReportSettings


def report(
    runs: list[Path],
    /,
    *,
    out: Path | None = None,
    data: Path | None = None,
    device: str = "auto",
    settings: Annotated[ReportSettings, Parameter(name="*")] = ReportSettings(),  # noqa: B008
) -> None:
    """Write one HTML file that shows a run, or several side by side; it needs no network to be read.

    It shows the data, the training, what `transrec evaluate` and `transrec compare` have found, a map of the items, and
    some users with what they were recommended. What is missing is said, with the command that makes it. The test split
    stays sealed.

    Args:
        runs: run folders.
        out: the HTML file; report.html in the first run's folder when not given.
        data: another dataset folder than the one that the runs record, or the same where it is now.
        device: auto, cpu, cuda or mps.
        settings: what is shown.
    """
    report_recipe(runs, settings, out, data=data, device=device)
