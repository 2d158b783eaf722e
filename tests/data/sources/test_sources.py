"""Every public format is documented where people look for it, and a wrong name or folder is told."""

import re
from pathlib import Path
from typing import get_args

import pytest

from transrec.data.ingest.inputs import FileSettings
from transrec.data.sources import SOURCES, SourceName, read_layout
from transrec.errors import DataError

PAGE = (Path(__file__).parents[3] / "docs" / "howto" / "sources.md").read_text()


@pytest.mark.parametrize("name", SOURCES)
def test_the_page_has_a_section_and_the_command_of_every_source(name: str) -> None:
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    own = [section for section in sections if f"`{name}`" in section.splitlines()[0]]
    assert len(own) == 1
    assert f"transrec ingest --source {name} " in own[0]
    for label in ("**Where:**", "**Terms:**", "**Read:**", "**Left aside:**"):
        assert label in own[0], f"{name} does not say {label}"


def test_the_page_names_no_source_that_is_not_there() -> None:
    assert set(re.findall(r"--source ([a-z0-9]+)", PAGE)) == set(SOURCES)


def test_the_flag_names_every_source() -> None:
    told = FileSettings.model_fields["source"].description or ""
    assert [name for name in SOURCES if not re.search(rf"\b{name}\b", told)] == []


def test_the_type_of_names_and_the_sources_agree() -> None:
    assert get_args(SourceName) == tuple(SOURCES)


def test_an_unknown_source_and_a_missing_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="known are recbole"):
        read_layout("netflix", tmp_path)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="is not a folder"):
        read_layout("mind", tmp_path / "absent")
