"""The table of widths, written by hand."""

from __future__ import annotations

from pathlib import Path

from told import Told

from transrec.evaluation.intervals import Interval
from transrec.recipes.studies.width_lines import WidthLine, WidthStudy
from transrec.recipes.studies.width_tables import keep, markdown_table, tell

SMALL = WidthLine(8, "index", Interval(0.1, 0.05, 0.15), Interval(-0.02, -0.03, 0.01), 2048, 1_000, 1.25, 0.5)
WHOLE = WidthLine(16, "whole", Interval(0.12, 0.1, 0.2), None, 4096, 1_000, 1.5, 1.0)


def study(*lines: WidthLine) -> WidthStudy:
    return WidthStudy("run on data, by width", "NDCG@10", "validation", 1_234, lines, {})


def test_everything_stands_in_both_tables(tmp_path: Path) -> None:
    told = markdown_table(study(SMALL, WHOLE)).splitlines()
    assert (
        told[4] == "| 8 | index cut | 0.1000 [0.0500, 0.1500] | -0.0200 [-0.0300, +0.0100] | 2 KiB | 1,000 | 1.25 | 0.50 |"
    )
    assert told[5] == "| 16 | whole run | 0.1200 [0.1000, 0.2000] | - | 4 KiB | 1,000 | 1.50 | 1.00 |"
    assert told[7].startswith("- NDCG@10 over 1,234 validation targets, one training")
    console = Told()
    tell(study(SMALL, WHOLE), tmp_path, console)
    for shown in ("index cut", "-.0200", "[-.0300,+.0100]", "2 KiB", "at full width", "study.json"):
        assert shown in " ".join(console.text.split())


def test_users_read_at_full_width_are_named_only_where_there_are_some(tmp_path: Path) -> None:
    assert "full width" not in markdown_table(study(WHOLE))
    keep(study(SMALL, WHOLE), tmp_path)
    assert (tmp_path / "study.png").read_bytes()[:4] == b"\x89PNG" and (tmp_path / "study.json").exists()
