"""Lists of all users: the same as one user at a time, and the same file whatever interrupted them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from cases import SETTINGS, platform, timed_case

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.errors import RunError
from transrec.model import TransRec
from transrec.serving import lists as module
from transrec.serving.lists import Lists, ListSettings, Written
from transrec.serving.recommender import Recommender

KILLED = """
import sys, time
from cases import SETTINGS
from transrec.serving import lists
from transrec.serving.lists import Lists, ListSettings
from transrec.data.dataset import Dataset
from transrec.serving.recommender import Recommender
from pathlib import Path

lists.USERS_AT_ONCE = 7
run, data, out = map(Path, sys.argv[1:])
recommender = Recommender.load(run, data, keep=False)

def stall(what, done, total):
    if done == 21:
        print("three parts", flush=True)
        time.sleep(600)

Lists(recommender.model, recommender.now, Dataset.open(data), ListSettings(k=4)).write(out, progress=stall)
"""


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(module, "USERS_AT_ONCE", 7)


def small():
    """A dataset with a column, and a recommender whose scores depend on counts too."""
    drawn = platform()
    columns = {"title": [f"thing {n}" for n in range(50)], "price": [float(n) for n in range(50)]}
    catalog = Catalog.from_items(drawn.catalog.items(range(50)), columns)
    dataset = Dataset(catalog, drawn.interactions, "small")
    model = TransRec.build(SETTINGS, [catalog], seed=0)
    with torch.no_grad():
        for parameter in model.prior.parameters():
            parameter.fill_(0.5)
    return dataset, Recommender.of(model, dataset)


def lists_of(dataset, recommender, **chosen):
    return Lists(recommender.model, recommender.now, dataset, ListSettings.from_mapping(chosen))


def alone(recommender, dataset, user, **chosen):
    history = [dataset.catalog.ids[row] for row in dataset.interactions.history(user)]
    return recommender.recommend(history, **chosen)


@pytest.mark.parametrize(
    "chosen",
    [{"k": 5}, {"k": 5, "seen": True, "popularity": 0.2}, {"k": 60}, {"k": 3, "where": "price < 9", "exclude": ("i2",)}],
    ids=["plain", "seen", "all", "filtered"],
)
def test_every_user_gets_the_list_that_they_would_get_alone(chosen, tmp_path):
    dataset, recommender = small()
    told = []
    written = lists_of(dataset, recommender, **chosen).write(
        tmp_path / "lists.parquet", progress=lambda _, done, total: told.append((done, total))
    )
    assert told == [(min(n, 40), 40) for n in range(7, 48, 7)]
    table = pl.read_parquet(tmp_path / "lists.parquet")
    assert table.columns == ["user_id", "rank", "item_id", "score"]
    without = 0
    for user, name in enumerate(dataset.interactions.users):
        own = table.filter(pl.col("user_id") == name)
        expected = alone(recommender, dataset, user, **chosen)
        assert own["rank"].to_list() == list(range(1, len(own) + 1))
        assert own["item_id"].to_list() == [item.id for item in expected]
        without += not len(expected)
        np.testing.assert_allclose(own["score"], [item.score for item in expected], rtol=1e-5, atol=1e-5)
    assert written == Written(users=40, before=0, without=without) and without == (1 if "where" in chosen else 0)
    assert [path.name for path in tmp_path.iterdir()] == ["lists.parquet"]


def test_models_that_read_times_are_told_them(tmp_path):
    case = timed_case()
    recommender = Recommender.of(case.model, case.dataset)
    lists_of(case.dataset, recommender, k=5).write(tmp_path / "lists.parquet")
    table = pl.read_parquet(tmp_path / "lists.parquet")
    events = case.dataset.interactions
    times = events.times[events.offsets[3] : events.offsets[4]].tolist()
    expected = [item.id for item in alone(recommender, case.dataset, 3, k=5, times=times)]
    assert table.filter(pl.col("user_id") == events.users[3])["item_id"].to_list() == expected
    assert expected != [item.id for item in alone(recommender, case.dataset, 3, k=5)]


def test_removed_items_are_in_no_list(tmp_path):
    dataset, recommender = small()
    lists_of(dataset, recommender).write(tmp_path / "before.parquet")
    most = pl.read_parquet(tmp_path / "before.parquet")["item_id"].mode()[0]
    recommender.remove([most])
    lists_of(dataset, recommender).write(tmp_path / "after.parquet")
    assert most not in pl.read_parquet(tmp_path / "after.parquet")["item_id"].to_list()


def test_a_finished_file_is_refused_unless_asked(tmp_path):
    dataset, recommender = small()
    out = tmp_path / "lists.parquet"
    lists_of(dataset, recommender).write(out)
    before = out.read_bytes()
    with pytest.raises(RunError, match="is there already"):
        lists_of(dataset, recommender, k=2).write(out)
    assert out.read_bytes() == before
    lists_of(dataset, recommender, k=2).write(out, overwrite=True)
    assert pl.read_parquet(out)["rank"].max() == 2


def test_what_was_asked_for_otherwise_is_not_mixed_in(tmp_path):
    dataset, recommender = small()
    out = tmp_path / "lists.parquet"

    def interrupted(what, done, total):
        if done == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lists_of(dataset, recommender, k=3).write(out, progress=interrupted)
    assert not out.exists()
    with pytest.raises(RunError, match="asked for otherwise were interrupted here"):
        lists_of(dataset, recommender, k=4).write(out)
    recommender.remove(["i3"])
    with pytest.raises(RunError, match="asked for otherwise were interrupted here"):
        lists_of(dataset, recommender, k=3).write(out)
    assert lists_of(dataset, recommender, k=4).write(out, overwrite=True).before == 0
    assert pl.read_parquet(out)["rank"].max() == 4 and not (tmp_path / ".lists.parquet.parts").exists()


def test_a_killed_process_costs_one_part_and_changes_nothing(tmp_path):
    dataset, recommender = small()
    recommender.model.save(tmp_path / "run")
    dataset = dataset.save(tmp_path / "data")
    recommender = Recommender.load(tmp_path / "run", tmp_path / "data", keep=False)
    lists_of(dataset, recommender, k=4).write(tmp_path / "whole.parquet")
    out = tmp_path / "lists.parquet"
    words = [sys.executable, "-c", KILLED, *map(str, (tmp_path / "run", tmp_path / "data", out))]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None and process.stdout.readline() == "three parts\n"
        process.send_signal(signal.SIGKILL)
    assert not out.exists()
    parts = sorted((tmp_path / ".lists.parquet.parts").glob("*.parquet"))
    before = {part: part.stat().st_mtime_ns for part in parts}
    assert len(parts) == 3
    kept = []

    def look(what, done, total):
        kept.append(all(part.stat().st_mtime_ns == when for part, when in before.items()))

    assert lists_of(dataset, recommender, k=4).write(out, progress=look).before == 21
    assert all(kept) and out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
