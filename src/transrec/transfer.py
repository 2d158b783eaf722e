"""Transfer: rules that say, for every parameter, where it comes from and whether it learns.

Pre-training and transfer are the same training; what differs is written here, as two lists of rules over parameter names.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from transrec.errors import ModelError, SettingsError
from transrec.items.encoder import ModalityEncoder
from transrec.model import TransRec

Source = Literal["copy", "fresh", "drop"]

DEFAULT_RULES = ("items.encoders.identity.*=fresh",)
"""An identity table means nothing on another platform; everything else is copied."""


@dataclass(frozen=True, slots=True)
class SourceRule:
    """Where the parameters that match come from.

    Attributes:
        pattern: over parameter names, with ``*`` for anything.
        source: ``"copy"`` from the source run, or ``"fresh"``: as a new model has it.
    """

    pattern: str
    source: Source

    @classmethod
    def parse(cls, text: str) -> SourceRule:
        """A rule from ``"pattern=source"``, for example ``"users.*=fresh"``.

        Raises:
            SettingsError: it is not of that form.
        """
        pattern, equals, source = text.partition("=")
        if not equals or source not in ("copy", "fresh"):
            raise SettingsError(
                f"{text!r} is not a rule",
                where="rules",
                remedy="write PATTERN=copy or PATTERN=fresh, for example 'users.*=fresh'",
            )
        return cls(pattern, source)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one parameter.

    Attributes:
        name: in the model.
        shape: of the tensor.
        source: where its value comes from: ``"copy"``: the source run; ``"backbone"``: the folder or hub repository of its
            backbone; ``"fresh"``: drawn anew; or ``"drop"``: the source run had it and this model has not.
        learns: whether training moves it.
    """

    name: str
    shape: tuple[int, ...]
    source: str
    learns: bool


@dataclass(frozen=True, slots=True)
class Tuning:
    """Which parameters learn.

    Attributes:
        kind: ``"full"``: all; ``"top"``: the top blocks of each modality encoder and everything above them, as published;
            ``"frozen"``: everything but the modality encoders.
        blocks: how many blocks of ``"top"``.
    """

    kind: Literal["full", "top", "frozen"]
    blocks: int = 0

    @classmethod
    def parse(cls, text: str) -> Tuning:
        """``"full"``, ``"top:N"`` or ``"frozen"``.

        Raises:
            SettingsError: it is none of these.
        """
        if text in ("full", "frozen"):
            return cls(text)  # type: ignore[arg-type]
        match = re.fullmatch(r"top:(\d+)", text)
        if match and int(match[1]) > 0:
            return cls("top", int(match[1]))
        raise SettingsError(
            f"{text!r} is not a tuning rule", where="tune", remedy="write full, top:N (for example top:2) or frozen"
        )

    def __str__(self) -> str:
        return f"top:{self.blocks}" if self.kind == "top" else self.kind


def apply_tuning(model: TransRec, tuning: Tuning) -> None:
    """Set ``requires_grad`` of every parameter.

    Projections, fusion, user encoder and scorer always learn. So does what starts fresh inside an encoder, such as the
    attention pooling or an identity table: frozen, it would be noise. The rules concern what is below ``backbone`` in an
    encoder, or all of an encoder that has nothing of that name.

    Raises:
        ModelError: ``top:N`` on an encoder that does not say what its blocks are, or that has fewer.
    """
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    for name, encoder in model.items.encoders.items():
        assert isinstance(encoder, ModalityEncoder)
        if tuning.kind == "full":
            continue
        published = {own_name for own_name, _ in encoder.named_parameters() if is_published(encoder, name, own_name)}
        if tuning.kind == "top" and published:
            published -= _above(encoder, name, tuning.blocks)
        for own_name, parameter in encoder.named_parameters():
            parameter.requires_grad_(own_name not in published)


def is_published(encoder: ModalityEncoder, name: str, parameter: str) -> bool:
    """Whether a parameter of the encoder called ``name`` came with a backbone, and did not start fresh."""
    if name == "identity":
        return False
    return parameter.startswith("backbone.") or not hasattr(encoder, "backbone")


