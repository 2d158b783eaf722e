"""Backbones: where a comparison reads the encoders that its rows from scratch begin with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import Field
from torch import nn

from transrec.errors import BackboneError, SettingsError
from transrec.model import ModelSettings, TransRec
from transrec.settings import Settings, merged

ROLES = ("text", "image")


class BackbonesSettings(Settings):
    """Where the encoders are that the run began with, as they were published. What they are is the run's affair."""

    text: str = ""
    """The text encoder, a folder or a hub name; where the run read it from when empty."""
    image: str = ""
    """The image encoder, likewise."""
    custom_options: dict[str, dict[str, str]] = Field(default={})
    """Options of encoders of your own that say where something is: modality -> option -> value; the run's own when not
    given."""

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities whose encoders are read from another place."""
        given = tuple(role for role in ROLES if getattr(self, role))
        return (*given, *(name for name, options in self.custom_options.items() if options))


def placed(source: TransRec, given: BackbonesSettings) -> ModelSettings:
    """The settings of a run's model with its encoders read from where they are now.

    Args:
        source: the run's model.
        given: where what is.

    Raises:
        SettingsError: the run has no such encoder, or its encoder no such option.
    """
    custom, known = source.settings.items.custom, source.settings.items.custom_options
    for role in ROLES:
        if getattr(given, role) and (role in custom or role not in source.items.encoders):
            instead = f"it has an encoder of its own for {role}" if role in custom else f"it reads no {role}"
            raise SettingsError(
                f"the run has no built-in {role} encoder: {instead}", where=f"backbones.{role}", remedy="leave it out"
            )
    for name, options in given.custom_options.items():
        if lacking := sorted(set(options) - set(known.get(name, {}))):
            told = ", ".join(f"{own}.{option}" for own, all_of_it in known.items() for option in all_of_it)
            raise SettingsError(
                f"the run was trained without the option {lacking[0]!r} of {name!r}",
                where="backbones.custom_options",
                remedy=f"the encoders are the run's; what may be given anew: {told or 'nothing'}",
            )
    changed = {role: {"backbone": getattr(given, role)} for role in ROLES if getattr(given, role)}
    options = merged(known, given.custom_options)
    return source.settings.updated({"items": {**changed, "custom_options": options}})


def require_same_form(fresh: TransRec, source: TransRec, names: tuple[str, ...]) -> None:
    """Raise a BackboneError when an encoder is of another form than the run's: the rows would differ in more than training.

    What its weights are cannot be told, for those of the run have learned.

    Raises:
        BackboneError: see above.
    """
    for name in names:
        ours, theirs = fresh.items.encoders[name], source.items.encoders[name]
        # rules of tuning may have added parameters to the run's
        if type(ours) is not type(theirs) or _shapes(ours) - _shapes(theirs):
            raise BackboneError(
                f"the {name} encoder that was named is of another form than the run's",
                where=f"backbones.{name}" if name in ROLES else "backbones.custom_options",
                remedy="name the one that the run began with: all rows have to begin with the same one",
            )


@contextmanager
def own_flags() -> Iterator[None]:
    """Where an encoder cannot be read, name the flag of a verb that takes its model from a run."""
    try:
        yield
    except BackboneError as error:
        role = next((role for role in ROLES if error.where == f"model.items.{role}.backbone"), None)
        if role is None:
            raise
        raise BackboneError(
            error.what,
            where=f"backbones.{role}",
            remedy="rows from scratch and content similarity read the encoder that the run began with. Bring it here, as "
            f"save_pretrained or hf download leave it, and pass it: --backbones.{role} FOLDER; or do without these rows",
        ) from None


def _shapes(encoder: nn.Module) -> Counter[tuple[int, ...]]:
    return Counter(tuple(parameter.shape) for parameter in encoder.parameters())
