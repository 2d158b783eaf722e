"""Scorers: how much a user and an item fit each other."""

from __future__ import annotations

from transrec.scoring.interests import BestInterest
from transrec.scoring.prefix import PrefixScorer, whole_scorer
from transrec.scoring.scorers import (
    CosineScorer,
    DistanceScorer,
    DotScorer,
    FusedViewScorer,
    Fusing,
    Scorer,
)

__all__ = [
    "BestInterest",
    "CosineScorer",
    "DistanceScorer",
    "DotScorer",
    "FusedViewScorer",
    "Fusing",
    "PrefixScorer",
    "Scorer",
    "whole_scorer",
]
