"""Fates: what became of every parameter, for people and for ``parameters.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from transrec.model import TransRec
from transrec.rules.fraction import is_fraction
from transrec.rules.mergeable import merged_into, plain_name


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one parameter.

    Attributes:
        name: in the model.
        shape: of the tensor.
        source: where its value comes from: ``"copy"``: the source run; ``"slice"``: the first numbers of what the source run
            has there; ``"aligned"``: drawn anew, in agreement with the source run (projections); ``"fraction(0.2)"``: drawn
            anew, and that much of the source run's added (:class:`~transrec.rules.fraction.Fraction`); ``"backbone"``: the
            folder or hub repository of its backbone; ``"fresh"``: drawn anew; ``"adapter"``, ``"lora"`` or ``"ia3"``: added
            by this tuning rule; or ``"drop"``: the source run had it and this model has not.
        learns: whether training moves it.
        merged_into: the parameter that it becomes a part of when the training ends; None when it stays one of its own.
    """

    name: str
    shape: tuple[int, ...]
    source: str
    learns: bool
    merged_into: str | None = None


def fates(model: TransRec, sources: Mapping[str, str]) -> list[Fate]:
    """What became of every parameter, in the model's order; dropped ones last.

    Args:
        model: after :func:`~transrec.rules.tuning.apply_tuning`.
        sources: by name, where the value comes from, with what the tuning rule added; names not in the model are listed as
            dropped.
    """
    own = {name if name in sources else plain_name(name): parameter for name, parameter in model.named_parameters()}
    kept = [Fate(name, tuple(p.shape), sources[name], p.requires_grad, merged_into(name)) for name, p in own.items()]
    buffers = dict(model.named_buffers())
    gone = [
        Fate(name, (), source, False)
        for name, source in sources.items()
        if name not in own and name not in buffers and source == "drop"
    ]
    return kept + gone


def untaught(sources: Mapping[str, str], before: Sequence[Fate] = ()) -> set[str]:
    """The names of the parameters that start fresh, if only partly, and have learned nothing in the trainings before."""
    taught = {fate.name for fate in before if fate.learns}
    return {name for name, source in sources.items() if (source == "fresh" or is_fraction(source)) and name not in taught}


def anchored(fates: Sequence[Fate]) -> list[str]:
    """The names of the parameters that learn and have something to be held to: a whole value from a run or a backbone."""
    return [fate.name for fate in fates if fate.learns and fate.source in ("copy", "aligned", "backbone")]


@dataclass(frozen=True, slots=True)
class FateSummary:
    """One row of the table that people are shown.

    Attributes:
        part: of the model, such as ``"items.encoders.text"``.
        source: where it comes from.
        learning: parameters (numbers, not tensors) that learn.
        total: parameters.
    """

    part: str
    source: str
    learning: int
    total: int


def summarised(fates: Sequence[Fate]) -> list[FateSummary]:
    """Fates added up by part and source, in the model's order."""
    rows: dict[tuple[str, str], list[int]] = {}
    for fate in fates:
        parts = fate.name.split(".")
        depth = 3 if parts[0] == "items" and len(parts) > 3 else 2 if parts[0] == "items" else 1
        row = rows.setdefault((".".join(parts[:depth]), fate.source), [0, 0])
        size = int(torch.Size(fate.shape).numel())
        row[0] += size * fate.learns
        row[1] += size
    return [FateSummary(part, source, learning, total) for (part, source), (learning, total) in rows.items()]
