"""Summary: fates added up by part, with further columns where they say something."""

from __future__ import annotations

from dataclasses import replace

from transrec.rules import Fate, pace_columns, summarised

TEXT = "items.encoders.text.backbone."
USUAL = (
    Fate(TEXT + "embeddings.weight", (7, 4), "backbone", False),
    Fate(TEXT + "layer.0.weight", (4, 4), "backbone", True, rate=5e-5, from_epoch=1),
    Fate(TEXT + "layer.1.weight", (4, 4), "backbone", True, rate=5e-5, from_epoch=1),
    Fate("users.weight", (4, 2), "fresh", True, rate=1e-3, from_epoch=1),
    Fate("users.bias", (4,), "copy", False),
    Fate("old", (), "drop", False),
)


def test_parts_are_added_up_with_the_ends_of_their_paces() -> None:
    rows = {(row.part, row.source): row for row in summarised(USUAL)}
    assert [row.part for row in rows.values()] == ["items.encoders.text", "users", "users", "old"]
    text = rows["items.encoders.text", "backbone"]
    assert (text.learning, text.total, text.rates, text.epochs, text.held) == (32, 60, (5e-5, 5e-5), (1, 1), 0)
    resting = rows["users", "copy"]
    assert (resting.learning, resting.total, resting.rates, resting.epochs, resting.held) == (0, 4, None, None, 0)


def test_the_table_has_no_further_columns_where_all_learn_alike() -> None:
    alike = [replace(fate, rate=1e-3) if fate.rate else fate for fate in USUAL]
    assert pace_columns(summarised(alike)) == {}
    unsaid = [replace(fate, rate=None, from_epoch=None) for fate in USUAL]  # as earlier runs were written
    assert pace_columns(summarised(unsaid)) == {}


def test_a_column_is_there_where_it_says_something() -> None:
    rate = {"rate": ["5e-05", "0.001", "", ""]}
    assert pace_columns(summarised(USUAL)) == rate
    slower = [replace(fate, rate=1.25e-5) if "layer.0" in fate.name else fate for fate in USUAL]
    assert pace_columns(summarised(slower)) == {"rate": ["1.25e-05 to 5e-05", "0.001", "", ""]}
    later = [replace(fate, from_epoch=1001) if ".layer." in fate.name else fate for fate in USUAL]
    assert pace_columns(summarised(later)) == {**rate, "from epoch": ["1001", "1", "", ""]}
    later[2] = replace(later[2], from_epoch=2)
    assert pace_columns(summarised(later)) == {**rate, "from epoch": ["2 to 1001", "1", "", ""]}
    held = [replace(fate, held=fate.learns and TEXT in fate.name) for fate in USUAL]
    assert pace_columns(summarised(held)) == {**rate, "held": ["yes", "no", "", ""]}
    held[1] = USUAL[1]
    assert pace_columns(summarised(held)) == {**rate, "held": ["in part", "no", "", ""]}
