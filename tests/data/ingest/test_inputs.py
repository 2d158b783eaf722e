"""What is read is settled before anything is read."""

from pathlib import Path

import pytest

from transrec.data.ingest.choices import EventSettings, ItemSettings
from transrec.data.ingest.inputs import FileSettings, IngestSettings, open_input
from transrec.errors import DataError


@pytest.fixture
def files(tmp_path: Path) -> FileSettings:
    (tmp_path / "e.csv").write_text("who,movie_id,date\n")
    (tmp_path / "i.csv").write_text("movie_id,name,poster\n")
    return FileSettings(interactions=(str(tmp_path / "e.csv"),), items=(str(tmp_path / "i.csv"),))


def test_flags_and_guesses_together(files: FileSettings) -> None:
    given = open_input(IngestSettings(files=files, events=EventSettings(user="who")))
    assert {choice.role: (choice.column, choice.guessed) for own in given.choices.values() for choice in own} == {
        "user": ("who", False),
        "item": ("movie_id", True),
        "time": ("date", True),
        "weight": (None, True),
        "id": ("movie_id", True),
        "text": ("name", True),
        "picture": ("poster", True),
    }


@pytest.mark.parametrize(
    ("events", "content", "told"),
    [
        ({}, {}, "no column looks like the user"),
        ({"user": "who", "weight": "stars"}, {}, "no column 'stars'"),
        ({"user": "who", "min_weight": 2}, {}, "no column looks like the weight"),
        ({"user": "who"}, {"text": "{title}"}, "no column 'title'"),
        ({"user": "who"}, {"id": "movie"}, "no column 'movie'"),
        ({"user": "who"}, {"vectors": ["a=b"]}, "no column 'b'"),
        ({"user": "who"}, {"text": "none", "image_column": "none"}, "no content"),
    ],
)
def test_a_mistake_is_told_before_anything_is_read(files: FileSettings, events: dict, content: dict, told: str) -> None:
    settings = IngestSettings(files=files, events=EventSettings(**events), content=ItemSettings(**content))
    with pytest.raises(DataError, match=told):
        open_input(settings)


def test_a_source_and_tables_exclude_each_other(files: FileSettings, tmp_path: Path) -> None:
    both = FileSettings(interactions=files.interactions, source=("movielens", tmp_path))
    with pytest.raises(DataError, match="both"):
        open_input(IngestSettings(files=both))


def test_settings_survive_a_file(files: FileSettings, tmp_path: Path) -> None:
    settings = IngestSettings(files=files, content=ItemSettings(vectors=("a=b",)))
    settings.to_yaml(tmp_path / "s.yaml")
    assert IngestSettings.from_yaml(tmp_path / "s.yaml") == settings
