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


class InterestSettings(Settings):
    """What user encoders with interests have and others have not."""

    clusters: Literal["kmeans", "density"] = "kmeans"
    """How item views are divided into interests before every epoch: k-means over batches; or density peaks (DPC-kNN), which
    compares all views with each other."""
    ratio: float = Field(default=0.02, gt=0, le=1)
    """Clusters as a share of the item views. Published are 0.02 for pre-training and 0.5 for fine-tuning; every view that is
    read is compared with every cluster."""
    layers: int = Field(default=1, ge=0)
    """Blocks in which interests look at each other."""


class UserSettings(Settings):
    """The user encoder."""

    kind: Literal["transformer", "gated", "interests"] = "transformer"
    """A transformer, as published; gated pointwise attention that can read times, as in HSTU (arXiv 2402.17152); or a
    transformer whose items look at the interests that their views belong to, as in MISSRec (arXiv 2308.11175)."""
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
    interests: InterestSettings = InterestSettings()
    """Settings of the interests kind."""
