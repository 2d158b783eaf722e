"""docs/systems/transrec.md says of every setting of the paper's preset that is not the default why it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transrec.recipes.fitting import TrainSettings

PAGE = Path(__file__).parents[2] / "docs" / "systems" / "transrec.md"
TABLE = "## Where the defaults differ, and the switch"


def differing(ours: Mapping[str, Any], published: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The dotted names of what is not the same; lists as a whole."""
    for name, value in ours.items():
        if isinstance(value, Mapping):
            yield from differing(value, published[name], f"{above}{name}.")
        elif value != published[name]:
            yield f"{above}{name}"


def test_every_difference_from_the_defaults_has_a_row(paper: TrainSettings) -> None:
    names = list(differing(TrainSettings().model_dump(mode="json"), paper.model_dump(mode="json")))
    table = PAGE.read_text().partition(TABLE)[2].partition("\n## ")[0]
    switches = [line.rsplit("|", 2)[1] for line in table.splitlines() if line.startswith("| ")]
    named = {word for cell in switches for word in re.findall(r"`[\w.]*?(\w+)(?: [^`]*)?`", cell)}
    assert len(names) > 20 and "model.scorer" in names, "there are differences"
    assert [name for name in names if name.rpartition(".")[2] not in named] == []
