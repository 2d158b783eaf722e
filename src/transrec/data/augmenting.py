"""Augmenting: other views of a history, for objectives that compare a user with himself; every draw takes a generator.

A view says which slot of the history stands at each of its places: int64 of shape (B, L), real places first, with
:data:`HIDDEN` where an item is there but not shown and :data:`PADDED` behind the end. Each function takes such views and
gives others of the same shape, in which at least one item of every history is shown.

Axes: B users, L history length.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from transrec.settings import Settings

HIDDEN, PADDED = -1, -2


class AugmentSettings(Settings):
    """How far two views of a history are from it. All shares that are not zero apply to each view, in this order."""

    crop: float = Field(default=0.0, ge=0, lt=1)
    """Share of a history that is cut off, before and behind a run of items that stays."""
    drop: float = Field(default=0.0, ge=0, lt=1)
    """Share of the items that are left out; the others close up."""
    permute: float = Field(default=0.2, ge=0, lt=1)
    """Share of a history, one run of items, that is shuffled."""
    mask: float = Field(default=0.2, ge=0, lt=1)
    """Share of the items that are hidden behind the user encoder's mask token."""
    segment_mask: float = Field(default=0.0, ge=0, lt=1)
    """Share of a history, one run of items, that is hidden."""

    @model_validator(mode="after")
    def _changes_something(self) -> AugmentSettings:
        if not any(self.model_dump().values()):
            raise ValueError("with no augmentation both views are the history itself; give one of them a share")
        return self

    @property
    def hides(self) -> bool:
        """Whether views have hidden items, for which a user encoder needs a mask token."""
        return self.mask > 0 or self.segment_mask > 0


def two_views(mask_BL: np.ndarray, settings: AugmentSettings, generator: np.random.Generator) -> np.ndarray:
    """Two views of each history, int64 of shape (2, B, L).

    Args:
        mask_BL: which slots of the histories are real; the real ones come first.
        settings: what is done, and how much of it.
        generator: of the draws.
    """
    made = (crop, drop_items, permute_segment, mask_items, mask_segment)
    shares = (settings.crop, settings.drop, settings.permute, settings.mask, settings.segment_mask)
    views = []
    for _ in range(2):
        slots_BL = as_it_is(mask_BL)
        for augment, share in zip(made, shares, strict=True):
            slots_BL = augment(slots_BL, share, generator) if share else slots_BL
        views.append(slots_BL)
    return np.stack(views)


def as_it_is(mask_BL: np.ndarray) -> np.ndarray:
    """The view in which every item stands where it stood, int64 (B, L)."""
    return np.where(mask_BL, np.arange(mask_BL.shape[1]), PADDED)


def crop(slots_BL: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """A run of the places stays, of any with the same probability; so much of each history is cut off, rounded down."""
    lengths_B = (slots_BL != PADDED).sum(axis=1)
    return _closed_up(slots_BL, _run(slots_BL, lengths_B - (share * lengths_B).astype(np.int64), generator))


def drop_items(slots_BL: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Each place is left out with this probability; of those that all would be, one stays."""
    return _closed_up(slots_BL, (slots_BL != PADDED) & ~_some(slots_BL, share, generator))


def mask_items(slots_BL: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Each place is hidden with this probability; where all would be, one is shown."""
    return np.where(_some(slots_BL, share, generator), HIDDEN, slots_BL)


def mask_segment(slots_BL: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """A run of places is hidden: so much of each history, at least one place, but never all that are shown."""
    lengths_B = (slots_BL != PADDED).sum(axis=1)
    run_BL = _run(slots_BL, np.clip(np.rint(share * lengths_B), 1, None).astype(np.int64), generator)
    lost_B = ~((slots_BL >= 0) & ~run_BL).any(axis=1)
    return np.where(run_BL & ~lost_B[:, None], HIDDEN, slots_BL)


def permute_segment(slots_BL: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """A run of places is shuffled: so much of each history, at least two places where there are two."""
    lengths_B = (slots_BL != PADDED).sum(axis=1)
    run_BL = _run(slots_BL, np.clip(np.rint(share * lengths_B), 2, None).astype(np.int64), generator)
    places_BL = np.broadcast_to(np.arange(slots_BL.shape[1]), slots_BL.shape)
    # within the run places go by their draws; each draw lies in the run, so that the others stay where they are
    starts_B1 = run_BL.argmax(axis=1)[:, None]
    drawn_BL = starts_B1 + generator.random(slots_BL.shape) * np.maximum(run_BL.sum(axis=1)[:, None] - 1, 0)
    order_BL = np.where(run_BL, drawn_BL, places_BL).argsort(axis=1, kind="stable")
    return np.take_along_axis(slots_BL, order_BL, axis=1)


def _some(slots_BL: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Places drawn with this probability, but never all that are shown, bool."""
    drawn_BL = generator.random(slots_BL.shape)
    shown_BL = slots_BL >= 0
    chosen_BL: np.ndarray = (drawn_BL < share) & (slots_BL != PADDED)
    all_B = np.flatnonzero(~(shown_BL & ~chosen_BL).any(axis=1) & shown_BL.any(axis=1))
    chosen_BL[all_B, np.where(shown_BL, drawn_BL, -1.0)[all_B].argmax(axis=1)] = False
    return chosen_BL


def _run(slots_BL: np.ndarray, sizes_B: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A run of so many places of each history, anywhere in it, bool; all of them where it is not longer."""
    lengths_B = (slots_BL != PADDED).sum(axis=1)
    sizes_B = np.minimum(sizes_B, lengths_B)
    starts_B = (generator.random(len(slots_BL)) * (lengths_B - sizes_B + 1)).astype(np.int64)
    places_L = np.arange(slots_BL.shape[1])
    run_BL: np.ndarray = (places_L >= starts_B[:, None]) & (places_L < (starts_B + sizes_B)[:, None])
    return run_BL


def _closed_up(slots_BL: np.ndarray, kept_BL: np.ndarray) -> np.ndarray:
    """What is kept, in its order, from the first place on."""
    order_BL = np.argsort(~kept_BL, axis=1, kind="stable")
    closed_BL: np.ndarray = np.take_along_axis(np.where(kept_BL, slots_BL, PADDED), order_BL, axis=1)
    return closed_BL
