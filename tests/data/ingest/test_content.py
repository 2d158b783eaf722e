"""Rows of items become items; what a picture column may hold."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from transrec.data.catalog import Item
from transrec.data.ingest.choices import ItemSettings, choose_item_columns
from transrec.data.ingest.content import ItemReader, Roll, id_strings
from transrec.data.ingest.fetch import Fetcher, FetchSettings
from transrec.data.pictures import PictureSettings
from transrec.data.reading.findings import Findings
from transrec.data.reading.tables import find_tables
from transrec.errors import DataError

Read = Callable[..., tuple[list[Item], Findings, Roll]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def _read(frame: pl.DataFrame, **settings: object) -> tuple[list[Item], Findings, Roll]:
        frame.write_parquet(tmp_path / "items.parquet")
        found = find_tables([tmp_path / "items.parquet"], what="items")
        chosen = ItemSettings(**settings)  # type: ignore[arg-type]
        reader = ItemReader(
            choose_item_columns(found, chosen), chosen, PictureSettings(), Fetcher(FetchSettings(), tmp_path / "kept")
        )
        roll, findings = Roll(), Findings()
        parts = list(reader.read(found, roll, findings, widths={}, advance=lambda _: None))
        return [item for part in parts for item in part.items], findings, roll

    return _read


@pytest.mark.parametrize(
    ("ids", "expected"),
    [([1, 2], ["1", "2"]), ([1.0, None], ["1", None]), ([1.5, 2.0], ["1.5", "2.0"]), (["01", ""], ["01", None])],
)
def test_ids_are_strings(ids: list[object], expected: list[str | None]) -> None:
    assert id_strings(pl.Series(ids)).to_list() == expected


def test_a_list_of_strings_is_text(read: Read) -> None:
    items, _, _ = read(pl.DataFrame({"id": ["a"], "description": [["one", None, "two"]]}))
    assert items[0].text == "one two"


def test_pictures_as_structs_of_bytes_and_path(read: Read) -> None:
    items, findings, _ = read(pl.DataFrame({"id": ["a"], "text": ["x"], "image": [{"bytes": b"broken", "path": "a.png"}]}))
    assert items[0].image is None
    assert findings.frame()["reason"].to_list() == ["unreadable picture"]


def test_a_zero_byte_in_parquet_is_found(read: Read) -> None:
    items, findings, _ = read(pl.DataFrame({"id": ["a", "b\0", "c"], "text": ["x\0", "x", "fine"]}))
    assert [item.id for item in items] == ["c"]
    assert findings.frame()["reason"].to_list() == ["NUL byte", "NUL byte"]


def test_more_items_than_a_part_holds(read: Read) -> None:
    ids = [str(n % 9000) for n in range(10_000)]
    items, findings, roll = read(pl.DataFrame({"id": ids, "text": ids}))
    assert [item.id for item in items] == ids[:9000]
    assert (len(findings), roll.read, roll.repeated) == (0, 10_000, 1000)


def test_a_folder_that_is_not_there_or_empty_is_told(read: Read, tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["a"], "text": ["x"]})
    with pytest.raises(DataError, match="no folder of pictures"):
        read(frame, images=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        read(frame, images=tmp_path / "empty")
