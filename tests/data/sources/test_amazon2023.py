"""Amazon Reviews 2023 is read as it is published: reviews or ratings, and products with lists, objects and photos."""

import gzip
import json
from pathlib import Path

import pytest
from PIL import Image
from public_formats import write_amazon2023

from transrec.data.ingest.choices import ItemSettings
from transrec.data.ingest.fetch import FetchSettings
from transrec.data.ingest.ingest import Ingested, ingest
from transrec.data.ingest.inputs import FileSettings, IngestSettings, open_input
from transrec.data.sources.amazon2023 import amazon2023, photo_address
from transrec.errors import DataError

USER = "AGKHLEW2SOWHNMFQIJGBECAF7INQ"
RATINGS = f"user_id,parent_asin,rating,timestamp\n{USER},B00YQ6X8EO,5.0,1588687728923\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_amazon2023(tmp_path / "amazon")


def read(folder: Path, out: Path, **settings: object) -> Ingested:
    return ingest(IngestSettings(files=FileSettings(source=("amazon2023", folder)), **settings), out)


def test_reviews_are_events_in_seconds_with_their_rating(folder: Path, tmp_path: Path) -> None:
    found = read(folder, tmp_path / "data")
    interactions = found.dataset.interactions
    assert interactions.users.to_list() == [USER]
    assert [found.dataset.catalog.ids[row] for row in interactions.rows] == ["B00YQ6X8EO", "0123456789"]
    assert interactions.times.tolist() == [1588687728.923, 1588692728.923]
    assert interactions.weights is not None
    assert interactions.weights.tolist() == [5, 2]
    assert [(tally.reason.value, tally.dropped) for tally in found.findings.tallies()] == [("duplicate event", 1)]


def test_products_have_lists_as_text_and_the_rest_as_columns(folder: Path, tmp_path: Path) -> None:
    catalog = read(folder, tmp_path / "data").dataset.catalog
    assert catalog.ids == ["B00YQ6X8EO", "0123456789"]
    assert catalog.column("text").to_list() == [
        "Hair spray. All day hold Sulfate free. If given the choice, you would. Made with salt.",
        "Comb",
    ]
    assert catalog.column("price").to_list() == ["14.5", None]
    assert json.loads(catalog.column("details")[0]) == {"Brand": "HIMBERRY", "Hair Type": "Curly"}
    assert catalog.column("photo_address").to_list() == ["https://example.org/main.jpg", None]


def test_photos_are_used_only_where_they_are_fetched_or_at_hand(folder: Path, tmp_path: Path) -> None:
    def chosen(**settings: object) -> str | None:
        given = open_input(IngestSettings(files=FileSettings(source=("amazon2023", folder)), **settings))
        assert given.item_columns is not None
        return given.item_columns.image.column

    fetch = FetchSettings(fetch_images=True, fetch_private=True)
    assert chosen() is None
    assert chosen(fetch=fetch) == "photo_address"
    assert chosen(fetch=fetch, content=ItemSettings(image_column="none")) is None
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (30, 40)).save(tmp_path / "photos" / "0123456789.jpg")
    found = read(folder, tmp_path / "data", content=ItemSettings(images=tmp_path / "photos"), fetch=fetch)
    assert [item.has("image") for item in found.dataset.catalog.items([0, 1])] == [False, True]


