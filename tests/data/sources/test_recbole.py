"""RecBole's atomic files are read as they are published."""

from pathlib import Path

import pytest

from transrec.data.dataset import Dataset
from transrec.data.ingest.ingest import ingest
from transrec.data.ingest.inputs import FileSettings, IngestSettings
from transrec.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tiny"
    path.mkdir()
    (path / "tiny.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n186\t302\t3\t891717742\n"
    )
    (path / "tiny.item").write_text(
        "item_id:token\tmovie_title:token_seq\tclass:token_seq\temb:float_seq\n"
        '242\tKolya "the boy\tComedy Drama\t0.5 1\n302\tL.A. Confidential\tCrime\t\n'
    )
    return path


def test_events_texts_and_vectors(folder: Path, tmp_path: Path) -> None:
    found = ingest(IngestSettings(files=FileSettings(source=("recbole", folder))), tmp_path / "data")
    data = Dataset.open(tmp_path / "data")
    assert len(found.findings) == 0
    items = data.catalog.items([0, 1])
    assert [item.text for item in items] == ['Kolya "the boy. Comedy Drama', "L.A. Confidential. Crime"]
    assert items[0].vectors["emb"].tolist() == [0.5, 1]
    assert items[1].vectors == {}
    assert data.interactions.weights is not None
    assert data.interactions.to_frame()["time"].to_list() == [891717742.0, 881250949.0]


def test_a_folder_without_items_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "tiny.item").unlink()
    with pytest.raises(DataError, match=r"0 files end in \.item"):
        ingest(IngestSettings(files=FileSettings(source=("recbole", folder))), tmp_path / "data")
