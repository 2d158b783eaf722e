"""Fraction: a weight starts fresh, with a part of what a source run has learned added to it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor

from transrec.errors import ModelError, SettingsError
from transrec.items.tower import ItemEncoder
from transrec.model import TransRec

FORMS = "fraction(OMEGA) or fraction(OMEGA, convex) with OMEGA between 0 and 1, for example 'users.*=fraction(0.2)'"


@dataclass(frozen=True, slots=True)
class Fraction:
    """How much of the source's weight goes into a fresh one.

    As in fractional transfer learning (Sasso, Sabatelli, Wiering, arXiv 2108.06526)::

        additive:  W = W_fresh + omega W_source
        convex:    W = (1 - omega) W_fresh + omega W_source

    The published code is additive, though it is often described as convex. With omega = 0 both are the fresh weight; with
    omega = 1 the first is the sum and the second the source's.

    Attributes:
        omega: the share, between 0 and 1.
        convex: whether the fresh weight gives way to it.
    """

    omega: float
    convex: bool = False

    @classmethod
    def parse(cls, text: str) -> Fraction:
        """A fraction from ``"fraction(0.2)"`` or ``"fraction(0.2, convex)"``.

        Raises:
            SettingsError: it is not of that form, or the share is not between 0 and 1.
        """
        found = re.fullmatch(r"fraction\(\s*([^\s,()]+)\s*(?:,\s*(additive|convex)\s*)?\)", text.strip())
        try:
            omega = float(found[1]) if found else None
        except ValueError:
            omega = None
        if found is None or omega is None:
            raise SettingsError(f"{text!r} is not a fraction", where="rules", remedy=f"write {FORMS}")
        if not 0 <= omega <= 1:
            raise SettingsError(f"{text!r} takes {found[1]} of a weight", where="rules", remedy=f"write {FORMS}")
        return cls(omega, found[2] == "convex")

    def __str__(self) -> str:
        share = str(self.omega).removesuffix(".0")
        return f"fraction({share}, convex)" if self.convex else f"fraction({share})"

    def mixed(self, fresh: Tensor, source: Tensor) -> Tensor:
        """The weight to start from, of the shape that both have."""
        kept = (1 - self.omega) * fresh if self.convex else fresh
        return kept + self.omega * source


def is_fraction(source: str) -> bool:
    """Whether a parameter that comes from here is partly fresh; see :class:`~transrec.rules.fate.Fate`."""
    return source.startswith("fraction(")


def fractional_weights(model: TransRec) -> set[str]:
    """The names of the parameters that a fraction can be taken of: those of two or more dimensions, but for norms.

    These are the weights of linear maps, convolutions and tables. A bias, the scale of a norm or a statistic means
    something that half of it does not; under a fraction they are copied.
    """
    return {
        f"{path}.{name}".removeprefix(".")
        for path, module in model.named_modules()
        if "norm" not in type(module).__name__.lower()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.dim() >= 2
    }


def require_fresh_part(items: ItemEncoder, names: list[str]) -> None:
    """Raise a ModelError where parameters are to be partly fresh of which a transfer has no fresh value.

    Args:
        items: the item tower of the target's model.
        names: of weights that are to be a fraction.

    Raises:
        ModelError: they belong to an encoder, which a run holds only as it has become; to an identity table, whose rows are
            other items here; or to a projection that is born similar, whose fresh value is found on the target's items
            later, in their own directions and scale.
    """
    settings = items.settings
    reasons = {"items.encoders.identity.": "are a table whose rows are other items here"}
    reasons |= {"items.encoders.": "belong to an encoder, which a run does not hold as it was before it learned"}
    if settings.standardise and settings.start == "similar":
        reasons |= {
            "items.projections.": "belong to a projection that is born similar: what it is when fresh is measured on the "
            "target's items, in their own directions and scale, and a part of another map cannot be added to that"
        }
    remedies = {"items.projections.": "copy or aligned", "items.encoders.identity.": "fresh"}
    for prefix, reason in reasons.items():
        refused = [name for name in names if name.startswith(prefix)]
        if refused:
            raise ModelError(
                f"{len(refused)} parameters that are to be a fraction, for example {refused[0]}, {reason}",
                where="rules",
                remedy=f"put a rule before it: '{prefix}*=' with {remedies.get(prefix, 'copy')}",
            )
