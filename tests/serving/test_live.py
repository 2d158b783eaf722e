"""Items that come, change and go while a recommender is asked: at once, whole, and for good."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import SETTINGS, platform
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.errors import DataError, RunError, UnknownItemError
from transrec.model import TransRec
from transrec.retrieval.opening import open_live, with_approximate
from transrec.runs import index_folder
from transrec.serving.recommender import Recommender


class Ground:
    """A run and its dataset on disk."""

    def __init__(self, folder: Path) -> None:
        self.dataset = platform().save(folder / "data")
        self.model = TransRec.build(SETTINGS, [self.dataset.catalog], seed=1).eval()
        assert self.model.prior is not None
        with torch.no_grad():
            for parameter in self.model.prior.weights.values():
                parameter.fill_(0.5)
        self.run = folder / "run"
        self.model.save(self.run)

    def load(self, **how: object) -> Recommender:
        return Recommender.load(self.run, self.dataset, **how)  # type: ignore[arg-type]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def vector(seed: int) -> dict[str, np.ndarray]:
    return {"given": np.random.default_rng(seed).normal(size=8)}


def told(recommender: Recommender, **how: object) -> list[tuple[str, float]]:
    return [(item.id, round(item.score, 4)) for item in recommender.recommend(["i4", "i9"], 60, **how)]  # type: ignore[arg-type]


def test_what_was_changed_is_so_after_a_restart_and_nothing_is_encoded_for_it(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ground.load()
    first.add([Item(id="x", vectors=vector(1)), Item(id="y", vectors=vector(2))], {"title": ["a new one", "another"]})
    first.update([Item(id="i9", vectors=vector(3)), "i4"], {"title": ["nine", "four"]})
    first.update(["y"], {"title": ["renamed"]})
    first.remove(["i7", "x"])
    first.remove(["i8"])
    first.add([Item(id="i8", vectors=vector(4))])
    expected, titles = told(first, seen=True), first.catalog.column("title").to_list()
    assert titles[9] == "nine" and titles[4] == "four" and titles[51] == "renamed" and titles[8] is None
    assert titles[7] == "thing 7"

    def refused(*arguments: object) -> None:
        raise AssertionError("an item is encoded again")

    monkeypatch.setattr("transrec.retrieval.opening.encode_given", refused)
    again = ground.load()
    assert told(again, seen=True) == expected
    assert again.catalog.column("title").to_list() == titles and again.catalog.ids == first.catalog.ids
    assert not again.holds("x") and not again.holds("i7") and again.holds("i8")
    assert "x" not in dict(expected) and "i7" not in dict(expected) and "y" in dict(expected)
    assert told(ground.load(keep=False), seen=True) != expected, "without what is kept there is the dataset alone"


def test_another_model_encodes_the_written_items_anew(ground: Ground) -> None:
    first = ground.load()
    first.add([Item(id="x", vectors=vector(1))])
    first.close()
    other = TransRec.build(SETTINGS, [ground.dataset.catalog], seed=2).eval()
    other.save(ground.run)
    again = ground.load()
    fresh = Recommender.of(other, ground.dataset)
    fresh.add([Item(id="x", vectors=vector(1))])
    assert told(again) == told(fresh)


def test_an_update_keeps_what_counts_say(ground: Ground) -> None:
    recommender = ground.load()
    row = recommender.catalog.row("i9")
    recommender.update([Item(id="i9", vectors=vector(3))])
    assert recommender.catalog.row("i9") == row and len(recommender.catalog) == 50
    known = recommender.index.known
    assert known is not None and known.counts.popularity_V[row] == np.bincount(ground.dataset.interactions.rows)[row]


def test_removed_items_are_never_shown_and_may_stand_in_histories(ground: Ground) -> None:
    recommender = ground.load()
    before = recommender.recommend(["i4"], 50)
    recommender.remove([before.items[0].id])
    after = recommender.recommend(["i4"], 50)
    assert [item.id for item in after] == [item.id for item in before][1:]
    gone = before.items[0].id
    assert recommender.recommend([gone]).used == (gone,)
    assert gone not in [item.id for item in recommender.similar("i4", 60)]
    for wrong in (lambda: recommender.remove([gone]), lambda: recommender.similar(gone), lambda: recommender.update([gone])):
        with pytest.raises(UnknownItemError, match="was removed"):
            wrong()


def test_changes_that_cannot_be_made_change_nothing(ground: Ground) -> None:
    recommender = ground.load()
    now = recommender.now
    new = Item(id="x", vectors=vector(1))
    for wrong, said in [
        (lambda: recommender.add([new, Item(id="i3", vectors=vector(1))]), "in the catalog already"),
        (lambda: recommender.add([new, new]), "more than once"),
        (lambda: recommender.add([new], {"title": ["a", "b"]}), "2 values for 1 items"),
        (lambda: recommender.add([new], {"title": [5]}), "does not fit"),
        (lambda: recommender.add([new, Item(id="w", text="words")]), "nothing that this model reads"),
        (lambda: recommender.update([new]), "no item 'x'"),
        (lambda: recommender.remove(["i1", "x"]), "no item 'x'"),
    ]:
        with pytest.raises(DataError, match=said):
            wrong()
    assert recommender.now is now
    assert not (ground.run / "index" / "small" / "changes.journal").exists()


def test_a_change_that_cannot_be_written_down_is_not_made(ground: Ground) -> None:
    first, second = ground.load(), ground.load()
    first.remove(["i1"])
    now = second.now
    with pytest.raises(RunError, match="another process"):
        second.add([Item(id="x", vectors=vector(1))])
    assert second.now is now
    first.close()
    third = ground.load()
    third.add([Item(id="x", vectors=vector(1))])
    assert third.holds("x") and not third.holds("i1")


def test_a_run_that_cannot_be_written_to_is_served_from_memory(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transrec.runs.os.access", lambda *_: False)
    recommender = ground.load()
    recommender.add([Item(id="x", vectors=vector(1))])
    assert recommender.holds("x") and not (ground.run / "index").exists()


def test_a_model_is_centred_on_a_platform_that_it_has_not_learned_from(ground: Ground) -> None:
    other = Dataset(platform(seed=5).catalog, platform(seed=5).interactions, "other")
    for _ in range(2):
        model, centred = TransRec.load(ground.run), TransRec.load(ground.run)
        live, _ = open_live(model, other, ground.run / "index" / "other", place=None)
        plain = Recommender.of(centred, other, place=None)
        assert told(Recommender(model, live)) == told(plain)


def test_readers_see_one_state_while_a_writer_writes(ground: Ground) -> None:
    recommender = ground.load()
    wrong: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            now = recommender.now
            if not len(now.catalog) == len(now.index) == len(now.catalog.column("title")):
                wrong.append((len(now.catalog), len(now.index)))
            try:
                found = recommender.recommend(["i4"], 5, where="title is null or title like 't%'", explain=True)
                if len(found) != 5:
                    wrong.append(len(found))
            except Exception as error:
                wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(25):
        recommender.add([Item(id=f"n{number}", vectors=vector(number))])
        recommender.update([Item(id=f"n{number}", vectors=vector(number + 100))], {"title": [f"t{number}"]})
        if number % 3 == 0:
            recommender.remove([f"n{number}"])
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert len(recommender.catalog) == 75


def test_a_run_with_lists_is_searched_with_them_and_new_items_are_found(ground: Ground) -> None:
    pytest.importorskip("faiss")
    plain = ground.load()
    expected = [item.id for item in plain.recommend(["i4", "i9"], 5)]
    _, kept = open_live(ground.model, ground.dataset, index_folder(ground.run, ground.dataset))  # type: ignore[arg-type]
    assert with_approximate(ground.model, ground.dataset, kept).recall >= 0.95
    recommender = ground.load()
    assert recommender.now.approximate is not None
    assert [item.id for item in recommender.recommend(["i4", "i9"], 5)] == expected
    twin = recommender.catalog.items([recommender.catalog.row(expected[0])])[0]
    recommender.add([Item(id="twin", vectors=twin.vectors)])
    assert "twin" in [item.id for item in recommender.recommend(["i4", "i9"], 60)]
    recommender.close()
    assert "twin" in [item.id for item in ground.load().recommend(["i4", "i9"], 60)]


WRITER = """
import sys
import numpy as np
from transrec.data.catalog import Item
from transrec.data.dataset import Dataset
from transrec.serving.recommender import Recommender
recommender = Recommender.load(sys.argv[1], Dataset.open(sys.argv[2]))
for number in range(10**6):
    recommender.add([Item(id=f"n{number}", vectors={"given": np.full(8, number / 7)})])
    print(number, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.filterwarnings("ignore:.*not written to its end")
def test_what_was_added_is_there_after_a_kill(ground: Ground) -> None:
    words = [sys.executable, "-c", WRITER, str(ground.run), str(ground.dataset.folder)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    said = [int(line) for line in process.stdout.read().splitlines() if line.strip().isdigit()]
    process.wait()
    process.stdout.close()
    recommender = ground.load()
    added = [item_id for item_id in recommender.catalog.ids if item_id.startswith("n")]
    assert added == [f"n{number}" for number in range(len(added))]
    assert len(added) > max(said)
    assert recommender.similar(Item(id="?", vectors={"given": np.full(8, 0 / 7)}), 1)[0].id
    recommender.add([Item(id="after", vectors=vector(0))])
    assert recommender.holds("after")


CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "update", "remove"]), st.integers(0, 11), st.integers(0, 99)), min_size=1, max_size=8
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES)
def test_whatever_changes_is_what_a_new_index_of_the_same_items_would_be(
    ground: Ground, changes: list[tuple[str, int, int]]
) -> None:
    """Items that come again, go again, are others now, in any order; changes that cannot be made are left out."""
    recommender = Recommender.of(ground.model, ground.dataset)
    items = {item.id: item for item in ground.dataset.catalog.items(range(len(ground.dataset.catalog)))}
    for kind, place, seed in changes:
        item = Item(f"i{place}" if place < 6 else f"n{place}", vectors=vector(seed))
        if kind == "add" and item.id not in items:
            recommender.add([item], {"title": ["new"]})
            items[item.id] = item
        elif kind == "update" and item.id in items:
            recommender.update([item])
            items[item.id] = item
        elif kind == "remove" and item.id in items:
            recommender.remove([item.id])
            del items[item.id]
    catalog = Catalog.from_items(list(items.values()))
    nobody = Interactions.from_columns(ground.dataset.interactions.to_frame().clear())
    fresh = Recommender.of(ground.model, Dataset(catalog, nobody))
    assert all(recommender.holds(item_id) for item_id in items)
    for item_id in [*list(items)[:2], *list(items)[-2:]]:
        ours, theirs = ([(near.id, near.score) for near in own.similar(item_id, 60)] for own in (recommender, fresh))
        assert sorted(near for near, _ in ours) == sorted(near for near, _ in theirs) == sorted(set(items) - {item_id})
        assert dict(ours) == pytest.approx(dict(theirs), abs=1e-5)
