"""Rows that are made of a file's rows keep their place in the file, on the fast path and on the careful one."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from transrec.data.reading.findings import Findings
from transrec.data.reading.recast import Recast
from transrec.data.reading.tables import LINE, ROW, Table, find_tables, frames, lazy_frames
from transrec.errors import DataError


def one_a_word(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select(ROW, LINE, "user", word=pl.col("words").str.split(" ")).explode("word")


SPLIT = Recast(("user", "words"), ("user", "word"), one_a_word)
TEXTS = {
    "tidy.csv": "user,other,words\na,x,one two\nb,x,three\n",
    "broken.csv": 'user,other,words\na,x,one two\nb,"x\nb,x,three\n',
    "plain.jsonl": '{"user": "a", "words": "one two", "other": 1}\n{"user": "b", "words": "three", "other": 1}\n',
    "nested.jsonl": '{"user": "a", "words": ["one", "two"]}\n[]\n{"user": "b", "words": "three", "other": {"a": 1}}\n',
}


def table(path: Path) -> Table:
    return find_tables([path], what="interactions", recasts={path: SPLIT})[0]


@pytest.mark.parametrize("name", [*TEXTS, *(f"{name}.gz" for name in TEXTS), "tidy.parquet"])
def test_rows_are_made_and_their_places_kept(tmp_path: Path, name: str) -> None:
    path, text = tmp_path / name, TEXTS.get(name.removesuffix(".gz"), "")
    if name.endswith(".parquet"):
        pl.DataFrame({"user": ["a", "b"], "other": [1, 2], "words": ["one two", "three"]}).write_parquet(path)
    else:
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    found = table(path)
    assert found.columns == ("user", "word")
    last = 3 if "broken" in name or "nested" in name else 2
    for reading in (
        [frame.collect() for frame in lazy_frames(found, ["word", "user"], what="interactions", findings=Findings())],
        list(frames(found, what="interactions", findings=Findings(), size=1)),
    ):
        rows = pl.concat([part.select(ROW, "user", "word") for part in reading]).rows()
        assert rows == [(1, "a", "one"), (1, "a", "two"), (last, "b", "three")]


def test_what_is_wrong_with_the_file_is_still_recorded(tmp_path: Path) -> None:
    (tmp_path / "broken.csv").write_text(TEXTS["broken.csv"])
    findings = Findings()
    list(lazy_frames(table(tmp_path / "broken.csv"), ["user"], what="interactions", findings=findings))
    assert findings.frame()["row"].to_list() == [2]


def test_a_file_without_the_columns_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,sentence\n")
    with pytest.raises(DataError, match="no column 'words', which this public format has"):
        table(tmp_path / "a.csv")


def test_other_files_are_taken_as_they_are(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(TEXTS["tidy.csv"])
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    found = find_tables(paths, what="interactions", recasts={paths[1]: SPLIT})
    assert [own.columns for own in found] == [("user", "other", "words"), ("user", "word")]