@pytest.mark.parametrize(
    ("images", "address"),
    [
        ('[{"large": "a", "variant": "PT01"}, {"large": "b", "variant": "MAIN"}]', "b"),
        ('[{"large": null, "hi_res": "h", "thumb": "t", "variant": "MAIN"}]', "h"),
        ('[{"large": "a"}]', "a"),
        ('[{"large": null, "variant": "MAIN"}, {"large": "a", "variant": "PT01"}]', "a"),
        ("[]", None),
        ("[1, null]", None),
        ('{"large": ["a"]}', None),
        ("[", None),
    ],
)
def test_the_main_photo_else_the_first(images: str, address: str | None) -> None:
    assert photo_address(images) == address


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("split", [True, False])
def test_ratings_of_the_benchmark(tmp_path: Path, compressed: bool, split: bool) -> None:
    folder = write_amazon2023(tmp_path / "amazon")
    (folder / "All_Beauty.jsonl.gz").unlink()
    last = f"user_id,parent_asin,rating,timestamp,history\n{USER},0123456789,2.0,1588692728923,B00YQ6X8EO\n"
    files = {"All_Beauty.csv": RATINGS + last.splitlines(keepends=True)[1].replace(",B00YQ6X8EO", "")}
    if split:
        header = "user_id,parent_asin,rating,timestamp,history\n"
        first = RATINGS.splitlines()[1] + ",\n"
        files = {"All_Beauty.train.csv": header + first, "All_Beauty.valid.csv": last, "All_Beauty.test.csv": header}
    (folder / "5core").mkdir()
    for name, text in files.items():
        path = folder / "5core" / (name + (".gz" if compressed else ""))
        path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    found = read(folder, tmp_path / "data")
    assert [found.dataset.catalog.ids[row] for row in found.dataset.interactions.rows] == ["B00YQ6X8EO", "0123456789"]
    assert found.dataset.interactions.times.tolist() == [1588687728.923, 1588692728.923]
    assert len(found.findings) == 0


def test_a_time_that_is_no_number_is_told_as_it_stands(folder: Path, tmp_path: Path) -> None:
    (folder / "All_Beauty.jsonl.gz").unlink()
    (folder / "All_Beauty.csv").write_text(RATINGS + f"{USER},0123456789,5.0,soon\n")
    told = read(folder, tmp_path / "data").findings.frame()
    assert told.select("row", "reason", "detail").rows() == [(2, "bad or missing time", "soon")]


def test_several_categories_are_read_together(folder: Path, tmp_path: Path) -> None:
    product = {"parent_asin": "B1", "title": "Drill", "features": [], "description": [], "images": []}
    (folder / "meta_Tools.jsonl").write_text(json.dumps(product) + "\n")
    (folder / "Tools.csv").write_text(f"user_id,parent_asin,rating,timestamp\n{USER},B1,4.0,1588687728000\n")
    layout = amazon2023(folder)
    assert [path.name for path in layout.items] == ["meta_All_Beauty.jsonl.gz", "meta_Tools.jsonl"]
    assert [path.name for path in layout.interactions] == ["All_Beauty.jsonl.gz", "Tools.csv"]
    found = read(folder, tmp_path / "data")
    assert found.dataset.catalog.ids == ["B00YQ6X8EO", "0123456789", "B1"]
    assert found.dataset.interactions.rows.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("more", "gone", "told"),
    [
        ({}, "meta_All_Beauty.jsonl.gz", r"holds no meta_CATEGORY\.jsonl"),
        ({}, "All_Beauty.jsonl.gz", r"there is no All_Beauty\.jsonl or All_Beauty\.jsonl\.gz"),
        ({"All_Beauty.csv": RATINGS}, None, "events of All_Beauty are here 2 times"),
        ({"All_Beauty.jsonl": "{}\n"}, None, r"All_Beauty\.jsonl.* is here 2 times"),
        ({"All_Beauty.train.csv": RATINGS}, "All_Beauty.jsonl.gz", r"there is no All_Beauty\.valid\.csv"),
        ({"All_Beauty.csv": "user_id,asin,rating,timestamp\n"}, "All_Beauty.jsonl.gz", "no column 'parent_asin'"),
        ({"meta_All_Beauty.jsonl": '{"asin": "B1"}\n'}, "meta_All_Beauty.jsonl.gz", "no column 'parent_asin'"),
    ],
)
def test_a_folder_that_cannot_be_read_is_told(
    folder: Path, tmp_path: Path, more: dict[str, str], gone: str | None, told: str
) -> None:
    if gone:
        (folder / gone).unlink()
    for name, text in more.items():
        (folder / name).write_text(text)
    with pytest.raises(DataError, match=told):
        read(folder, tmp_path / "data")
