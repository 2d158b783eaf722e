"""The figure of a study, for kinds and for sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image
from studying_ground import Done

from transrec.recipes.comparing.figure import AS_IT_IS, FROM_SCRATCH, MOVED
from transrec.recipes.studies.figure import save_figure


def colours(path: Path) -> set[str]:
    with Image.open(path) as image:
        assert min(image.size) > 400
        found = image.convert("RGB").getcolors(1 << 24) or []
    return {"#{:02x}{:02x}{:02x}".format(*colour) for _, colour in found}


def test_kinds_are_drawn_in_the_colours_of_their_rows(done: Done) -> None:
    assert {FROM_SCRATCH, AS_IT_IS, MOVED} <= colours(done.folder / "study.png")


def test_sizes_are_drawn_as_curves(done: Done, tmp_path: Path) -> None:
    lines = tuple(replace(line, size=50 * 2**place) for place, line in enumerate(done.study.lines))
    save_figure(replace(done.study, lines=lines), tmp_path / "sizes.png")
    assert {FROM_SCRATCH, AS_IT_IS, MOVED} <= colours(tmp_path / "sizes.png")


def test_one_line_without_a_transfer_is_drawn(done: Done, tmp_path: Path) -> None:
    first = done.study.lines[0]
    findings = replace(
        first.comparison.findings, transfers=(), evidence=replace(first.comparison.findings.evidence, transfer=None)
    )
    alone = replace(first, comparison=replace(first.comparison, findings=findings))
    for size in (None, 300):
        save_figure(replace(done.study, lines=(replace(alone, size=size),)), tmp_path / "one.png")
        assert FROM_SCRATCH in colours(tmp_path / "one.png")
