"""Settings of the user tower."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from transrec.settings import Settings


class GatedSettings(Settings):
    """What gated user encoders have and transformers have not."""

    time_bias: bool = True
    """Whether attention depends on the time between two events too, and not on their places alone."""
    untimed: float = Field(default=0.1, ge=0, lt=1)
    """Share of the histories that training shows without their times, because many come without them later. Of no account
    without time_bias."""


class UserSettings(Settings):
    """The user encoder."""

    kind: Literal["transformer", "gated"] = "transformer"
    """A transformer, as published; or gated pointwise attention that can read times, as in HSTU (arXiv 2402.17152)."""
    attention: Literal["causal", "bidirectional"] = "causal"
    """What a position may look at: itself and earlier ones, or (as published) every item of the history."""
    window: int = Field(default=50, ge=1)
    """Longest history read, in items; older ones are cut off. The paper has 25."""
    layers: int = Field(default=2, ge=1)
    """Blocks of the encoder. The paper has 4."""
    heads: int = Field(default=4, ge=1)
    """Attention heads; must divide the width."""
    feedforward: int = Field(default=512, ge=1)
    """Width inside the feed-forward part of a transformer; gated blocks have none. The paper has 128 for a width of 256."""
    norm: Literal["pre", "post"] = "pre"
    """Layer norm before each part (steadier) or, in transformers only, after its residual sum (as published)."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of activations dropped in training."""
    start: Literal["similar", "fresh"] = "similar"
    """How a user begins: similar, as a mean of the latest items to which the blocks add from zero; or (as published) as
    whatever untrained blocks make of them."""
    adapter: int = Field(default=0, ge=0)
    """Width inside the adapters behind the parts of each block, 0 for none. --tune adapter puts them in."""
    mask_token: bool = False
    """Whether there is a learned vector that stands for a hidden item. The masked objective needs it, nothing else does."""
    gated: GatedSettings = GatedSettings()
    """Settings of the gated kind."""
