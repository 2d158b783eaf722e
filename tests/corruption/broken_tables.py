"""Tables, encodings, times, ids and vectors that are wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
from corruption.broken import (
    INGEST,
    Refused,
    SetAside,
    a_folder_at,
    cut_short,
    nothing,
    with_instead,
    with_lines,
    with_text,
    without,
)

HEADER = "user,item,time\n"


def _as_parquet(folder: Path) -> None:
    pl.read_csv(folder / "views.csv").write_parquet(folder / "views.parquet")


def _truncated_parquet(folder: Path) -> None:
    _as_parquet(folder)
    cut_short("views.parquet")(folder)


def _damaged_pages(folder: Path) -> None:
    """The end of the file, by which it is opened, is whole; what it leads to is not."""
    _as_parquet(folder)
    content = bytearray((folder / "views.parquet").read_bytes())
    content[4:200] = b"\xff" * 196
    (folder / "views.parquet").write_bytes(content)


def _broken_gzip(folder: Path) -> None:
    packed = gzip.compress((folder / "views.csv").read_bytes())
    (folder / "views.csv.gz").write_bytes(packed[: len(packed) // 2])


def _no_gzip(folder: Path) -> None:
    (folder / "views.csv.gz").write_bytes((folder / "views.csv").read_bytes())


def _as_json_lines(folder: Path) -> None:
    pl.read_csv(folder / "views.csv").write_ndjson(folder / "views.jsonl")
    with_lines("views.jsonl", '{"user": "u1", "item": "i1", "time"')(folder)


def _utf16(folder: Path) -> None:
    (folder / "views.csv").write_text((folder / "views.csv").read_text(), encoding="utf-16")


def _events(name: str) -> str:
    return INGEST.replace("views.csv", name)


REFUSED = (
    Refused("no such table", without("views.csv"), INGEST, ("no file 'views.csv'", "check the spelling")),
    Refused("empty table", with_text("views.csv", ""), INGEST, ("views.csv", "is empty", "names of the columns")),
    Refused("only a header", with_text("views.csv", HEADER), INGEST, ("no event is left", "hold no rows", "transrec check")),
    Refused("folder for a table", a_folder_at("views.csv"), INGEST, ("views.csv is a folder", "files end in .csv")),
    Refused(
        "unknown kind of table", with_text("views.xlsx", "x"), _events("views.xlsx"), ("views.xlsx", "files end in .csv")
    ),
    Refused("missing column", with_instead("views.csv", "user,", "who,"), INGEST, ("views.csv", "--user COLUMN", "'who'")),
    Refused(
        "named column is missing",
        nothing,
        INGEST + " --time when",
        ("no column 'when' for the time", "'user', 'item', 'time'"),
    ),
    Refused("column twice", with_instead("views.csv", "item,", "user,"), INGEST, ("views.csv", "'user'", "its own name")),
    Refused("column without name", with_instead("views.csv", "item,", ","), INGEST, ("views.csv", "without a name")),
    Refused(
        "unknown separator",
        with_instead("views.csv", "user,item,time", "user/item/time"),
        INGEST,
        ("views.csv", "--user COLUMN"),
    ),
    Refused(
        "truncated Parquet",
        _truncated_parquet,
        _events("views.parquet"),
        ("views.parquet", "Parquet", "copy the file again"),
    ),
    Refused("damaged Parquet", _damaged_pages, _events("views.parquet"), ("views.parquet", "Parquet")),
    Refused("broken gzip", _broken_gzip, _events("views.csv.gz"), ("views.csv.gz", "gzip")),
    Refused("gzip by name only", _no_gzip, _events("views.csv.gz"), ("views.csv.gz", "gzip")),
    Refused("UTF-16", _utf16, INGEST, ("views.csv", "UTF-16", "--encoding utf-16")),
    Refused("unknown encoding", nothing, INGEST + " --encoding utf-99", ("utf-99", "--encoding")),
    Refused(
        "zero byte in the header", with_instead("views.csv", "item", "it\0em"), INGEST, ("views.csv", "zero byte", "tr -d")
    ),
    Refused("not a text", with_text("views.csv", bytes(range(256)) * 40), INGEST, ("views.csv",)),
    Refused(
        "no usable event", with_text("views.csv", HEADER + "u1,i1,x\n"), INGEST, ("bad or missing time", "transrec check")
    ),
    Refused("only unknown items", with_text("views.csv", HEADER + "u1,z,1\n"), INGEST, ("unknown item", "transrec check")),
    Refused(
        "strict",
        with_lines("views.csv", "u1,nobody,5"),
        INGEST + " --strict",
        ("unknown item (1)", "views.csv, row 49", "add them to the items", "leave --strict out"),
    ),
    Refused("no folder of pictures", without("pictures"), INGEST, ("no folder of pictures at pictures", "check --images")),
    Refused("no vector at all", with_instead("items.csv", "given", "x"), INGEST, ("no column 'given'", "--vectors")),
    Refused("columns of texts for vectors", nothing, INGEST.replace("=given", "=title"), ("'title' holds no vector",)),
    Refused("unknown column in the text", nothing, INGEST + " --text {headline}", ("headline", "'title'")),
)

SET_ASIDE = (
    SetAside("ragged row", with_lines("views.csv", "u1,i2"), "ragged row", 1, 0, ("views.csv, row 49", "2 fields where")),
    SetAside("unclosed quote", with_lines("views.csv", '"u1,i2,7'), "ragged row", 1, 0, ("not closed", "quote fields")),
    SetAside(
        "not UTF-8", with_lines("views.csv", b"caf\xe9,i2,7"), "wrong encoding", 1, 0, ("row 49", "--encoding latin-1")
    ),
    SetAside("zero byte", with_lines("views.csv", "u\0,i2,7"), "NUL byte", 1, 0, ("row 49", "tr -d")),
    SetAside(
        "broken JSON line",
        _as_json_lines,
        "not a JSON object",
        1,
        0,
        ("views.jsonl, row 49", "one JSON"),
        _events("views.jsonl"),
    ),
    SetAside("unparsable time", with_lines("views.csv", "u1,i2,soon"), "bad or missing time", 1, 0, ("soon", "ISO dates")),
    SetAside("time is no number", with_lines("views.csv", "u1,i2,NaN"), "bad or missing time", 1, 0, ("NaN", "ISO dates")),
    SetAside("missing time", with_lines("views.csv", "u1,i2,"), "bad or missing time", 1, 0, ("time is empty", "--time")),
    SetAside("impossible date", with_lines("views.csv", "u1,i2,2026-02-30"), "bad or missing time", 1, 0, ("2026-02-30",)),
    SetAside("missing user", with_lines("views.csv", ",i2,7"), "missing user", 1, 0, ("row 49", "--user COLUMN")),
    SetAside("missing item", with_lines("views.csv", "u1,,7"), "missing item", 1, 0, ("row 49", "--item COLUMN")),
    SetAside("unknown item", with_lines("views.csv", "u1,z,7"), "unknown item", 1, 0, ("row 49", "leading zeros")),
    SetAside("event twice", with_lines("views.csv", "u0,i0,0"), "duplicate event", 1, 0, ("row 49", "logged twice")),
    SetAside(
        "item without id", with_lines("items.csv", ",a thing,1,1 2 3 4"), "missing id", 1, 0, ("row 13", "--id COLUMN")
    ),
    SetAside(
        "item twice", with_lines("items.csv", "i0,other,1,1 2 3 4"), "duplicate id with different content", 1, 0, ("'i0'",)
    ),
    SetAside("item without content", with_lines("items.csv", "n,,1,"), "item without content", 1, 0, ("item 'n'",)),
    SetAside(
        "ragged vectors", with_lines("items.csv", "n,new,1,1 2"), "bad vector", 0, 1, ("2 numbers, not 4", "same width")
    ),
    SetAside("vector is no number", with_lines("items.csv", "n,new,1,1 2 nan 4"), "bad vector", 0, 1, ("not finite",)),
    SetAside("vector of words", with_lines("items.csv", "n,new,1,a b c d"), "bad vector", 0, 1, ("not numbers",)),
)
