"""Tuning rules: which parameters of a model learn."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from transrec.errors import ModelError, SettingsError
from transrec.items.encoder import ModalityEncoder
from transrec.model import TransRec
from transrec.rules.adapters import put_adapters
from transrec.rules.depth import blocks_above
from transrec.rules.mergeable import add_mergeable, plain_name
from transrec.rules.sources import is_published
from transrec.users.adapter import Adapter

Kind = Literal["full", "top", "frozen", "bitfit", "lora", "ia3", "adapter", "projections"]

FORMS = "full, top:N (for example top:2), frozen, bitfit, lora or lora:R, ia3, adapter or adapter:R, projections"

_SIZES = {"adapter": 0, "lora": 8}
"""The sizes of rules that may be written without one."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Which parameters learn.

    In all rules what is neither a modality encoder nor the user encoder learns (projections, fusion, scorer), and so does
    what starts fresh: frozen, it would be noise. In all but the last two the user encoder learns. The rules differ in what
    they do to the modality encoders, or to their backbones where they have one.

    Attributes:
        kind: what learns of them: ``"full"``: all; ``"top"``: the top blocks and what follows, as published; ``"frozen"``:
            nothing; ``"bitfit"``: biases and norms (arXiv 2106.10199); ``"lora"`` and ``"ia3"``: what
            :func:`~transrec.rules.mergeable.add_mergeable` adds and :func:`~transrec.rules.mergeable.merge` merges;
            ``"adapter"``: nothing, and of the user encoder only its norms and the adapters that are put into it (TransRec's
            published code; Adapter4Rec, arXiv 2305.15036); ``"projections"``: nothing, and of the user encoder only its
            norms (the parameter-efficient fine-tuning of MISSRec, arXiv 2308.11175, whose adapters are our projections).
        size: how many blocks of ``"top"``; the rank of ``"lora"``; the inner width of ``"adapter"``, 0 for half of the
            model's width as published.

    Note:
        Adapter4Rec lets adapters and norms learn and freezes the projections too. Here projections, fusion and scorer learn
        with the adapters: they are where a new platform's items meet the model, they are small, and it is the same in every
        rule.
    """

    kind: Kind
    size: int = 0

    @classmethod
    def parse(cls, text: str) -> Tuning:
        """A rule as people write it: ``"full"``, ``"top:2"``, ``"lora"``, ``"lora:8"``, and so on.

        Raises:
            SettingsError: it is not a rule; the message names all of them.
        """
        kind, colon, size = text.partition(":")
        sized = bool(re.fullmatch("[1-9][0-9]*", size)) and kind in ("top", *_SIZES)
        if kind in get_args(Kind) and (sized if colon else kind != "top"):
            return cls(kind, int(size) if colon else _SIZES.get(kind, 0))  # type: ignore[arg-type]
        raise SettingsError(f"{text!r} is not a tuning rule", where="tune", remedy=f"write {FORMS}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.size}" if self.size else self.kind


def apply_tuning(model: TransRec, tuning: Tuning, *, fresh: Collection[str] = (), seed: int = 0) -> Mapping[str, str]:
    """Set ``requires_grad`` of every parameter, and add the parameters that the rule needs.

    A model with what ``lora`` or ``ia3`` added is for training; :func:`~transrec.rules.mergeable.merge` makes it one
    again that can be saved and loaded.

    Args:
        model: is changed in place.
        tuning: the rule.
        fresh: names of parameters that have learned nothing yet; they learn whatever the rule. What is above the backbones
            in the encoders need not be named.
        seed: of what is added.

    Returns:
        the names of the parameters that were added, each with the kind of rule, as a source for
        :func:`~transrec.rules.fate.fates`.

    Raises:
        ModelError: the rule cannot be applied to an encoder; the message says why.
        MissingExtraError: it needs ``peft``, which is not installed.
    """
    before = list(model.parameters())
    generator = torch.Generator().manual_seed(seed)
    if tuning.kind == "adapter":
        put_adapters(model, tuning.size, generator)
    for name, encoder in model.items.encoders.items():
        assert isinstance(encoder, ModalityEncoder)
        if tuning.kind == "lora" or tuning.kind == "ia3":
            add_mergeable(encoder, name, tuning.kind, tuning.size, generator)
    known = {id(parameter) for parameter in before}
    added: dict[str, str] = {name: tuning.kind for name, p in model.named_parameters() if id(p) not in known}
    resting = _resting(model, tuning) - set(added)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in resting or plain_name(name) in fresh)
    return added


def _resting(model: TransRec, tuning: Tuning) -> set[str]:
    """The names of the parameters that the rule lets rest, those that it added included."""
    resting: set[str] = set()
    if tuning.kind == "full":
        return resting
    for name, encoder in model.items.encoders.items():
        assert isinstance(encoder, ModalityEncoder)
        published = {own for own, _ in encoder.named_parameters() if is_published(encoder, name, own)}
        if tuning.kind == "top" and published:
            published -= _top(encoder, name, tuning.size)
        if tuning.kind == "bitfit":
            published -= _norms(encoder) | {own for own in published if own.endswith("bias")}
        resting |= {f"items.encoders.{name}.{own}" for own in published}
    if tuning.kind in ("adapter", "projections"):
        learning = _norms(model.users) | _adapters(model.users)
        resting |= {f"users.{own}" for own, _ in model.users.named_parameters() if own not in learning}
    return resting


def _top(encoder: ModalityEncoder, name: str, count: int) -> set[str]:
    """Names of the parameters in the top blocks of an encoder and in what is registered after them."""
    depths = blocks_above(encoder, name, purpose=f"top:{count}")
    available = len(encoder.blocks())
    if count > available:
        blocks = f"{available} block{'s' if available != 1 else ''}"
        raise ModelError(f"the {name} encoder has {blocks}, top:{count} asks for more", remedy="use --tune full")
    return {own for own, depth in depths.items() if depth < count}


def _norms(module: nn.Module) -> set[str]:
    """Names of the parameters of norms, which are known by what their classes are called."""
    return {
        f"{path}.{own}"
        for path, part in module.named_modules()
        if "norm" in type(part).__name__.lower()
        for own, _ in part.named_parameters(recurse=False)
    }


def _adapters(module: nn.Module) -> set[str]:
    """Names of the parameters of adapters."""
    adapters = [(path, part) for path, part in module.named_modules() if isinstance(part, Adapter)]
    return {f"{path}.{own}" for path, part in adapters for own, _ in part.named_parameters()}
