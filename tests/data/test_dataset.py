"""Dataset folders: written, opened, refused."""

import json
from pathlib import Path

import polars as pl
import pytest

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.errors import DataError


@pytest.fixture
def dataset() -> Dataset:
    catalog = Catalog.from_items([Item("x", text="X"), Item("y", image=b"picture")])
    events = pl.DataFrame({"user_id": ["a", "a"], "item_id": ["x", "y"], "timestamp": [1, 2]})
    return Dataset(catalog, Interactions.from_frame(events, catalog), name="tiny", manifest={"filters": []})


def test_saved_and_opened_is_the_same(dataset: Dataset, tmp_path: Path) -> None:
    saved = dataset.save(tmp_path / "data")
    assert (saved.name, saved.folder, saved.fingerprint) == ("tiny", tmp_path / "data", dataset.fingerprint)
    assert saved.store_folder == tmp_path / "data" / "store"
    assert dataset.store_folder is None
    manifest = json.loads((tmp_path / "data" / "dataset.json").read_text())
    assert list(manifest)[:2] == ["format", "name"]
    assert (manifest["users"], manifest["items"], manifest["interactions"]) == (1, 2, 2)
    assert manifest["modalities"] == {"text": 1, "image": 1}
    assert manifest["filters"] == []


def test_counts_are_those_of_the_data_not_of_an_older_manifest(dataset: Dataset, tmp_path: Path) -> None:
    old = Dataset(dataset.catalog, dataset.interactions, "tiny", None, {"items": 99, "format": 0})
    assert old.save(tmp_path / "data").manifest["items"] == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "no dataset.json"), ("{", "cannot be read"), ('{"format": 99}', "format 99"), ('{"format": 1}', "no catalog")],
)
def test_what_is_no_dataset_is_told(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=told):
        Dataset.open(tmp_path)
