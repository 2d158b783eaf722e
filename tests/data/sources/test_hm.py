"""H&M's tables and photos are read as Kaggle has them."""

from pathlib import Path

import pytest
from public_formats import write_hm

from transrec.data.ingest.choices import ItemSettings
from transrec.data.ingest.ingest import Ingested, ingest
from transrec.data.ingest.inputs import FileSettings, IngestSettings
from transrec.errors import DataError


def read(folder: Path, out: Path, **content: object) -> Ingested:
    files = FileSettings(source=("hm", folder))
    return ingest(IngestSettings(files=files, content=ItemSettings(**content)), out)


def reasons(found: Ingested) -> list[tuple[str, int, int]]:
    return [(tally.reason.value, tally.dropped, tally.kept) for tally in found.findings.tallies()]


def test_purchases_keep_leading_zeros_and_have_no_weight(tmp_path: Path) -> None:
    found = read(write_hm(tmp_path / "hm"), tmp_path / "data")
    catalog, interactions = found.dataset.catalog, found.dataset.interactions
    assert catalog.ids == ["0108775015", "0108775044"]
    assert [user[:6] for user in interactions.users] == ["000000", "000058"]
    assert interactions.rows.tolist() == [0, 1, 0]  # on one day in the order of the table
    assert interactions.times.tolist() == [1537747200, 1537401600, 1537401600]
    assert interactions.weights is None


def test_articles_have_text_and_the_photo_of_their_subfolder(tmp_path: Path) -> None:
    found = read(write_hm(tmp_path / "hm"), tmp_path / "data")
    catalog = found.dataset.catalog
    assert catalog.column("text").to_list() == [
        'Strap top. Vest top. Black. Solid. Jersey top with narrow shoulder straps, and a "quote".',
        "Strap top. Vest top. White. Solid",
    ]
    assert [item.has("image") for item in catalog.items([0, 1])] == [True, False]
    assert catalog.column("colour_group_code").to_list() == ["09", "10"]
    assert reasons(found) == [("duplicate event", 1, 0), ("picture not found", 0, 1)]


def test_without_photos_there_is_text(tmp_path: Path) -> None:
    found = read(write_hm(tmp_path / "hm", images=False), tmp_path / "data")
    assert found.dataset.manifest["modalities"] == {"text": 2, "image": 0}
    assert reasons(found) == [("duplicate event", 1, 0)]


def test_photos_may_be_left_out(tmp_path: Path) -> None:
    found = read(write_hm(tmp_path / "hm"), tmp_path / "data", image_column="none")
    assert found.dataset.manifest["modalities"] == {"text": 2, "image": 0}
    assert reasons(found) == [("duplicate event", 1, 0)]


def test_photos_may_lie_elsewhere(tmp_path: Path) -> None:
    folder = write_hm(tmp_path / "hm")
    (folder / "images").rename(tmp_path / "small")
    found = read(folder, tmp_path / "data", images=tmp_path / "small", image_column="photo_file")
    assert found.dataset.manifest["modalities"] == {"text": 2, "image": 1}


@pytest.mark.parametrize("gone", ["transactions_train.csv", "articles.csv"])
def test_a_folder_without_a_table_is_told(tmp_path: Path, gone: str) -> None:
    folder = write_hm(tmp_path / "hm")
    (folder / gone).unlink()
    with pytest.raises(DataError, match=f"there is no {gone}"):
        read(folder, tmp_path / "data")
