"""Keeping: document and figure of a comparison in its folder, and beside them those of comparisons with other settings."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transrec.recipes.comparing.figure import save_figure
from transrec.recipes.comparing.report import Comparison

DOCUMENT, FIGURE, EARLIER = "compare.json", "compare.png", "earlier"
ASKED = ("version", "run", "dataset", "settings", "trained_with")
"""What of a document says what was compared, and how."""


def note_that_the_test_is_opened(folder: Path) -> None:
    """Write it down beforehand, so that it stands there also where the comparison does not come to its end."""
    path = folder / DOCUMENT
    document: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"unfinished": True, "test_opened": []}
    document["test_opened"].append(datetime.now(UTC).isoformat(timespec="seconds"))
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def keep(comparison: Comparison, folder: Path) -> Path | None:
    """Write the numbers and the figure; the notes of when the test was opened stay.

    Args:
        comparison: what was found.
        folder: where the test has been noted as opened.

    Returns:
        where the comparison with other settings is that was here before; None where there was none.
    """
    path, document = folder / DOCUMENT, comparison.to_json()
    before = json.loads(path.read_text())
    aside = None
    if not before.get("unfinished") and _digest(before) != _digest(document):
        aside = folder / EARLIER / _digest(before)
        aside.mkdir(parents=True, exist_ok=True)
        for name in (DOCUMENT, FIGURE):
            if (folder / name).exists():
                shutil.copy2(folder / name, aside / name)
    document["test_opened"] = before["test_opened"]
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    save_figure(comparison, folder / FIGURE)
    shutil.rmtree(folder / EARLIER / _digest(document), ignore_errors=True)  # it is the newest again
    return aside


def _digest(document: Mapping[str, Any]) -> str:
    """Of what was asked: the same for a comparison that is done again, another as soon as anything was asked differently."""
    asked = {name: document.get(name) for name in ASKED}
    return hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=8).hexdigest()