def _above(encoder: ModalityEncoder, name: str, count: int) -> set[str]:
    """Names of the parameters in the top blocks of an encoder and in what is registered after them."""
    blocks = list(encoder.blocks())
    if not blocks:
        raise ModelError(
            f"the {name} encoder does not say what its blocks are, so it has no top {count}",
            remedy="use --tune full or frozen, or give the encoder a blocks() method",
        )
    if count > len(blocks):
        raise ModelError(f"the {name} encoder has {len(blocks)} blocks, top:{count} asks for more", remedy="use --tune full")
    order = {id(parameter): place for place, (_, parameter) in enumerate(encoder.named_parameters())}
    tops = [order[id(p)] for block in blocks[-count:] for p in block.parameters()]
    first = min(tops)
    inside_lower = {id(p) for block in blocks[:-count] for p in block.parameters()}
    return {n for n, p in encoder.named_parameters() if order[id(p)] >= first and id(p) not in inside_lower}


def copy_parameters(target: TransRec, source: Mapping[str, Tensor], rules: Sequence[SourceRule] = ()) -> dict[str, Source]:
    """Copy parameters and buffers from a source run into a model, by rules.

    The first rule that matches a name decides; what none matches is copied. Nothing is left out silently: a name that is to
    be copied must be in the source with the same shape.

    Args:
        target: the model for the target platform; what is fresh keeps the values that it has.
        source: the source run's tensors by name.
        rules: see :class:`SourceRule`.

    Returns:
        what became of every name of target and source.

    Raises:
        ModelError: a name is not in the source or has another shape there; or a backbone is to start fresh, which a run
            cannot do: it holds the backbone as it has become.
        SettingsError: a rule matches nothing.
    """
    own = target.state_dict()
    for rule in rules:
        if not any(fnmatch.fnmatchcase(name, rule.pattern) for name in [*own, *source]):
            raise SettingsError(
                f"the rule {rule.pattern}={rule.source} matches no parameter",
                where="rules",
                remedy=f"names look like {', '.join(list(own)[:3])}",
            )
    fates: dict[str, Source] = {}
    for name in own:
        fates[name] = next((r.source for r in rules if fnmatch.fnmatchcase(name, r.pattern)), "copy")
    published = {name for name, origin in initial_sources(target).items() if origin == "backbone"}
    renewed = [name for name, fate in fates.items() if fate == "fresh" and name in published]
    if renewed:
        raise ModelError(
            f"{len(renewed)} parameters that are to start fresh came with a backbone, for example {renewed[0]}; a run does "
            "not hold the backbone as it was published",
            remedy="train from scratch instead, or let other parts start fresh",
        )
    wrong = [n for n, fate in fates.items() if fate == "copy" and (n not in source or source[n].shape != own[n].shape)]
    if wrong:
        there = f"shape {tuple(source[wrong[0]].shape)}" if wrong[0] in source else "nothing of that name"
        raise ModelError(
            f"{len(wrong)} parameters cannot be copied, for example {wrong[0]}: the model has shape "
            f"{tuple(own[wrong[0]].shape)}, the source run has {there}",
            remedy=f"let it start fresh: --rules '{wrong[0]}=fresh'",
        )
    with torch.no_grad():
        for name, fate in fates.items():
            if fate == "copy":
                own[name].copy_(source[name])
    fates.update({name: "drop" for name in source if name not in own})
    return fates


def fates(model: TransRec, sources: Mapping[str, str]) -> list[Fate]:
    """What became of every parameter, in the model's order; dropped ones last.

    Args:
        model: after :func:`apply_tuning`.
        sources: by name, where the value comes from; names not in the model are listed as dropped.
    """
    own = dict(model.named_parameters())
    kept = [Fate(name, tuple(p.shape), sources[name], p.requires_grad) for name, p in own.items()]
    buffers = dict(model.named_buffers())
    gone = [
        Fate(name, (), source, False)
        for name, source in sources.items()
        if name not in own and name not in buffers and source == "drop"
    ]
    return kept + gone


def initial_sources(model: TransRec) -> dict[str, str]:
    """Where the parameters of a newly built model come from, by name: ``"backbone"`` or ``"fresh"``."""
    sources = dict.fromkeys((name for name, _ in model.named_parameters()), "fresh")
    for name, encoder in model.items.encoders.items():
        assert isinstance(encoder, ModalityEncoder)
        for own_name, _ in encoder.named_parameters():
            if is_published(encoder, name, own_name):
                sources[f"items.encoders.{name}.{own_name}"] = "backbone"
    return sources


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
