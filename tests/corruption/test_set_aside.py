"""Rows that cannot be used are set aside with their reason, counted, told with place and remedy; the others are used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from corruption import broken_pictures, broken_sources, broken_tables
from corruption.broken import INGEST, SetAside
from corruption.conftest import Ended
from PIL import Image

from transrec.data.dataset import Dataset

SET_ASIDE = [kind for file in (broken_tables, broken_pictures, broken_sources) for kind in file.SET_ASIDE]


@pytest.mark.parametrize("kind", SET_ASIDE, ids=lambda kind: kind.name)
def test_it_is_set_aside(kind: SetAside, folder: Path, typed: Callable[[str], Ended]) -> None:
    kind.spoils(folder)
    end = typed(kind.command)
    assert end.code == 0, end.told
    assert "Traceback" not in end.told
    assert "->" in end.told, "the remedy stands behind an arrow"
    assert [words for words in (kind.reason, *kind.told) if words not in end.told] == [], end.told
    rejects = pl.read_parquet("new/rejects.parquet").filter(pl.col("reason") == kind.reason)
    assert (len(rejects.filter(~pl.col("kept"))), len(rejects.filter("kept"))) == (kind.dropped, kind.kept)
    assert all((folder / file).is_file() for file in rejects["file"]) and (rejects["row"] >= 1).all()
    assert len(Dataset.open("new").catalog) >= kind.items
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", broken_pictures.READ)
def test_an_odd_picture_is_read(name: str, folder: Path, typed: Callable[[str], Ended]) -> None:
    (folder / "pictures" / "i0.png").write_bytes(broken_pictures.READ[name])
    assert typed(INGEST).code == 0
    assert not len(pl.read_parquet("new/rejects.parquet"))
    assert Dataset.open("new").catalog.items([0])[0].image


def test_a_limit_above_that_of_pillow_lets_larger_pictures_in(folder: Path, typed: Callable[[str], Ended]) -> None:
    Image.MAX_IMAGE_PIXELS, usual = 1000, Image.MAX_IMAGE_PIXELS
    try:
        (folder / "pictures" / "i0.png").write_bytes(broken_pictures.png(64, 64, b"\0" * 65 * 64))
        assert typed(INGEST).code == 0
        assert Image.MAX_IMAGE_PIXELS == 1000, "it is put back"
    finally:
        Image.MAX_IMAGE_PIXELS = usual
    assert not len(pl.read_parquet("new/rejects.parquet"))


def test_times_of_several_forms_and_of_the_far_future_are_read(folder: Path, typed: Callable[[str], Ended]) -> None:
    events = ["u1,i1,5", "u1,i2,2026-01-01", "u1,i3,2026-01-02T03:04:05+02:00", "u2,i1,9e17"]
    (folder / "views.csv").write_text("\n".join(["user,item,time", *events]) + "\n")
    assert typed(INGEST).code == 0
    assert Dataset.open("new").interactions.times.tolist() == [5.0, 1767225600.0, 1767315845.0, 9e17]
    told = typed("check new").told
    assert "time" in told and "Traceback" not in told
