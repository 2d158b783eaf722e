from __future__ import annotations

import io
import json
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from PIL import Image

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.data.overlap.overlap import Overlap, OverlapSettings, Shared, overlap


def picture(seed: int, *, quality: int = 95) -> bytes:
    small = np.random.default_rng(seed).integers(0, 255, size=(6, 6, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(small).resize((80, 80), Image.Resampling.BICUBIC).save(out, "JPEG", quality=quality)
    return out.getvalue()


def platform(items: Sequence[Item], users: Sequence[str] = ("ann", "bob"), name: str = "source") -> Dataset:
    events = pl.DataFrame({"user": list(users), "row": [0] * len(users), "time": [0.0] * len(users)})
    return Dataset(Catalog.from_items(items), Interactions.from_columns(events), name=name)


def kinds(found: Overlap) -> dict[str, Shared]:
    return {shared.kind: shared for shared in (found.users, *found.items)}


LONG = "a small red lamp with a long cable and a switch on the wall beside the bed for two"
SOURCE = [
    Item(id="s0", text="A blue lamp."),
    Item(id="s1", text=LONG, image=picture(1)),
    Item(id="s2", text="another thing", image=picture(2)),
    Item(id="s3", vectors={"given": np.ones(4)}),
    Item(id="ISBN-9780141439518", text="a book"),
]


def test_every_kind_is_found_and_shown() -> None:
    target = platform(
        [
            Item(id="t0", text="a BLUE lamp"),
            Item(id="t1", text=LONG.replace("for two", "for one")),
            Item(id="ISBN-9780141439518", text="nothing of the kind", image=picture(3)),
            Item(id="t3", vectors={"given": np.ones(4)}),
            Item(id="t4", text="new", image=picture(2)),
            Item(id="t5", text="newer", image=picture(1, quality=60)),
            Item(id="t6", text="newest", image=picture(7)),
        ],
        users=["bob", "cem"],
        name="target",
    )
    found = overlap(target, platform(SOURCE))
    assert {kind: shared.examples for kind, shared in kinds(found).items()} == {
        "user ids": (("bob", "bob"),),
        "item ids": (("ISBN-9780141439518", "ISBN-9780141439518"),),
        "identical content": (("t3", "s3"),),
        "identical texts": (("t0", "s0"),),
        "near-duplicate texts": (("t1", "s1"),),
        "identical pictures": (("t4", "s2"),),
        "near-duplicate pictures": (("t5", "s1"),),
    }
    assert found.rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert [target.interactions.users[int(u)] for u in found.people] == ["bob"]
    assert kinds(found)["identical pictures"].present == 4 and kinds(found)["identical texts"].present == 6


def test_platforms_that_share_nothing() -> None:
    found = overlap(platform([Item(id="t", text="new", image=picture(9))], users=["eva"]), platform(SOURCE))
    assert not any(len(shared) for shared in kinds(found).values())
    assert not len(found.rows) and not len(found.people)


def test_a_kind_that_only_one_side_has_is_not_claimed_to_be_compared() -> None:
    found = overlap(platform([Item(id="t", text="new")]), platform([Item(id="s", image=picture(1))]))
    assert set(kinds(found)) == {"user ids", "item ids", "identical content"}


@pytest.mark.parametrize("beginning", ["", "u", "user-"])
def test_ids_by_counting_prove_nothing(beginning: str) -> None:
    first, second, third = (f"{beginning}{number}" for number in (1, 2, 30))
    target = platform([Item(id=first, text="new"), Item(id=second, text="newer")], users=[first, second])
    counting = platform([Item(id=second, text="old")], users=[second, third])
    found = overlap(target, counting)
    assert len(found.users) == 1 and not found.users.evidence and "prove nothing" in found.users.note
    assert not len(found.people) and not len(found.rows)


def test_ids_that_say_something_count_beside_others_that_do_not() -> None:
    items = [Item(id=name, text=f"text of {name}") for name in ("1", "B00X9K", "3")]
    others = [Item(id=name, text=f"words about {name}, that are others") for name in ("1", "B00X9K", "3")]
    found = overlap(platform(items), platform(others))
    assert found.rows.tolist() == [1]
    assert kinds(found)["item ids"].note.startswith("2 equal ids are no more than a short number")


@pytest.mark.parametrize(
    ("number", "proves"),
    [
        ("9780141439518", True),  # an ISBN
        ("B001234567", True),  # an ASIN whose letters happen to be digits
        ("user_000123456", True),
        ("0108775015", True),
        ("user_00012345", False),
        ("12345678", False),
        ("n99999999", False),
    ],
)
def test_long_numbers_are_those_of_the_world(number: str, proves: bool) -> None:
    found = overlap(platform([Item(id=number, text="new")]), platform([Item(id=number, text="old")]))
    assert found.rows.tolist() == ([0] if proves else [])


def test_what_is_identical_is_all_found_and_samples_of_the_rest_are_told() -> None:
    theirs = [Item(id=f"s{n}", text=f"text {n}", image=picture(n)) for n in range(30)]
    ours = [Item(id=f"t{n}", text=f"Text {n}!", image=picture(n)) for n in range(10, 50)]
    found = kinds(overlap(platform(ours), platform(theirs), OverlapSettings(texts=10, pictures=5)))
    for kind in ("texts", "pictures"):
        same, near = found[f"identical {kind}"], found[f"near-duplicate {kind}"]
        assert same.members.tolist() == list(range(20)) and same.examples[0] == ("t10", "s10")
        assert (same.compared, same.present, same.against, same.sampled) == (40, 40, None, False)
        assert (near.compared, near.present) == (20 + (10 if kind == "texts" else 5), 40) and near.sampled
        assert near.against == (10 if kind == "texts" else 5, 30)


def test_a_sample_of_the_source_alone_is_told_too() -> None:
    many = [Item(id=f"s{n}", text=f"text {n}") for n in range(30)]
    near = kinds(overlap(platform([Item(id="t", text="new")]), platform(many), OverlapSettings(texts=10)))
    assert (near["near-duplicate texts"].compared, near["near-duplicate texts"].present) == (1, 1)
    assert near["near-duplicate texts"].sampled and not near["identical texts"].sampled


def test_texts_without_a_word_are_not_the_same() -> None:
    found = overlap(platform([Item(id="t", text="!")]), platform([Item(id="s", text="?")]))
    assert not len(kinds(found)["identical texts"])


@pytest.mark.parametrize(("least", "number"), [(0.99, 0), (0.8, 1)])
def test_what_counts_as_near_can_be_set(least: float, number: int) -> None:
    target = platform([Item(id="t", text=LONG.replace("for two", "for one"))])
    assert len(kinds(overlap(target, platform(SOURCE), OverlapSettings(near_text=least)))["near-duplicate texts"]) == number


def test_json_holds_counts_and_examples() -> None:
    found = overlap(platform([Item(id="t", text="A blue, lamp")]), platform(SOURCE)).to_json()
    assert json.loads(json.dumps(found)) == found and found["source"] == "source"
    told = {entry["kind"]: entry for entry in found["shared"]}
    assert told["identical texts"]["count"] == 1 and told["identical texts"]["examples"] == [["t", "s0"]]
