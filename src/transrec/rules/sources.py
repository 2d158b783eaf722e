"""Rules of origin: for every parameter, whether it is copied from a source run or starts fresh."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from transrec.errors import ModelError, SettingsError
from transrec.items.encoder import ModalityEncoder
from transrec.model import TransRec
from transrec.rules.fraction import FORMS, Fraction, fractional_weights, require_fresh_part

Source = Literal["copy", "fresh", "aligned", "drop", "add"]

DEFAULT_RULES = ("items.encoders.identity.*=fresh", "prior.popularity=fresh", "prior.unseen=fresh")
"""An identity table means nothing on another platform, and what it is worth to have been touched so often depends on how
many events there are; what is measured on the target is not copied either (:func:`measured_names`). Everything else is, or,
for projections, perhaps aligned."""

ENCODERS = "items.encoders."
_ENCODER = re.compile(re.escape(ENCODERS) + r"(?P<name>[\w-]+)\.\*")
IDENTITY = f"{ENCODERS}identity.*"
"""The table of item ids."""
PROJECTIONS = "items.projections."
"""Names of the parameters that can be aligned begin with this."""


@dataclass(frozen=True, slots=True)
class SourceRule:
    """Where the parameters that match come from.

    Attributes:
        pattern: over parameter names, with ``*`` for anything.
        source: ``"copy"`` from the source run; ``"fresh"``: as a new model has it; or, for projections, ``"aligned"``: as a
            new model has it, then turned to agree with the source's
            (:meth:`~transrec.items.projection.Projection.align`); or, for an item encoder as a whole, ``"drop"``: the model
            leaves it out (:func:`~transrec.rules.dropping.without`); or, for the table of item ids, ``"add"``: the model
            gets one (:func:`~transrec.rules.adding.with_ids`). With a
            :class:`~transrec.rules.fraction.Fraction` weights are partly fresh, and what else matches (biases, norms,
            buffers) is copied.
    """

    pattern: str
    source: Source | Fraction

    @classmethod
    def parse(cls, text: str) -> SourceRule:
        """A rule from ``"pattern=source"``, for example ``"users.*=fresh"``.

        Raises:
            SettingsError: it is not of that form.
        """
        pattern, equals, source = text.partition("=")
        if equals and source.startswith("fraction"):
            return cls(pattern, Fraction.parse(source))
        if not equals or source not in ("copy", "fresh", "aligned", "drop", "add"):
            raise SettingsError(
                f"{text!r} is not a rule",
                where="rules",
                remedy="write PATTERN=copy or PATTERN=fresh, for example 'users.*=fresh', 'items.projections.*=aligned', "
                f"'{ENCODERS}NAME.*=drop', '{IDENTITY}=add', or PATTERN={FORMS}",
            )
        if source == "drop" and not _ENCODER.fullmatch(pattern):
            raise SettingsError(
                f"{text!r} drops something else than an item encoder",
                where="rules",
                remedy=f"write '{ENCODERS}NAME.*=drop'; anything else is copied or fresh",
            )
        if source == "add" and pattern != IDENTITY:
            raise SettingsError(
                f"{text!r} adds something else than a table of item ids",
                where="rules",
                remedy=f"write '{IDENTITY}=add'; an encoder of content is part of the model that is trained first",
            )
        if source == "aligned" and not pattern.startswith(PROJECTIONS):
            raise SettingsError(
                f"{text!r} aligns something else than a projection",
                where="rules",
                remedy="write 'items.projections.*=aligned'; anything else is copied or fresh",
            )
        return cls(pattern, source)  # type: ignore[arg-type]


def dropped(rules: Sequence[SourceRule]) -> list[str]:
    """The names of the item encoders that rules leave out."""
    found = (_ENCODER.fullmatch(rule.pattern) for rule in rules if rule.source == "drop")
    return [match["name"] for match in found if match]


def usual_rules(model: TransRec, given: Sequence[SourceRule] = ()) -> list[SourceRule]:
    """Given rules and, as far as they concern something in this model, those of :data:`DEFAULT_RULES`.

    Args:
        model: for the target platform.
        given: by people; they go before, except that what is measured on the target anyway is never copied.
    """
    measured = [SourceRule(name, "fresh") for name in sorted(measured_names(model))]
    usual = [SourceRule.parse(text) for text in DEFAULT_RULES]
    names = list(model.state_dict())
    return [*measured, *given, *(rule for rule in usual if any(fnmatch.fnmatchcase(name, rule.pattern) for name in names))]


def measured_names(model: nn.Module) -> set[str]:
    """The names of the buffers that are found anew on every platform, from its items, before anything learns there.

    A module says which of its own they are, in an attribute ``found_anew``: the means on which projections centre items, and
    what a user encoder finds by looking at all items.
    """
    return {
        f"{path}.{own}".removeprefix(".")
        for path, module in model.named_modules()
        for own in getattr(module, "found_anew", ())
        if own in dict(module.named_buffers(recurse=False))
    }


def projections_from(sources: Mapping[str, str], source: str) -> list[str]:
    """The modalities whose projection starts in this way, in alphabetical order.

    Args:
        sources: by parameter, where its value comes from.
        source: such as ``"fresh"``.
    """
    weights = [name for name, own in sources.items() if own == source and name.endswith(".linear.weight")]
    return sorted(name.removeprefix(PROJECTIONS).split(".")[0] for name in weights if name.startswith(PROJECTIONS))


def copy_parameters(target: TransRec, source: Mapping[str, Tensor], rules: Sequence[SourceRule] = ()) -> dict[str, str]:
    """Copy parameters and buffers from a source run into a model, by rules.

    The first rule that matches a name decides; what none matches is copied. Nothing is left out silently: a name that is to
    be copied must be in the source with the same shape.

    Args:
        target: the model for the target platform; what is fresh keeps the values that it has.
        source: the source run's tensors by name.
        rules: see :class:`SourceRule`.

    Returns:
        what became of every name of target and source; what is to be aligned has the source's values still.

    Raises:
        ModelError: a name is not in the source or has another shape there; or a part of an encoder is to start fresh,
            which a run cannot do: it holds the encoder as it has become; or a fraction is to be taken of what has no fresh
            value.
        SettingsError: a rule matches nothing, or, of a fraction, no weight.
    """
    own = target.state_dict()
    weights = fractional_weights(target)
    _require_use(rules, [*own, *source], weights)
    fates: dict[str, Source | Fraction] = {}
    for name in own:
        matching = (rule.source for rule in rules if fnmatch.fnmatchcase(name, rule.pattern))
        decided: Source | Fraction = next(matching, "copy")
        fates[name] = "copy" if isinstance(decided, Fraction) and name not in weights else decided
    _require_whole_encoders([name for name, fate in fates.items() if fate == "fresh"])
    require_fresh_part(target.items, [name for name, fate in fates.items() if isinstance(fate, Fraction)])
    taken = [name for name, fate in fates.items() if fate != "fresh"]
    wrong = [name for name in taken if name not in source or source[name].shape != own[name].shape]
    if wrong:
        there = f"shape {tuple(source[wrong[0]].shape)}" if wrong[0] in source else "nothing of that name"
        raise ModelError(
            f"{len(wrong)} parameters cannot be copied, for example {wrong[0]}: the model has shape "
            f"{tuple(own[wrong[0]].shape)}, the source run has {there}",
            remedy=f"let it start fresh: --rules '{wrong[0]}=fresh'",
        )
    with torch.no_grad():
        for name in taken:
            fate = fates[name]
            own[name].copy_(fate.mixed(own[name], source[name]) if isinstance(fate, Fraction) else source[name])
    return {**{name: str(fate) for name, fate in fates.items()}, **{name: "drop" for name in source if name not in own}}


def _require_use(rules: Sequence[SourceRule], names: Sequence[str], weights: set[str]) -> None:
    """Raise a SettingsError when a rule is about nothing."""
    for rule in rules:
        matched = [name for name in names if fnmatch.fnmatchcase(name, rule.pattern)]
        if not matched:
            raise SettingsError(
                f"the rule {rule.pattern}={rule.source} matches no parameter",
                where="rules",
                remedy=f"names look like {', '.join(names[:3])}",
            )
        if isinstance(rule.source, Fraction) and not weights.intersection(matched):
            raise SettingsError(
                f"the rule {rule.pattern}={rule.source} matches no weight, and of biases, norms and buffers no fraction is "
                f"taken, for example {matched[0]}",
                where="rules",
                remedy=f"let it be copied or start fresh: '{rule.pattern}=copy'",
            )


def _require_whole_encoders(fresh: Sequence[str]) -> None:
    """Raise a ModelError when a part of an encoder is to start fresh; only a table of identities is drawn anew."""
    renewed = [name for name in fresh if name.startswith(ENCODERS) and not name.startswith(f"{ENCODERS}identity.")]
    if renewed:
        raise ModelError(
            f"{len(renewed)} parameters that are to start fresh belong to an encoder, for example {renewed[0]}; encoders "
            "move as a whole, because a run does not hold them as they were published",
            remedy="train from scratch instead, or let other parts start fresh",
        )


def initial_sources(model: TransRec) -> dict[str, str]:
    """Where the parameters of a newly built model come from, by name: ``"backbone"`` or ``"fresh"``."""
    sources = dict.fromkeys((name for name, _ in model.named_parameters()), "fresh")
    for name, encoder in model.items.encoders.items():
        assert isinstance(encoder, ModalityEncoder)
        for own_name, _ in encoder.named_parameters():
            if is_published(encoder, name, own_name):
                sources[f"items.encoders.{name}.{own_name}"] = "backbone"
    return sources


def is_published(encoder: ModalityEncoder, name: str, parameter: str) -> bool:
    """Whether a parameter of the encoder called ``name`` came with a backbone, and did not start fresh."""
    if name == "identity":
        return False
    return parameter.startswith("backbone.") or not hasattr(encoder, "backbone")
