"""Keeping: document and figure of a comparison in its folder, and beside them those of comparisons with other settings."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transrec.recipes.comparing.figure import save_figure
from transrec.recipes.comparing.going_on import take_json
from transrec.recipes.comparing.report import Comparison
from transrec.recipes.opening import kept_document, write_document

DOCUMENT, FIGURE, EARLIER = "compare.json", "compare.png", "earlier"
ASKED = ("version", "run", "dataset", "settings", "trained_with")
"""What of a document says what was compared, and how."""


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
    before = kept_document(path) or {"unfinished": True, "test_opened": []}
    aside = None
    if not before.get("unfinished") and _digest(before) != _digest(document):
        aside = folder / EARLIER / _digest(before)
        aside.mkdir(parents=True, exist_ok=True)
        for name in (DOCUMENT, FIGURE):
            if (folder / name).exists():
                shutil.copy2(folder / name, aside / name)
    document["test_opened"] = before["test_opened"]
    write_document(document, path)
    save_figure(comparison, folder / FIGURE)
    shutil.rmtree(folder / EARLIER / _digest(document), ignore_errors=True)  # it is the newest again
    return aside


def _digest(document: Mapping[str, Any]) -> str:
    """Of what was asked: the same for a comparison that is done again, another as soon as anything was asked differently."""
    asked = {name: document.get(name) for name in ASKED}
    return hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=8).hexdigest()
