"""Which rows can be had of this run on this target, and why others cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from transrec.errors import RunError
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.comparing.variants import (
    ROWS,
    SCRATCH,
    FromScratch,
    Row,
    SimpleMethod,
    Transferred,
    TransferredWithIds,
    ZeroShot,
)


def possible_rows(settings: CompareSettings, bench: Bench) -> tuple[Sequence[Row], Mapping[str, str]]:
    """The rows that were asked for, with their tuning rules filled in, and those that cannot be, each with the reason.

    Raises:
        RunError: none is left, or a row from scratch cannot be built because an encoder was given to the run as a part.
    """
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for name in settings.rows:
        reason = _obstacle(ROWS[name], settings, bench)
        if reason:
            left_out[name] = reason
        else:
            rows += _filled_in(ROWS[name], settings, bench)
    if not rows:
        raise RunError(
            "no row is left: " + "; ".join(f"{name}: {why}" for name, why in left_out.items()),
            where=bench.dataset.name,
            remedy="ask for other --rows",
        )
    if bench.parts and any(isinstance(row.made, FromScratch) and row.made.content for row in rows):
        raise RunError(
            f"the encoders {', '.join(bench.parts)} of this run were given as parts, so they cannot be built anew",
            where=str(bench.run),
            remedy="train the run with them under model.items.custom, or leave out the rows scratch and frozen",
        )
    return rows, left_out


def _obstacle(row: Row, settings: CompareSettings, bench: Bench) -> str:
    """Why a row cannot be had, or would say nothing; empty where it can."""
    match row.made:
        case SimpleMethod(which="similarity") | FromScratch(content=True) if not bench.content:
            return "the target has nothing of what the run reads"
        case FromScratch(content=True, tune="frozen") if not bench.encoders_learn and SCRATCH in settings.rows:
            return f"nothing in the run's encoders could learn, so it is the row {SCRATCH}"
        case FromScratch(content=True, identity=False, counts=False) if (
            bench.model.prior is None and SCRATCH in settings.rows
        ):
            return f"the run has no prior over counts, so it is the row {SCRATCH}"
        case FromScratch(content=True, tune=tune) if tune == bench.record.tune and SCRATCH in settings.rows:
            return f"the run's tuning rule is {tune}, so it is the row {SCRATCH}"
        case ZeroShot() if bench.knows_identities and not bench.content:
            return "the run knows items by their identity alone, which means nothing on another platform"
        case ZeroShot() | Transferred() if not bench.content and not bench.knows_identities:
            return "the target has nothing of what the run reads"
        case TransferredWithIds() if not bench.content:
            return "of what the run reads the target has nothing that ids could stand beside"
    return ""


def _filled_in(row: Row, settings: CompareSettings, bench: Bench) -> list[Row]:
    """The row with its tuning rule; a transferred one once for each rule that was asked for."""
    match row.made:
        case FromScratch(tune=None) as made:
            return [replace(row, made=replace(made, tune=bench.record.tune))]
        case Transferred(tune=None) if len(settings.tune) > 1:
            return [
                Row(f"{row.name}-{tune.replace(':', '')}", f"{row.label} ({tune})", Transferred(tune))
                for tune in settings.tune
            ]
        case Transferred(tune=None):
            return [replace(row, made=Transferred((*settings.tune, bench.record.tune)[0]))]
        case TransferredWithIds(tune=None):
            return [replace(row, made=TransferredWithIds((*settings.tune, bench.record.tune)[0]))]
    return [row]
