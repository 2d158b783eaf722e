"""Report: one HTML file that shows a run, or several side by side, and needs no network to be read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from transrec.data.folders import require_place
from transrec.errors import DataError
from transrec.recipes.reporting.chapters import chapter_of
from transrec.recipes.reporting.gains import gains_between
from transrec.recipes.reporting.settings import ReportSettings
from transrec.recipes.showing import progress_bar
from transrec.reports.environment import environment
from transrec.reports.files import RunFiles
from transrec.reports.page import Contents, Page
from transrec.reports.side import SideBySide

FILE = "report.html"


def report(
    runs: Sequence[str | Path],
    settings: ReportSettings | None = None,
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    device: str = "auto",
    console: Console | None = None,
) -> Path:
    """Write a report; what is missing is said in it, with the command that makes it.

    The test split stays sealed: numbers on it are those that ``transrec evaluate`` and ``transrec compare`` have written
    down, and users are shown with their test target only where ``evaluate`` has opened it already.

    Args:
        runs: run folders, at least one.
        settings: what is shown.
        out: the HTML file; ``report.html`` in the first run's folder when None.
        data: another dataset than those that the runs record.
        device: auto, cpu, cuda or mps.
        console: where it is said what was written; standard output when None.

    Returns:
        the file.

    Raises:
        MissingExtraError: jinja2 is not installed.
        RunError: a folder is not a run.
        DataError: there is no column to colour by of the name that was asked for, or nothing can be put at ``out``.
    """
    page, settings = Page(), settings or ReportSettings()
    found = [RunFiles.read(run) for run in runs]
    path = Path(out) if out is not None else found[0].folder / FILE
    require_place(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder", remedy="name the HTML file with --out")
    with progress_bar() as progress:
        chapters = [
            chapter_of(run, settings, slug=f"run{place}", data=data, device=device, progress=progress)
            for place, run in enumerate(found, start=1)
        ]
    side = SideBySide.of(found, gains_between(found, seed=settings.seed)) if len(found) > 1 else None
    title = " · ".join(run.name for run in found)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page.written(Contents(title, made, chapters, side, environment())), encoding="utf-8")
    told = console or Console(highlight=False)
    told.print(f"{path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser", markup=False, soft_wrap=True)
    return path
