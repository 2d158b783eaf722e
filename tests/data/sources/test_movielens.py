"""The three layouts of MovieLens are read as they are published."""

from pathlib import Path

import pytest

from transrec.data.dataset import Dataset
from transrec.data.ingest.ingest import ingest
from transrec.data.ingest.inputs import FileSettings, IngestSettings
from transrec.errors import DataError


def csv(folder: Path) -> None:
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,4.0,964982703\n1,1,3.5,964982224\n")
    (folder / "movies.csv").write_text(
        'movieId,title,genres\n1,Léon (1994),Action|Crime\n2,"American President, The (1995)",Comedy|Drama\n'
    )


def dat(folder: Path) -> None:
    (folder / "ratings.dat").write_text("1::2::4::964982703\n1::1::3::964982224\n")
    (folder / "movies.dat").write_bytes(
        "1::Léon (1994)::Action|Crime\n2::American President, The (1995)::Comedy|Drama\n".encode("latin-1")
    )


def old(folder: Path) -> None:
    (folder / "u.data").write_text("1\t2\t4\t964982703\n1\t1\t3\t964982224\n")
    flags = "|".join("0" * 19)
    lines = f"1|Léon (1994)|01-Jan-1994||http://x|{flags}\n2|American President, The (1995)|01-Jan-1995||http://x|{flags}\n"
    (folder / "u.item").write_bytes(lines.encode("latin-1"))


@pytest.mark.parametrize(("write", "genres"), [(csv, True), (dat, True), (old, False)])
def test_events_and_texts(tmp_path: Path, write, genres: bool) -> None:
    folder = tmp_path / "ml"
    folder.mkdir()
    write(folder)
    found = ingest(IngestSettings(files=FileSettings(source=("movielens", folder))), tmp_path / "data")
    assert len(found.findings) == 0
    data = Dataset.open(tmp_path / "data")
    assert data.catalog.ids == ["1", "2"]
    texts = [item.text for item in data.catalog.items([0, 1])]
    expected = [("Léon (1994)", "Action, Crime"), ("American President, The (1995)", "Comedy, Drama")]
    assert texts == [f"{title}. {genre}" if genres else title for title, genre in expected]
    assert data.interactions.rows.tolist() == [0, 1]
    assert data.interactions.times.tolist() == [964982224, 964982703]


def test_another_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no MovieLens data"):
        ingest(IngestSettings(files=FileSettings(source=("movielens", tmp_path))), tmp_path / "data")
