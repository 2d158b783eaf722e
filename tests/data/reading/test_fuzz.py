"""Whatever bytes a table holds, it is read or refused with an error of ours; and both readers read the same.

The quick suite gives each kind of file a second or two; the long one ten minutes in all.
"""

from __future__ import annotations

import gzip
import io
import math
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fuzzing import Fuzz

from transrec.data.reading.findings import Findings
from transrec.data.reading.tables import ROW, find_tables, frames, lazy_frames
from transrec.errors import DataError

CSV = b'user,item,time\nu1,i1,5\nu2,"a, ""quoted"" one",2026-01-01\n\nu3,i3,\n'
JSON = b'{"user": "u1", "item": "i1", "time": 5}\n{"user": "u2", "item": ["a", "b"], "time": 1.5e3}\n'
TOKENS = (
    b",",
    b"\n",
    b"\r\n",
    b'"',
    b'""',
    b"\t",
    b"|",
    b"::",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"user",
    b"{",
    b"}",
    b"[",
    b"null",
    b": ",
)
QUICK, LONG = 0.8, 600 / 5


def parquet() -> bytes:
    file = io.BytesIO()
    pl.DataFrame({"user": ["u1", "u2", None], "item": ["i1", "i2", "i3"], "time": [1.0, math.nan, 2.0]}).write_parquet(file)
    return file.getvalue()


SEEDS: dict[str, tuple[bytes, ...]] = {
    "views.csv": (CSV, CSV.replace(b",", b";"), b"a\n1\n", b""),
    "views.tsv": (CSV.replace(b",", b"\t"), b"a\tb\n"),
    "views.jsonl": (JSON, b"{}\n", b'{"a": 1}\n{"a": "x"}\n'),
    "views.parquet": (parquet(),),
    "views.csv.gz": (gzip.compress(CSV, mtime=0),),
}


def read(path: Path, content: bytes) -> None:
    """Read a table in both ways.

    Raises:
        AssertionError: the two ways differ in a row that both read.
    """
    path.write_bytes(content)
    try:
        [table] = find_tables([path], what="interactions")
        careful = list(frames(table, what="interactions", findings=Findings(), size=1000))
    except DataError as error:
        assert error.remedy and str(path) in str(error), error  # noqa: PT017  (whether it is raised is not what is asked)
        return
    if path.suffix in (".csv", ".tsv"):
        lazy = list(lazy_frames(table, table.columns, what="interactions", findings=Findings()))
        fast = [frame.collect() for frame in lazy]
        rows = {
            name: [row for part in parts for row in part.select(ROW, *table.columns).rows()]
            for name, parts in (("fast", fast), ("careful", careful))
        }
        assert rows["fast"] == rows["careful"]


def fuzzed(name: str, folder: Path, seconds: float, seed: int) -> Fuzz:
    watched = (f"data{os.sep}reading{os.sep}",)
    fuzz = Fuzz(lambda content: read(folder / name, content), watched, TOKENS, np.random.default_rng(seed))
    fuzz.run(SEEDS[name], seconds)
    return fuzz


@pytest.mark.parametrize("name", SEEDS)
def test_a_table_of_any_bytes_is_read_or_refused(name: str, tmp_path: Path) -> None:
    fuzz = fuzzed(name, tmp_path, QUICK, seed=0)
    assert fuzz.tried >= 25 and fuzz.reached


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_for_long(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int.from_bytes(os.urandom(4))
    with capsys.disabled():
        fuzz = fuzzed(name, tmp_path, LONG, seed)
        told = f"{fuzz.tried:,} inputs, {len(fuzz.reached):,} steps between lines, {len(fuzz.corpus)} kept"
        print(f"\n{name}: {told}, seed {seed}")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("views.csv", b"*"),
        ("views.tsv", b"a\t*\n"),
        ("views.csv", b'user,item,time\nu2,"a, "\x02quoted"" one,2026\n'),
        ("views.csv", b'a\n""\n!\n'),
        ("views.csv", b'user,item\n"a""b","c"\n"",""\n'),
        ("views.csv", b'user,item\na"b,c\n'),
    ],
)
def test_what_it_has_found_stays_mended(name: str, content: bytes, tmp_path: Path) -> None:
    read(tmp_path / name, content)


def test_the_fuzzer_finds_what_hides_behind_several_steps() -> None:
    """By chance alone it would take millions of inputs."""

    def hiding(content: bytes) -> None:
        if content[:1] == b"T":  # noqa: SIM102  (each step is a line)
            if content[1:2] == b"R":  # noqa: SIM102
                if content[2:3] == b"A":  # noqa: SIM102
                    if content[3:4] == b"P":
                        raise ValueError("trapped")

    fuzz = Fuzz(hiding, (__file__,), (b"T", b"R", b"A", b"P"), np.random.default_rng(0))
    with pytest.raises(AssertionError, match="TRAP") as found:
        fuzz.run([b"....."], seconds=0, fewest=100_000)
    assert "trapped" in repr(found.value.__cause__)
