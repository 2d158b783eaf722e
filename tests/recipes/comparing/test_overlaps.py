from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from comparing_ground import QUIET, Ground, asked, make_ground

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.data.overlap.overlap import Overlap, OverlapSettings, Shared
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.overlaps import Checked, check_sources, known_targets, told


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return make_ground(tmp_path)


def checked(bench: Bench) -> list[str]:
    return [line for found in check_sources(bench, OverlapSettings(), console=QUIET) for line in told(found)]


def test_platforms_that_share_nothing_but_numbers(ground: Ground) -> None:
    lines = checked(ground.bench())
    assert all("prove nothing" in line for line in lines) and len(lines) == 2
    assert not known_targets(check_sources(ground.bench(), OverlapSettings(), console=QUIET), ground.bench()).any()


def test_a_source_that_is_gone_is_said_not_to_have_been_compared(ground: Ground) -> None:
    shutil.rmtree(ground.folder / "source")
    [line] = checked(ground.bench())
    assert "could not be compared with the target" in line and "no longer where it was" in line
    [found] = check_sources(ground.bench(), OverlapSettings(), console=QUIET)
    assert found.to_json() | {"note": ""} == {
        "source": "small",
        "fingerprint": ground.source.fingerprint,
        "note": "",
        "checked": False,
        "shared": [],
    }


def test_a_source_that_was_in_memory_only(ground: Ground) -> None:
    bench = ground.bench()
    [source] = bench.record.data
    record = bench.record.model_copy(update={"data": (source.model_copy(update={"path": ""}),)})
    assert "it was in memory only" in checked(replace(bench, record=record))[0]


def test_a_source_that_cannot_be_read(ground: Ground) -> None:
    (ground.folder / "source" / "dataset.json").write_text("{")
    assert "dataset.json cannot be read" in checked(ground.bench())[0]


def test_a_source_that_has_changed_is_compared_as_it_is(ground: Ground) -> None:
    manifest = ground.folder / "source" / "catalog.lance"
    shutil.rmtree(manifest)
    texts = Catalog.from_items([Item(id=f"i{n}", text=f"new {n}") for n in range(50)])
    texts.save(manifest)
    assert "has changed since the run learned from it; compared as it is" in checked(ground.bench())[0]


def test_runs_before_the_run_are_checked_too(ground: Ground) -> None:
    bench = ground.bench()
    [source] = bench.record.data
    older = source.model_copy(update={"name": "older", "fingerprint": "0" * 32, "path": ""})
    record = bench.record.model_copy(update={"ancestors": (older, source)})
    names = [found.source.name for found in check_sources(replace(bench, record=record), OverlapSettings(), console=QUIET)]
    assert names == ["small", "older"], "each once"


def test_test_targets_of_known_items_and_users_are_found(ground: Ground) -> None:
    items = ground.target.catalog.items(range(50))
    copied = ground.source.catalog.items([3])[0]
    mixed = [replace(copied, id="mine") if row == 11 else item for row, item in enumerate(items)]
    events = ground.target.interactions.to_frame().with_columns(user=pl.concat_str(pl.lit("u"), "user"))
    target = Dataset(Catalog.from_items(mixed), Interactions.from_columns(events), name="mixed")
    bench = Bench.open(ground.run, target, asked())
    [found] = check_sources(bench, OverlapSettings(), console=QUIET)
    assert "in common with small: 1 identical content, such as 'mine' = 'i3'" in told(found)
    test = bench.whole.test
    assert (known_targets([found], bench) == (target.interactions.rows[test.positions] == 11)).all()
    json.dumps(found.to_json())


def test_of_how_many_is_told_where_samples_were_compared(ground: Ground) -> None:
    source, nothing = ground.bench().record.data[0], np.zeros(0, dtype=np.int64)
    near = Shared("near-duplicate texts", nothing, (), 50, 60, against=(70, 80))
    [line] = told(Checked(source, Overlap("small", Shared("user ids", nothing, (), 50, 50), (near,))))
    assert "near-duplicate texts (of 50 compared, 60 there are, with 70 of 80 of the source)" in line


@pytest.mark.parametrize(
    ("kind", "members", "line"),
    [
        ("near-duplicate texts", [3], "1 near-duplicate text"),
        ("near-duplicate texts", [3, 4], "2 near-duplicate texts"),
        ("user ids", [3], "1 user id"),
    ],
)
def test_one_is_told_in_the_singular(ground: Ground, kind: str, members: list[int], line: str) -> None:
    shared = Shared(kind, np.array(members), (("a", "b"),), 50, 50, evidence=True)
    nothing = Shared("user ids", np.zeros(0, dtype=np.int64), (), 50, 50, evidence=True)
    source = ground.bench().record.data[0]
    assert told(Checked(source, Overlap("small", nothing, (shared,)))) == [
        f"in common with small: {line}, such as 'a' = 'b'"
    ]
