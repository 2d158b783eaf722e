"""Fractions: how much of what a run has learned should go into weights that otherwise start fresh?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.folders import require_place
from transrec.recipes.compare import compare
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.cells import short
from transrec.recipes.comparing.report import Comparison
from transrec.recipes.comparing.variants import TRANSFERRED
from transrec.recipes.fitting import TransferSettings
from transrec.recipes.studies.settings import FractionsSettings
from transrec.recipes.studies.study import COPIED, Line, Study, folder_name
from transrec.recipes.studies.tables import DOCUMENT, keep, tell
from transrec.recipes.transfer import moved


def study_fractions(
    run: str | Path,
    data: str | Path | Dataset,
    settings: FractionsSettings | None = None,
    out: str | Path | None = None,
    *,
    console: Console | None = None,
) -> Study:
    """Compare transfers that differ in how much of the source's weights goes into some parts.

    From scratch and zero-shot are the same in every line and are made once. What is done is found again, what is interrupted
    goes on.

    Args:
        run: the run that would be transferred.
        data: the target: a dataset folder, or a dataset in memory.
        settings: which shares of which parts, which rows and seeds, and how sure one wants to be.
        out: a folder for the table, the figure and the comparisons; ``RUN/study/<dataset>/fractions`` when None.
        console: where tables go; standard output when None.

    Returns:
        everything that was found.

    Raises:
        RunError: the folder is not a run, or it has learned from the target.
        SettingsError: the parts match no weight.
        ModelError: a part is among them of which no fraction can be taken.
        DataError: nothing can be written there.
        EvaluationError: no test target is left.
    """
    told_to, settings = console or Console(highlight=False), settings or FractionsSettings()
    dataset = data if isinstance(data, Dataset) else Dataset.open(data)
    folder = Path(out) if out is not None else Path(run) / "study" / folder_name(dataset.name) / "fractions"
    require_place(folder / DOCUMENT)
    bench = Bench.open(Path(run), dataset, settings.of_compare())
    rules = {COPIED: [], **{f"{omega:g}": settings.rules_of(omega) for omega in settings.omegas}}
    for own in rules.values():
        _require_possible(own, bench)
    lines = []
    for label, own in rules.items():
        told_to.rule(" ".join(own) or "every part copied, as without a rule")
        place = f"compare/{label}"
        asked = settings.of_compare(rules=own)
        comparison = compare(run, dataset, asked, folder / place, jobs=folder / "jobs", console=told_to)
        validation = _validation(comparison)
        facts = {"rules": own, "validation": validation}
        lines.append(Line(label, short(validation), comparison, place, facts=facts))
    study = Study(
        name="fractions",
        title=f"{bench.run.resolve().name} on {dataset.name}, by the share of {', '.join(settings.parts)} that is kept",
        column="omega (valid.)",
        lines=tuple(lines),
        metric=settings.metric,
        alpha=settings.alpha,
        notes=_notes(settings, lines),
        left_out={},
    )
    keep(study, folder)
    tell(study, folder, told_to)
    return study


def _require_possible(rules: Sequence[str], bench: Bench) -> None:
    """Try the rules before hours of training."""
    moved(bench.model, bench.dataset.catalog, TransferSettings(rules=tuple(rules)))


def _validation(comparison: Comparison) -> float:
    """What the transferred row that validates best has there."""
    table = comparison.findings.table
    return max(row.validation or 0.0 for row in table if row.row.name.startswith(TRANSFERRED))


def _notes(settings: FractionsSettings, lines: Sequence[Line]) -> tuple[str, ...]:
    best = max(lines, key=lambda line: line.facts["validation"])
    mixture = "(1 - omega) fresh + omega source" if settings.mode == "convex" else "fresh + omega source"
    chosen = "copied whole" if best.label == COPIED else f"omega = {best.label}"
    return (
        f"weights of {', '.join(settings.parts)} start as {mixture}; biases and norms are copied in every line",
        f"validation (valid.) chooses {chosen}; to choose by the other columns would be to choose by the test events",
        "from scratch and zero-shot are the same in every line",
    )
