"""Fates: what became of every parameter, for people and for ``parameters.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
        rate: its peak learning rate; None where it does not learn, or nothing says at which.
        from_epoch: the epoch in which it begins to learn, the first being 1, if the training gets there; None as above.
        held: whether it is pulled to where it started.
    """

    name: str
    shape: tuple[int, ...]
    source: str
    learns: bool
    merged_into: str | None = None
    rate: float | None = None
    from_epoch: int | None = None
    held: bool = False


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


def with_earlier(now: Sequence[Fate], before: Sequence[Fate]) -> list[Fate]:
    """The fates of parameters after one more training: what learned in any has learned, at the pace of the last in which."""
    paced = {fate.name: fate for fate in before if fate.learns}
    there = {fate.name for fate in now}
    merged = [fate for fate in before if fate.merged_into and fate.name not in there]
    return [*(fate if fate.learns else _as_before(fate, paced.get(fate.name)) for fate in now), *merged]


def _as_before(fate: Fate, before: Fate | None) -> Fate:
    """The fate of a parameter that rests now and may have learned before."""
    if before is None:
        return fate
    return replace(fate, learns=True, rate=before.rate, from_epoch=before.from_epoch, held=before.held)
