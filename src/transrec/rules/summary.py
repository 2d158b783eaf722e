"""Summary: the fates of parameters added up by part of the model, for the tables that people are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from transrec.rules.fate import Fate


@dataclass(frozen=True, slots=True)
class FateSummary:
    """One row of the table that people are shown.

    Attributes:
        part: of the model, such as ``"items.encoders.text"``.
        source: where it comes from.
        learning: parameters (numbers, not tensors) that learn.
        total: parameters.
        rates: the lowest and the highest of the peak learning rates; None where nothing learns or nothing says at which.
        epochs: the earliest and the latest of the epochs in which something of it begins to learn; None as above.
        held: parameters that are pulled to where they started.
    """

    part: str
    source: str
    learning: int
    total: int
    rates: tuple[float, float] | None = None
    epochs: tuple[int, int] | None = None
    held: int = 0


def summarised(fates: Sequence[Fate]) -> list[FateSummary]:
    """Fates added up by part and source, in the model's order."""
    rows: dict[tuple[str, str], list[Fate]] = {}
    for fate in fates:
        parts = fate.name.split(".")
        depth = 3 if parts[0] == "items" and len(parts) > 3 else 2 if parts[0] == "items" else 1
        rows.setdefault((".".join(parts[:depth]), fate.source), []).append(fate)
    return [_summary(part, source, own) for (part, source), own in rows.items()]


def _summary(part: str, source: str, fates: Sequence[Fate]) -> FateSummary:
    sizes = [int(torch.Size(fate.shape).numel()) for fate in fates]
    rates = [fate.rate for fate in fates if fate.rate is not None]
    epochs = [fate.from_epoch for fate in fates if fate.from_epoch is not None]
    return FateSummary(
        part,
        source,
        learning=sum(size * fate.learns for size, fate in zip(sizes, fates, strict=True)),
        total=sum(sizes),
        rates=(min(rates), max(rates)) if rates else None,
        epochs=(min(epochs), max(epochs)) if epochs else None,
        held=sum(size * fate.held for size, fate in zip(sizes, fates, strict=True)),
    )


def pace_columns(rows: Sequence[FateSummary]) -> dict[str, list[str]]:
    """How parts learn, as further columns of the table: by heading, a text for each row.

    A column is there only where it says something: ``rate`` where not all that learns does so at one rate, ``from epoch``
    where something begins to learn later than the rest (unfreezing), ``held`` where something is (an anchor).
    """
    columns = {}
    if len({rate for row in rows for rate in row.rates or ()}) > 1:
        columns["rate"] = [_range(row.rates) for row in rows]
    if any(row.epochs and row.epochs[1] > 1 for row in rows):
        columns["from epoch"] = [_range(row.epochs) for row in rows]
    if any(row.held for row in rows):
        columns["held"] = [_share(row.held, row.learning) for row in rows]
    return columns


def _range(ends: tuple[float, float] | None) -> str:
    """Two numbers as a text; one where they are the same."""
    return " to ".join(str(end) if isinstance(end, int) else f"{end:.3g}" for end in dict.fromkeys(ends or ()))


def _share(held: int, learning: int) -> str:
    """Whether what learns is held; empty where nothing learns."""
    return "" if not learning else "no" if not held else "yes" if held == learning else "in part"
