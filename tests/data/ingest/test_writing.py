"""A folder is there whole or not at all."""

from pathlib import Path

import polars as pl
import pytest

from transrec.data.catalog import Catalog, Item
from transrec.data.ingest.content import Part
from transrec.data.ingest.writing import CatalogWriter, catalog_schema, put_back, whole_folder
from transrec.data.reading.tables import find_tables
from transrec.errors import DataError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_folder_appears_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with whole_folder(out) as folder:
        (folder / "dataset.json").write_text("{}")
        assert not out.exists()
    assert names(out) == ["dataset.json"]
    assert names(out.parent) == ["out"]
    assert out.stat().st_mode & 0o777 == tmp_path.joinpath("deep").stat().st_mode & 0o777


def fail_within(out: Path) -> None:
    with whole_folder(out) as folder:
        assert names(folder) == ["store"]
        (folder / "dataset.json").write_text("new")
        raise RuntimeError


def test_an_old_folder_is_kept_when_the_work_fails(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "store").mkdir(parents=True)
    (out / "dataset.json").write_text("old")
    (out / "store" / "x").write_text("kept")
    with pytest.raises(RuntimeError):
        fail_within(out)
    assert (out / "dataset.json").read_text() == "old"
    with whole_folder(out) as folder:
        (folder / "dataset.json").write_text("new")
    assert ((out / "dataset.json").read_text(), (out / "store" / "x").read_text()) == ("new", "kept")
    assert names(tmp_path) == ["out"]


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    with whole_folder(tmp_path / "out") as folder:
        (folder / "dataset.json").write_text("{}")
    assert (tmp_path / "out").is_symlink()
    assert names(tmp_path / "real") == ["dataset.json"]


def test_columns_of_another_type_are_told(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a"], "price": [1]}).write_parquet(tmp_path / "t.parquet")
    schema = catalog_schema(find_tables([tmp_path / "t.parquet"], what="items"), ["price"], {})
    writer = CatalogWriter(tmp_path / "catalog.lance", schema)
    writer.write(Part([Item("a", text="x")], pl.DataFrame({"price": [1]})))
    writer.flush()
    assert Catalog.open(tmp_path / "catalog.lance").column("price").to_list() == [1]
    again = CatalogWriter(tmp_path / "catalog.lance", schema)
    with pytest.raises(DataError, match="'price' holds"):
        again.write(Part([Item("b", text="x")], pl.DataFrame({"price": ["cheap"]})))


def test_tables_that_differ_in_a_type_are_kept_as_text(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a"], "price": [1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"id": ["a"], "price": [1.5]}).write_parquet(tmp_path / "b.parquet")
    found = find_tables([tmp_path / "a.parquet", tmp_path / "b.parquet"], what="items")
    assert str(catalog_schema(found, ["price"], {"v": 3}).field("price").type) == "large_string"


def test_what_a_kill_between_the_two_renames_put_aside_is_put_back(tmp_path: Path) -> None:
    out, aside, other = tmp_path / "data", tmp_path / ".data.x1.ingest", tmp_path / ".data2.x1.ingest"
    for folder in (aside / "new", aside / "old", other / "old"):
        folder.mkdir(parents=True)
    (aside / "old" / "dataset.json").write_text("old")
    put_back(out)
    assert (out / "dataset.json").read_text() == "old" and names(aside) == ["new"] and names(other) == ["old"]
    (aside / "old").mkdir()
    put_back(out)  # there is one: nothing is touched
    assert names(aside) == ["new", "old"]
