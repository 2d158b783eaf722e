"""Check: say what is wrong with tables or a dataset folder, and what to know before training; write nothing."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from transrec.data.folders import require_place
from transrec.data.ingest import doctor
from transrec.data.ingest.doctor import Diagnosis
from transrec.data.ingest.inputs import IngestSettings
from transrec.recipes.ingest import announce, progress


def check(
    settings: IngestSettings, dataset: Path | None = None, *, plots: Path | None = None, console: Console | None = None
) -> Diagnosis:
    """Tell about the tables that settings name, or about a dataset folder; with ``plots``, draw into that folder.

    Raises:
        DataError: the input cannot be read, nothing can be put at ``plots``, or, with ``strict``, there are findings.
    """
    console = console or Console()
    if plots is not None:
        require_place(plots / "lengths.png", flag="--plots")
    if dataset is not None:
        found, findings = doctor.check_dataset(dataset)
    else:
        with progress(console) as shown:
            found, findings = doctor.check(settings, progress=shown, announce=lambda given: announce(given, console))
    console.print(findings.shown() if len(findings) else "Findings: none")
    console.print(overview(found))
    for note in found.notes:
        console.print(f"- {note}", markup=False, highlight=False)
    if plots is not None:
        from transrec.data.ingest.plots import save_plots  # matplotlib takes half a second to start

        for path in save_plots(found, plots):
            console.print(f"plot: {path}", markup=False, highlight=False)
    if settings.strict:
        findings.raise_if_any()
    after = f"transrec train {dataset} --out RUN" if dataset else "transrec ingest with the same inputs and --out DATA"
    console.print(f"\nNext: {after}", markup=False, highlight=False)
    return found


def overview(found: Diagnosis) -> Table:
    """The numbers of a diagnosis as a table."""
    items, events = len(found.contents.ids), len(found.interactions)
    table = Table(title="Overview", title_justify="left", show_header=False)
    rows = {"users": f"{len(found.interactions.users):,}", "items": f"{items:,}", "interactions": f"{events:,}"}
    for own in found.filters:
        rows[f"removed: {own.name}"] = f"{own.removed:,}"
    for name, present in found.contents.presence.items():
        rows[f"items with {name}"] = f"{int(present.sum()):,} ({present.sum() / max(items, 1):.1%})"
    rows["items with the content of an earlier one"] = f"{found.twins:,}"
    if found.lengths:
        spread = found.lengths
        rows["events a user: min / median / mean / max"] = (
            f"{spread.least:g} / {spread.median:g} / {spread.mean:.1f} / {spread.most:g}"
        )
        rows["density (user-item pairs that occur)"] = f"{found.density:.4%}"
        rows["items without an event"] = f"{found.untouched:,} ({found.untouched / items:.1%})"
        rows["popularity: Gini"] = f"{found.gini:.3f}"
        rows["popularity: share of the top 1 % of items"] = f"{found.top_share:.1%}"
        rows["time: first / last"] = " / ".join(found.period)
        rows["time: events tied with another of the user"] = f"{found.ties:,} ({found.ties / events:.1%})"
        if found.disorder is not None:
            rows["time: events below a later one in the files"] = f"{found.disorder:,}"
    for name, value in rows.items():
        table.add_row(name, value)
    return table
