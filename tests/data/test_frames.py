"""The rule of text templates."""

import polars as pl
import pytest

from transrec.data.frames import render_text
from transrec.errors import DataError

FILM = {"title": "Toy Story", "year": 1995, "plot": "A boy."}


@pytest.mark.parametrize(
    ("template", "missing", "expected"),
    [
        ("title", "", "Toy Story"),
        ("{title}. {plot}", "", "Toy Story. A boy."),
        ("{title}. {plot}", "plot", "Toy Story"),
        ("{title}. {plot}", "title", "A boy."),
        ("{title} ({year}). {plot}", "", "Toy Story (1995). A boy."),
        ("{title} ({year}). {plot}", "year", "Toy Story. A boy."),
        ("{title} ({year}). {plot}", "title", "(1995). A boy."),
        ("{title} ({year})", "year", "Toy Story"),
        ("{title} ({year})", "title", "(1995)"),
        ("Film: {title}, from {year}!", "year", "Film: Toy Story!"),
        ("Film: {title}, from {year}!", "title", "1995!"),
        ("{title}. {plot}", "title plot", None),
    ],
)
def test_a_literal_goes_with_its_column(template: str, missing: str, expected: str | None) -> None:
    row = {name: None if name in missing.split() else value for name, value in FILM.items()}
    frame = pl.DataFrame([row], schema={"title": pl.String, "year": pl.Int64, "plot": pl.String})
    assert render_text(frame, template).to_list() == [expected]


def test_white_space_is_nothing() -> None:
    assert render_text(pl.DataFrame({"a": ["  "], "b": [" x "]}), "{a}, {b}").to_list() == ["x"]


def test_a_template_without_a_known_column_is_told() -> None:
    with pytest.raises(DataError, match="names no column"):
        render_text(pl.DataFrame({"a": ["x"]}), "nothing")
    with pytest.raises(DataError, match="'b'"):
        render_text(pl.DataFrame({"a": ["x"]}), "{b}")
