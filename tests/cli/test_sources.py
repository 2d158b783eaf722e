"""Public formats, as typed at a prompt."""

from collections.abc import Callable
from pathlib import Path

import pytest
from public_formats import write_amazon2023, write_hm, write_mind

from transrec.cli import app
from transrec.data.dataset import Dataset
from transrec.errors import DataError

SAMPLES = [
    ("mind", write_mind, "2 users, 3 items (3 with text, 0 with image), 7 interactions"),
    ("amazon2023", write_amazon2023, "1 user, 2 items (2 with text, 0 with image), 2 interactions"),
    ("hm", write_hm, "2 users, 2 items (2 with text, 1 with image), 3 interactions"),
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def typed(line: str) -> None:
    app(line.split(), result_action="return_value")


@pytest.mark.parametrize(("source", "write", "told"), SAMPLES)
def test_ingest_reads_a_folder_without_further_flags(
    source: str, write: Callable[[Path], Path], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path("raw"))
    typed(f"ingest --source {source} raw --out DATA")
    shown = capsys.readouterr().out
    assert told in shown
    assert "guessed" not in shown.replace("picture: none (--image-column COLUMN to choose one)", "")
    before = Dataset.open("DATA")
    typed(f"ingest --source {source} raw --out DATA")  # the same again adds nothing
    after = Dataset.open("DATA")
    assert after.catalog.ids == before.catalog.ids
    assert after.interactions.to_frame().equals(before.interactions.to_frame())


@pytest.mark.parametrize(("source", "write"), [sample[:2] for sample in SAMPLES])
def test_check_reads_it_too(source: str, write: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]) -> None:
    write(Path("raw"))
    typed(f"check --source {source} raw")
    assert "items with text" in capsys.readouterr().out


@pytest.mark.parametrize("source", [sample[0] for sample in SAMPLES])
def test_an_empty_folder_is_told(source: str) -> None:
    Path("raw").mkdir()
    with pytest.raises(DataError, match="raw"):
        typed(f"ingest --source {source} raw --out DATA")
    assert not Path("DATA").exists()


@pytest.mark.parametrize("verb", ["ingest", "check"])
def test_help_names_the_sources(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed(f"{verb} --help")
    assert "(recbole, movielens, mind, amazon2023 or hm)" in " ".join(capsys.readouterr().out.split())


def test_a_misspelt_format_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app(["ingest", "--source", "minds", "raw", "--out", "DATA"])
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "--source: Input should be 'recbole'" in shown and "did you mean 'mind'?" in shown
