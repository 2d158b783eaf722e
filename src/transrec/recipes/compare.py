"""Compare: will pre-training elsewhere help here? Every way to a model for a target, side by side, and one sentence."""

from __future__ import annotations

import functools
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from transrec.data.dataset import Dataset
from transrec.data.folders import require_place
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.doing import all_done
from transrec.recipes.comparing.figure import save_figure
from transrec.recipes.comparing.findings import found_by
from transrec.recipes.comparing.going_on import where_it_is
from transrec.recipes.comparing.jobs import jobs_of
from transrec.recipes.comparing.overlaps import check_sources, told
from transrec.recipes.comparing.report import Comparison, how_measured, result_table
from transrec.recipes.comparing.rows import possible_rows
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.comparing.shares import share_table
from transrec.recipes.comparing.trying import try_out
from transrec.recipes.comparing.work import Workshop

DOCUMENT, FIGURE, JOBS = "compare.json", "compare.png", "jobs"


def compare(
    run: str | Path,
    data: str | Path | Dataset,
    settings: CompareSettings | None = None,
    out: str | Path | None = None,
    *,
    jobs: str | Path | None = None,
    console: Console | None = None,
) -> Comparison:
    """Train and rank every row on the target's test events, and say what the numbers show.

    Like ``transrec evaluate`` it opens the test split, and writes down that it did; everything that is chosen is chosen on
    validation targets. What is done is found again by the next call, and what is interrupted goes on.

    Args:
        run: the run that would be transferred.
        data: the target: a dataset folder, or a dataset in memory.
        settings: which rows, seeds and shares of the users, and how sure one wants to be.
        out: a folder for ``compare.json``, ``compare.png`` and the trained models; ``RUN/compare/<dataset>`` when None.
        jobs: where the trained models are instead, for comparisons that have some in common; ``jobs`` in ``out`` when None.
        console: where tables go; standard output when None.

    Returns:
        everything that was found.

    Raises:
        RunError: the folder is not a run, it has learned from the target itself, or no row can be had.
        ModelError: a tuning rule or a rule of origin does not fit the model; then nothing has been trained.
        SettingsError: a rule of origin matches nothing; likewise.
        DataError: nothing can be written there.
        EvaluationError: no test target is left.
    """
    told_to, settings = console or Console(highlight=False), settings or CompareSettings()
    dataset = data if isinstance(data, Dataset) else Dataset.open(data)
    folder = Path(out) if out is not None else Path(run) / "compare" / re.sub(r"[^\w.-]+", "-", dataset.name)
    require_place(folder / DOCUMENT)
    bench = Bench.open(Path(run), dataset, settings)
    rows, left_out = possible_rows(settings, bench)
    told_to.print("[bold]Does the target repeat what the run has learned from?[/bold]")
    checks = check_sources(bench, settings.overlap)
    for line in [line for checked in checks for line in told(checked)]:
        told_to.print(f"- {line}", markup=False, soft_wrap=True)
    opening = functools.cache(functools.partial(_note_that_the_test_is_opened, folder))  # once a comparison
    workshop = Workshop(bench, settings, Path(jobs) if jobs is not None else folder / JOBS, opening)
    all_jobs = jobs_of(rows, settings, bench)
    try_out(all_jobs, workshop)
    finished, lacking = all_done(workshop, all_jobs, told_to)
    left_out = {**left_out, **lacking}
    found = found_by(finished, rows, checks, settings, bench)
    comparison = Comparison(bench, settings, tuple(checks), found, left_out)
    _keep(comparison, folder)
    _tell(comparison, folder, workshop.out, told_to)
    return comparison


def _note_that_the_test_is_opened(folder: Path) -> None:
    """Write it down beforehand, so that it stands there also where the comparison does not come to its end."""
    path = folder / DOCUMENT
    document: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"unfinished": True, "test_opened": []}
    document["test_opened"].append(datetime.now(UTC).isoformat(timespec="seconds"))
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _keep(comparison: Comparison, folder: Path) -> None:
    """Write the numbers and the figure; the notes of when the test was opened stay."""
    path = folder / DOCUMENT
    document = {**comparison.to_json(), "test_opened": json.loads(path.read_text())["test_opened"]}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    save_figure(comparison, folder / FIGURE)


def _tell(comparison: Comparison, folder: Path, jobs: Path, console: Console) -> None:
    console.print(f"\n[bold]{escape(comparison.bench.dataset.name)}[/bold]")
    for line in how_measured(comparison):
        console.print(line, markup=False, soft_wrap=True)
    console.print(result_table(comparison))
    if few := share_table(comparison.findings, comparison.settings):
        console.print(few)
    for name, reason in comparison.left_out.items():
        console.print(f"left out: {name}: {reason}", markup=False, soft_wrap=True)
    console.print(f"\n{comparison.sentence}", markup=False, soft_wrap=True, style="bold")
    if place := where_it_is(comparison):
        console.print(f"\n{place}", markup=False, soft_wrap=True)
    console.print(
        f"\nkept in {folder}: {DOCUMENT}, {FIGURE}; in {jobs}: a folder for each model; the test split has been opened",
        markup=False,
        soft_wrap=True,
    )
