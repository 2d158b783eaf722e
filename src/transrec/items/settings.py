"""ItemSettings: everything about the item tower that people choose."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from transrec.items.fusion import FusionKind
from transrec.items.identity import IdentitySettings
from transrec.items.image import ImageSettings
from transrec.items.projection import ProjectionKind, StartKind
from transrec.items.text import TextSettings
from transrec.settings import Listed, Settings

AUTO = "auto"
"""Stands for the modalities that there are."""


class ItemSettings(Settings):
    """The item tower."""

    width: int = Field(default=256, ge=1)
    """Width of item and user vectors."""
    nested: Annotated[tuple[int, ...], Listed] = ()
    """Widths that a trained run can be cut to by `transrec slice`, from small to large, the last being the width: layers of
    both towers are made so that the first numbers depend on the first numbers alone (fMRLRec). It goes with
    objective.matryoshka, which teaches every one of them to rank; separated by commas."""
    modalities: Annotated[tuple[str, ...], Listed] = (AUTO,)
    """What of an item is read: text, image, identity, names of given vectors, names under custom; auto: all content that
    there is. auto, identity: a table of item ids beside it."""
    text: TextSettings = TextSettings()
    """The text encoder."""
    image: ImageSettings = ImageSettings()
    """The image encoder."""
    identity: IdentitySettings = IdentitySettings()
    """The table of item ids, if modalities name it."""
    standardise: bool = True
    """Take each platform's mean off what encoders make, and off given vectors, and divide by a deviation that is taken once,
    before a first training."""
    custom: dict[str, str] = Field(default={})
    """Encoders of your own: modality -> package.module:Class; takes the place of the built-in one of that modality."""
    custom_options: dict[str, dict[str, str]] = Field(default={})
    """What the from_options of an encoder of your own is given: modality -> option -> value."""
    platforms: int = Field(default=1, ge=1)
    """How many platforms' items the tower centres, each on their own mean; training counts them."""
    start: StartKind = "similar"
    """How fresh projections begin, if standardise is on: similar, so that untrained vectors are as near to each other as the
    encoders' own; or random (as published)."""
    projection: ProjectionKind = "linear"
    """From an encoder's width to the tower's: a linear map (as published), or one followed by a layer norm."""
    fusion: FusionKind = "mean"
    """From several views to one vector: mean of those present, gated sum, or concatenation and projection."""
    modality_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """How often an item with several views loses one of them in training, so that the others learn to stand alone."""

    def named(self, held: Iterable[str]) -> tuple[str, ...]:
        """The modalities by their names, each once.

        Args:
            held: what ``auto`` stands for.
        """
        there = tuple(held)
        return tuple(dict.fromkeys(own for name in self.modalities for own in (there if name == AUTO else (name,))))

    @model_validator(mode="after")
    def _nested_widths_grow_up_to_the_width(self) -> Self:
        sizes = (0, *self.nested)
        if self.nested and (any(after <= before for before, after in pairwise(sizes)) or sizes[-1] != self.width):
            raise ValueError(f"nested widths grow from small to large and end with the width, {self.width}")
        return self
