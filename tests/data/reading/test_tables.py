"""Tables are found by name and glob, and their kind by how they end."""

from pathlib import Path

import polars as pl
import pytest

from transrec.data.reading.findings import Findings
from transrec.data.reading.tables import LINE, ROW, about_rows, find_tables, frames, lazy_frames
from transrec.errors import DataError


def test_globs_are_sorted_and_files_named_twice_are_read_once(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.tsv"):
        (tmp_path / name).write_text("u\ti\n1\t2\n" if name.endswith("tsv") else "u,i\n1,2\n")
    found = find_tables([str(tmp_path / "*.csv"), tmp_path / "c.tsv", tmp_path / "a.csv"], what="items")
    assert [table.path.name for table in found] == ["a.csv", "b.csv", "c.tsv"]
    assert {table.columns for table in found} == {("u", "i")}


@pytest.mark.parametrize("name", ["*", "^user.*$"])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_column_whose_name_stands_for_several_is_refused(tmp_path: Path, name: str, ending: str) -> None:
    path = tmp_path / f"views.{ending}"
    write = {"csv": pl.DataFrame.write_csv, "jsonl": pl.DataFrame.write_ndjson, "parquet": pl.DataFrame.write_parquet}
    write[ending](pl.DataFrame({"user": ["u1"], name: ["x"]}), path)
    with pytest.raises(DataError, match="stands for several columns"):
        find_tables([path], what="interactions")


def test_a_parquet_file_whose_texts_are_no_texts_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "views.parquet"
    pl.DataFrame({"user": ["u1"], "item": ["i1"]}).write_parquet(path)
    path.write_bytes(path.read_bytes().replace(b"user", b"us\xea\xff"))
    with pytest.raises(DataError, match="not a Parquet file, or a damaged one"):
        find_tables([path], what="interactions")


@pytest.mark.parametrize(
    ("name", "told"),
    [("none-*.csv", "no file 'none"), ("folder", "a folder"), ("t.xlsx", "no kind"), ("bad.parquet", "not a Parquet file")],
)
def test_what_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    (tmp_path / "bad.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match=told):
        find_tables([name], what="items")


@pytest.mark.parametrize("tidy", [True, False])
def test_rows_and_lines_are_those_of_the_file(tmp_path: Path, tidy: bool) -> None:
    path = tmp_path / "t.csv"
    path.write_text("u,i\na,1\n" + ("" if tidy else "\n") + "b,2\n")
    [table] = find_tables([path], what="interactions")
    [frame] = lazy_frames(table, ["i"], what="interactions", findings=Findings())
    assert frame.collect().select(ROW, LINE, "i").rows() == [(1, 2, "1"), (2, 3 if tidy else 4, "2")]
    assert about_rows(table) == 3 + (not tidy)


def test_parts_are_of_the_size_asked_for_and_count_on(tmp_path: Path) -> None:
    pl.DataFrame({"i": range(5)}).write_parquet(tmp_path / "t.parquet")
    [table] = find_tables([tmp_path / "t.parquet"], what="items")
    parts = list(frames(table, what="items", findings=Findings(), size=2))
    assert [part[ROW].to_list() for part in parts] == [[1, 2], [3, 4], [5]]
