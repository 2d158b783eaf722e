"""Going on from a comparison: which model to take, where its run is, and the commands that use it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transrec.recipes.comparing.report import Comparison
from transrec.recipes.comparing.results import RowResult
from transrec.recipes.comparing.variants import SimpleMethod, ZeroShot
from transrec.recipes.comparing.work import RUN
from transrec.reports.commands import AGAIN, making, quoted
from transrec.runs import RunRecord
from transrec.weights import SETTINGS


def best_model(comparison: Comparison) -> RowResult | None:
    """The row to go on with, of those of which there is a run; None where there is none.

    It is the one that validated best of those that the test does not show to be worse than the best row, or of all where a
    simple method is shown to be better than any. The highest mean on the test would be chosen by chance among equals.
    """
    others: tuple[type, ...] = (SimpleMethod,)
    if comparison.bench.dropping:
        others += (ZeroShot,)  # no run reads the content alone without having been trained on
    models = [row for row in comparison.findings.table if not isinstance(row.row.made, others)]
    leading = [row for row in models if row.label in comparison.findings.verdict.leaders]
    # nothing of zero-shot was chosen, so that it has no validation: it is taken where no trained model is left
    return max(leading or models, key=lambda row: -1.0 if row.validation is None else row.validation, default=None)


def which_to_take(comparison: Comparison) -> str:
    """Which model to take and why, in a line; empty where there is no model."""
    best = best_model(comparison)
    if best is None:
        return ""
    leads = best.label in comparison.findings.verdict.leaders
    among = "of the models that may be the best" if leads else "no model may be the best; of all"
    why = "the one that validated best is" if best.validation is not None else "there is only"
    return f"{among}, {why} {best.finished[0].job}"


def where_it_is(comparison: Comparison) -> str:
    """The same with the folder in which it is."""
    best = best_model(comparison)
    if best is None:
        return ""
    told, place = which_to_take(comparison), _place(best, comparison)
    return f"{told}: the run {place}" if place else f"{told}; its weights were not kept"


def take_json(comparison: Comparison) -> Mapping[str, Any] | None:
    """Which model to take as values that JSON can hold; not where it is on this machine, but in which of the jobs."""
    best = best_model(comparison)
    if best is None:
        return None
    job = None if isinstance(best.row.made, ZeroShot) else best.finished[0].folder.name
    kept = _place(best, comparison) is not None
    return {"row": best.row.name, "told": which_to_take(comparison), "job": job, "weights_kept": kept}


def commands(comparison: Comparison) -> list[str]:
    """What makes sense now: to use the very model that was measured, or to make it again with the settings that it had."""
    best = best_model(comparison)
    if best is None:
        return []
    place, target = _place(best, comparison), comparison.bench.dataset.folder
    if isinstance(best.row.made, ZeroShot):
        data = ("--data", target) if target else ()
        return [f"transrec {quoted('serve', comparison.bench.run, *data)}    # zero-shot, as it was measured"]
    told = []
    if place:
        told.append(f"transrec {quoted('serve', place)}    # {best.finished[0].job}, as it was measured")
    kept = next((own for own in (place, best.finished[0].folder) if own and (own / SETTINGS).exists()), None)
    if kept:
        told.append(f"{making(RunRecord.read(kept), kept / SETTINGS, AGAIN)}    # the same again")
    return told


def _place(row: RowResult, comparison: Comparison) -> Path | None:
    """The run of a row at its first seed; None where its weights were not kept."""
    if isinstance(row.row.made, ZeroShot):
        return comparison.bench.run
    place = row.finished[0].folder / RUN
    return place if place.exists() else None
