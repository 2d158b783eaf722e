"""The two verbs that read tables, as typed at a prompt."""

from pathlib import Path

import pytest

from transrec.cli import app
from transrec.errors import DataError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("events.csv").write_text("user_id,item_id,timestamp\na,1,5\na,2,6\na,9,7\nb,1,7\n")
    Path("items.csv").write_text("item_id,title,plot\n1,One,x\n2,Two,\n")


def typed(line: str) -> None:
    app(line.split(), result_action="return_value")


def test_ingest_tells_guesses_findings_counts_and_what_next(capsys: pytest.CaptureFixture[str]) -> None:
    typed("ingest --interactions events.csv --items items.csv --out DATA")
    told = capsys.readouterr().out
    for expected in (
        "user: user_id (guessed; --user to choose another)",
        "text: {title}. {plot} (guessed",
        "unknown item",
        "add them to the items",
        "2 users, 2 items (2 with text, 0 with image), 3 interactions -> DATA",
        "transrec train DATA --out RUN",
    ):
        assert expected in told
    assert Path("DATA/rejects.parquet").exists()


def test_several_files_and_flags(capsys: pytest.CaptureFixture[str]) -> None:
    Path("more.csv").write_text("user_id,item_id,timestamp\nc,1,5\n")
    typed("ingest --interactions events.csv more.csv --items items.csv --text title --min-user-events 2 --out DATA")
    told = capsys.readouterr().out
    assert "events.csv and 1 more" in told
    assert "2 events removed by the filter: users with at least 2 events" in told


def test_strict_is_an_error() -> None:
    with pytest.raises(DataError, match="unknown item"):
        typed("ingest --interactions events.csv --items items.csv --out DATA --strict")
    assert not Path("DATA").exists()


def test_check_of_tables_and_of_a_dataset_tell_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    typed("check --interactions events.csv --items items.csv --plots plots")
    tables = capsys.readouterr().out
    assert not Path("DATA").exists()
    assert sorted(path.name for path in Path("plots").iterdir()) == ["lengths.png", "popularity.png", "times.png"]
    typed("ingest --interactions events.csv --items items.csv --out DATA")
    capsys.readouterr()
    typed("check DATA")
    folder = capsys.readouterr().out
    for expected in ("unknown item", "popularity: Gini", "1 / 1.5 / 1.5 / 2", "items with text"):
        assert expected in tables
        assert expected in folder


def test_check_needs_something_to_check() -> None:
    with pytest.raises(DataError, match="--interactions FILE and --items FILE are missing"):
        typed("check")
