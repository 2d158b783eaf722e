"""Compare: will pre-training elsewhere help here? Every way to a model for a target, side by side, and one sentence."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from transrec.data.dataset import Dataset
from transrec.data.folders import require_place
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.doing import all_done
from transrec.recipes.comparing.findings import found_by
from transrec.recipes.comparing.going_on import where_it_is
from transrec.recipes.comparing.jobs import jobs_of
from transrec.recipes.comparing.keeping import DOCUMENT, FIGURE, keep
from transrec.recipes.comparing.overlaps import check_sources, told
from transrec.recipes.comparing.report import Comparison, how_measured, result_table, told_of_ids
from transrec.recipes.comparing.rows import possible_rows
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.comparing.shares import share_table
from transrec.recipes.comparing.trying import try_out
from transrec.recipes.comparing.work import Workshop
from transrec.recipes.opening import kept_document, note_that_the_test_is_opened

JOBS = "jobs"


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
        RunError: the folder is not a run, it has learned from the target itself, no row can be had, or the document of an
            earlier comparison is damaged.
        ModelError: a tuning rule or a rule of origin does not fit the model; then nothing has been trained.
        SettingsError: a rule of origin matches nothing; likewise.
        DataError: nothing can be written there.
        EvaluationError: no test target is left.
    """
    told_to, settings = console or Console(highlight=False), settings or CompareSettings()
    dataset = data if isinstance(data, Dataset) else Dataset.open(data)
    folder = Path(out) if out is not None else Path(run) / "compare" / re.sub(r"[^\w.-]+", "-", dataset.name)
    require_place(folder / DOCUMENT)
    kept_document(folder / DOCUMENT)  # a damaged one is said to be before hours of training
    bench = Bench.open(Path(run), dataset, settings)
    rows, left_out = possible_rows(settings, bench)
    opening = functools.cache(functools.partial(note_that_the_test_is_opened, folder / DOCUMENT))  # once a comparison
    workshop = Workshop(bench, settings, Path(jobs) if jobs is not None else folder / JOBS, opening)
    all_jobs = jobs_of(rows, settings, bench)
    try_out(all_jobs, workshop)
    told_to.print("[bold]Does the target repeat what the run has learned from?[/bold]")
    checks = check_sources(bench, settings.overlap)
    for line in [line for checked in checks for line in told(checked)]:
        told_to.print(f"- {line}", markup=False, soft_wrap=True)
    finished, lacking = all_done(workshop, all_jobs, told_to)
    left_out = {**left_out, **lacking}
    found = found_by(finished, rows, checks, settings, bench)
    comparison = Comparison(bench, settings, tuple(checks), found, left_out)
    earlier = keep(comparison, folder)
    _tell(comparison, told_to)
    _tell_where(folder, workshop.out, earlier, told_to)
    return comparison


def _tell(comparison: Comparison, console: Console) -> None:
    console.print(f"\n[bold]{escape(comparison.bench.dataset.name)}[/bold]")
    for line in how_measured(comparison):
        console.print(line, markup=False, soft_wrap=True)
    console.print(result_table(comparison))
    if ids := told_of_ids(comparison):
        console.print(f"\n{ids}", markup=False, soft_wrap=True)
    if few := share_table(comparison.findings, comparison.settings):
        console.print()
        console.print(few)
    for name, reason in comparison.left_out.items():
        console.print(f"left out: {name}: {reason}", markup=False, soft_wrap=True)
    console.print(f"\n{comparison.sentence}", markup=False, soft_wrap=True, style="bold")
    if place := where_it_is(comparison):
        console.print(f"\n{place}", markup=False, soft_wrap=True)


def _tell_where(folder: Path, jobs: Path, earlier: Path | None, console: Console) -> None:
    console.print(
        f"\nkept in {folder}: {DOCUMENT}, {FIGURE}; in {jobs}: a folder for each model; the test split has been opened",
        markup=False,
        soft_wrap=True,
    )
    if earlier:
        console.print(
            f"another comparison had been kept there, with other settings: it is in {earlier} now",
            markup=False,
            soft_wrap=True,
        )
