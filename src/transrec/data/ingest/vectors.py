"""Given vectors: read from lists or from text, and measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transrec.data.reading import tables
from transrec.data.reading.findings import Findings, Reason, Trouble
from transrec.data.reading.tables import Table
from transrec.errors import DataError

_ROWS = 8192  # read at once


def parse_vector(value: object) -> np.ndarray | Trouble | None:
    """Finite numbers from a list, a JSON list or numbers between spaces, commas or semicolons; None where empty."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        if isinstance(value, str):
            listed: Any = (
                json.loads(value) if value.lstrip().startswith("[") else value.replace(",", " ").replace(";", " ").split()
            )
        else:
            listed = value
        vector = np.asarray(listed, dtype=np.float32)
    except (ValueError, TypeError):
        return Trouble(Reason.BAD_VECTOR, f"not numbers: {str(value)[:60]!r}")
    if vector.ndim != 1 or not len(vector):
        return Trouble(Reason.BAD_VECTOR, f"not a list of numbers: {str(value)[:60]!r}")
    return vector if np.isfinite(vector).all() else Trouble(Reason.BAD_VECTOR, "not finite")


def vector_widths(found: Sequence[Table], vectors: Mapping[str, str]) -> dict[str, int]:
    """The width of each given vector: that of the first row that has one.

    Raises:
        DataError: no row has one.
    """
    widths: dict[str, int] = {}
    for name, column in vectors.items():
        for table in found:
            for frame in tables.frames(table, what="items", findings=Findings(), size=_ROWS):
                parsed = (parse_vector(value) for value in frame[column])
                first = next((len(vector) for vector in parsed if isinstance(vector, np.ndarray)), None)
                if first is not None:
                    widths.setdefault(name, first)
                    break
            if name in widths:
                break
        if name not in widths:
            raise DataError(f"the column {column!r} holds no vector", remedy="vectors are lists of finite numbers")
    return widths
