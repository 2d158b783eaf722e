"""Settings of the user tower."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from transrec.settings import Settings


class GatedSettings(Settings):
    """What gated user encoders have and transformers have not."""

    time_bias: bool = True
    """Whether attention depends on the time between two events too, and not on their places alone."""
    untimed: float = Field(default=0.1, ge=0, lt=1)
    """Share of the histories that training shows without their times, because many come without them later. Of no account
    without time_bias."""


class LRUSettings(Settings):
    """What linear recurrent user encoders have."""

    states: int = Field(default=1, ge=1)
    """States of the recurrence for every number of the width; LRURec has 2, fMRLRec 1."""
    ring: float = Field(default=0.0, ge=0, le=0.89)
    """Radius from which on eigenvalues begin, up to 0.1 more: how much of a state is left with the next item at first.
    fMRLRec has 0 and 0.1."""


class MissrecSettings(Settings):
    """What the missrec kind has and others have not."""

    clusters: Literal["kmeans", "density"] = "kmeans"
    """How item views are divided into interests that users share, before every epoch: k-means over batches; or density peaks
    (DPC-kNN), which compares all views with each other."""
    ratio: float = Field(default=0.02, gt=0, le=1)
    """Clusters as a share of the item views. Published are 0.02 for pre-training and 0.5 for fine-tuning; every view that is
    read is compared with every cluster."""
    layers: int = Field(default=1, ge=0)
    """Blocks in which interests look at each other."""


class InterestSettings(Settings):
    """Several vectors a user."""

    count: int = Field(default=0, ge=0)
    """C, the interests of a user; 0 for one vector, the state at the last item."""
    adaptive: bool = False
    """Whether a user has as many of them as the history is long: min(C, max(1, log2 of its items)). Else all have C."""
    seeds: Literal["farthest", "queries"] = "farthest"
    """Where interests begin: at items of the history that are far from each other, or at what learned queries look at, as in
    ComiRec."""
    rounds: int = Field(default=2, ge=0)
    """How often the items of a history are dealt out to the interests that they are nearest to; 0 as in ComiRec."""

    with_state: bool = False
    """Whether the first of them is the state of the encoder, the only vector that there is without interests, and the items
    are dealt out among the others. Where the next item follows from the latest ones, groups alone lose that."""

    handicap: bool = False
    """Whether each of them but the first counts only for what it scores above a learned number, so that a platform where
    several interests mislead does without them."""

    @model_validator(mode="after")
    def _something_learns(self) -> Self:
        if self.handicap and self.count < 2:
            raise ValueError("a handicap is of interests after the first; give count 2 or more with handicap")
        if self.with_state and self.count == 1:
            raise ValueError("the state alone is what count 0 gives; give 2 or more with with_state")
        if self.seeds == "farthest" and not self.rounds:
            raise ValueError("interests that begin at items have to be dealt items; give 1 round or more, or seeds queries")
        return self


class UserSettings(Settings):
    """The user encoder."""

    kind: Literal["transformer", "gated", "lru", "missrec", "custom"] = "transformer"
    """A transformer, as published; gated pointwise attention that can read times, as in HSTU (arXiv 2402.17152); lru, linear
    recurrent units, as in fMRLRec (arXiv 2409.16627); missrec, a transformer whose items look at the clusters that their
    views fall into (arXiv 2308.11175); or custom, one of yours."""
    custom: str = ""
    """A user encoder of your own, as package.module:Class."""
    custom_options: dict[str, str] = Field(default={})
    """What a user encoder of your own is given besides these settings: option -> value."""
    attention: Literal["causal", "bidirectional"] = "causal"
    """What a position may look at: itself and earlier ones, or (as published) every item of the history."""
    window: int = Field(default=50, ge=1)
    """Longest history read, in items; older ones are cut off. The paper has 25."""
    layers: int = Field(default=2, ge=1)
    """Blocks of the encoder. The paper has 4."""
    heads: int = Field(default=4, ge=1)
    """Attention heads; must divide the width. Recurrent units have none."""
    feedforward: int = Field(default=512, ge=1)
    """Width inside the feed-forward part; gated blocks have none. The paper has 128 for a width of 256."""
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
    lru: LRUSettings = LRUSettings()
    """Settings of the lru kind."""
    missrec: MissrecSettings = MissrecSettings()
    """Settings of the missrec kind."""
    interests: InterestSettings = InterestSettings()
    """Several vectors a user instead of one, read from the states of the encoder."""

    @model_validator(mode="after")
    def _custom_has_a_class(self) -> Self:
        if (self.kind == "custom") != bool(self.custom):
            raise ValueError("kind custom and custom, the import path of its class, go together: give both or neither")
        return self
