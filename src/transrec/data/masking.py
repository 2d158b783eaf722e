"""Masking: which items of a history an objective hides and fills in; every draw takes a generator."""

from __future__ import annotations

import numpy as np


def hidden_slots(mask_BL: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Slots to hide: each real one with the same probability.

    A history of which none was drawn would teach nothing, and one of which all were drawn would show nothing: the first
    hides one slot, the second shows one, drawn uniformly. A history of a single item hides it.

    Args:
        mask_BL: which slots are real, bool.
        share: the probability, between 0 and 1.
        generator: of the draw.

    Returns:
        bool of shape (B, L), true in real slots only.
    """
    drawn_BL = np.where(mask_BL, generator.random(mask_BL.shape), np.inf)
    hidden_BL: np.ndarray = drawn_BL < share
    lengths_B, hidden_B = mask_BL.sum(axis=1), hidden_BL.sum(axis=1)
    none_B = np.flatnonzero((hidden_B == 0) & (lengths_B > 0))
    hidden_BL[none_B, drawn_BL[none_B].argmin(axis=1)] = True
    all_B = np.flatnonzero((hidden_B == lengths_B) & (lengths_B > 1))
    hidden_BL[all_B, np.where(mask_BL, drawn_BL, -1.0)[all_B].argmax(axis=1)] = False
    return hidden_BL
