"""The versions of all formats that the code writes, as they stand in the source."""

from __future__ import annotations

import re
from pathlib import Path

import transrec

WRITTEN = re.compile(r"""^(?:FORMAT|VERSION) = (\d+)|"format": (\d+)|^HEAD = b".* (\d+)\\n\"""", re.MULTILINE)


def formats_in_code() -> dict[str, list[int]]:
    """By file of the package, the numbers of the formats that it declares, in their order."""
    root = Path(transrec.__file__).parent
    found = {}
    for path in sorted(root.rglob("*.py")):
        numbers = [int(next(filter(None, own))) for own in WRITTEN.findall(path.read_text(encoding="utf-8"))]
        if numbers:
            found[path.relative_to(root).as_posix()] = numbers
    return found
