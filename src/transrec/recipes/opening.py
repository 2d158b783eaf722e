"""Opening: the document of a comparison or a study notes when the test split was opened, and is never half written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transrec.data.sealing import write_whole
from transrec.errors import RunError


def note_that_the_test_is_opened(path: Path) -> list[str]:
    """Write it down beforehand, so that it stands there also where what needs the test does not come to its end.

    Args:
        path: of the document; what stands in it stays.

    Returns:
        when the test has been opened, this time included.

    Raises:
        RunError: the document that is there is damaged.
    """
    document = kept_document(path) or {"unfinished": True, "test_opened": []}
    document["test_opened"].append(datetime.now(UTC).isoformat(timespec="seconds"))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_document(document, path)
    return list(document["test_opened"])


def kept_document(path: Path) -> dict[str, Any] | None:
    """What was written here before, or begun; None where there is nothing.

    Raises:
        RunError: it is damaged. Nothing is put in its place, for it may be all that says when the test was opened.
    """
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document["test_opened"], list):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(
            "the document of an earlier time is damaged or cannot be read",
            where=str(path),
            remedy="move this file away and start again: what is trained is found again. Keep it, for its list "
            "test_opened says when the test was opened before, and the next document no longer knows of that",
        ) from None
    found: dict[str, Any] = document
    return found


def write_document(document: Mapping[str, Any], path: Path) -> None:
    """As a whole: an interruption must not cost the notes of when the test was opened."""
    write_whole(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
