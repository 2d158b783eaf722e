"""Numbers as texts, the same in every table of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping

ENDS = ("value", "low", "high")
"""What an interval holds."""
DASH = "–"  # noqa: RUF001  (an en dash, as typesetters use it)


def interval_text(interval: Mapping[str, float | None], *, sign: str = "") -> str:
    """A mean, or with the sign ``"+"`` a difference, with its interval; a dash where it is not known."""
    value, low, high = (math.nan if (told := interval[end]) is None else told for end in ENDS)
    if math.isnan(value):
        return DASH
    return f"{value:{sign}.4f} [{low:{sign}.4f}, {high:{sign}.4f}]"


def percent_text(value: float | None) -> str:
    """A difference in percent; a dash where it is not known."""
    return DASH if value is None else f"{value:+.0f} %"


def p_text(value: float) -> str:
    """A p-value with three decimals."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    """A time in seconds, minutes or hours."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
