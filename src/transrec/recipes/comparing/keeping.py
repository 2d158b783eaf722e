"""Keeping: document and figure of a comparison in its folder, and beside them those of comparisons with other settings."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transrec.data.sealing import write_whole
from transrec.errors import RunError
from transrec.recipes.comparing.figure import save_figure
from transrec.recipes.comparing.going_on import take_json
from transrec.recipes.comparing.report import Comparison

DOCUMENT, FIGURE, EARLIER = "compare.json", "compare.png", "earlier"
ASKED = ("version", "run", "dataset", "settings", "trained_with")
"""What of a document says what was compared, and how."""


def note_that_the_test_is_opened(folder: Path) -> None:
    """Write it down beforehand, so that it stands there also where the comparison does not come to its end.

    Raises:
        RunError: the document that is there is damaged.
    """
    document = kept_document(folder) or {"unfinished": True, "test_opened": []}
    document["test_opened"].append(datetime.now(UTC).isoformat(timespec="seconds"))
    folder.mkdir(parents=True, exist_ok=True)
    _write(document, folder / DOCUMENT)


def kept_document(folder: Path) -> dict[str, Any] | None:
    """What an earlier comparison has written, or began to; None where there is nothing.

    Raises:
        RunError: it is damaged. Nothing is put in its place, for it may be all that says when the test was opened.
    """
    path = folder / DOCUMENT
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document["test_opened"], list):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(
            "the document of an earlier comparison is damaged or cannot be read",
            where=str(path),
            remedy="move this file away and compare again: what is trained is found again. Keep it, for its list "
            "test_opened says when the test was opened before, and the next comparison no longer knows of that",
        ) from None
    found: dict[str, Any] = document
    return found


def keep(comparison: Comparison, folder: Path) -> Path | None:
    """Write the numbers and the figure; the notes of when the test was opened stay.

    Args:
        comparison: what was found.
        folder: where the test has been noted as opened.

    Returns:
        where the comparison with other settings is that was here before; None where there was none.

    Raises:
        RunError: the document that is there is damaged.
    """
    path, document = folder / DOCUMENT, {**comparison.to_json(), "take": take_json(comparison)}
    before = kept_document(folder) or {"unfinished": True, "test_opened": []}
    aside = None
    if not before.get("unfinished") and _digest(before) != _digest(document):
        aside = folder / EARLIER / _digest(before)
        aside.mkdir(parents=True, exist_ok=True)
        for name in (DOCUMENT, FIGURE):
            if (folder / name).exists():
                shutil.copy2(folder / name, aside / name)
    document["test_opened"] = before["test_opened"]
    _write(document, path)
    save_figure(comparison, folder / FIGURE)
    shutil.rmtree(folder / EARLIER / _digest(document), ignore_errors=True)  # it is the newest again
    return aside


def _write(document: Mapping[str, Any], path: Path) -> None:
    """As a whole: an interruption must not cost the notes of when the test was opened."""
    write_whole(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _digest(document: Mapping[str, Any]) -> str:
    """Of what was asked: the same for a comparison that is done again, another as soon as anything was asked differently."""
    asked = {name: document.get(name) for name in ASKED}
    return hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=8).hexdigest()
