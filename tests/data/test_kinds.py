"""Versions of a platform: who keeps what, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from transrec.data.catalog import WITHHELD, Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.data.kinds import obstacle, of_kind, version_digest
from transrec.data.overlap.overlap import overlap
from transrec.data.packing import Packing
from transrec.data.store import ContentStore
from transrec.errors import DataError

BOTH, TEXTS, PICTURES = slice(0, 20), slice(20, 24), slice(24, 27)
VECTORS = 27


def platform(items: list[Item]) -> Dataset:
    events = pl.DataFrame({"user": ["a"] * len(items), "row": range(len(items)), "time": np.arange(float(len(items)))})
    columns = {"title": [f"thing {item.id}" for item in items], "price": [None, *range(1, len(items))]}
    return Dataset(Catalog.from_items(items, columns), Interactions.from_columns(events), name="shop", manifest={"own": 1})


@pytest.fixture
def shop() -> Dataset:
    both = [Item(id=f"b{n}", text=f"text {n}", image=bytes([n]), vectors={"given": np.ones(3)}) for n in range(20)]
    texts = [Item(id=f"t{n}", text=f"only text {n}") for n in range(4)]
    pictures = [Item(id=f"p{n}", image=bytes([100 + n])) for n in range(3)]
    return platform([*both, *texts, *pictures, Item(id="v", vectors={"given": np.zeros(3)})])


def test_mixed_halves_what_has_both_and_leaves_the_rest(shop: Dataset) -> None:
    presence = of_kind(shop, "mixed", seed=3).catalog.presence
    assert presence["text"][BOTH].sum() == presence["image"][BOTH].sum() == 10
    assert not (presence["text"] & presence["image"]).any()
    assert presence["text"][TEXTS].all() and presence["image"][PICTURES].all()
    assert np.flatnonzero(presence[WITHHELD]).tolist() == [VECTORS]
    assert "given" not in presence


def test_which_half_is_decided_by_the_seed_alone(shop: Dataset) -> None:
    first, same, other = (of_kind(shop, "mixed", seed=seed) for seed in (3, 3, 4))
    assert first.fingerprint == same.fingerprint != other.fingerprint
    assert version_digest(shop, "mixed", 3) != version_digest(shop, "mixed", 4)
    assert version_digest(shop, "text", 3) == version_digest(shop, "text", 4) != version_digest(shop, "image", 3)


@pytest.mark.parametrize(("kind", "keeps", "loses"), [("text", "text", "image"), ("image", "image", "text")])
def test_of_one_modality_the_other_is_gone(shop: Dataset, kind: str, keeps: str, loses: str) -> None:
    version = of_kind(shop, kind)  # type: ignore[arg-type]
    presence = version.catalog.presence
    assert np.array_equal(presence[keeps], shop.catalog.presence[keeps])
    assert not presence[loses].any()
    assert np.array_equal(presence[WITHHELD], ~presence[keeps]), "what has nothing of the kind keeps its row"
    kept = version.catalog.items(range(20))
    assert [getattr(item, keeps) for item in kept] == [getattr(item, keeps) for item in shop.catalog.items(range(20))]
    assert all(not item.vectors for item in kept)


def test_events_rows_and_columns_stay(shop: Dataset, tmp_path: Path) -> None:
    version = of_kind(shop, "text")
    assert version.interactions is shop.interactions and version.catalog.ids == shop.catalog.ids
    assert version.name == "shop, text only" and version.folder is None
    for name in ("title", "price"):
        assert version.catalog.column(name).to_list() == shop.catalog.column(name).to_list()
    saved = version.save(tmp_path / "version")
    assert saved.fingerprint == version.fingerprint and saved.name == version.name and saved.store_folder
    assert saved.manifest["own"] == 1 and saved.manifest["version"]["of_fingerprint"] == shop.fingerprint
    assert saved.manifest["modalities"]["text"] == 24


def test_both_is_the_dataset_itself(shop: Dataset) -> None:
    assert of_kind(shop, "both") is shop


class Texts:
    """The least that the store needs of an encoder of texts."""

    modality = "text"

    def reads(self, item: Item) -> bool:
        return item.text is not None

    def prepare(self, items: list[Item]) -> dict[str, torch.Tensor]:
        return {"length": torch.tensor([len(item.text or "") for item in items])}

    def preparation_key(self) -> str:
        return "lengths"

    def packings(self) -> Mapping[str, Packing]:
        return {}

    def when_too_large(self) -> str:
        return "fewer letters"


def test_what_is_withheld_is_unreadable_and_so_ranks_last(shop: Dataset) -> None:
    store = ContentStore.prepare(of_kind(shop, "text").catalog, {"text": Texts()})
    assert store.unreadable.tolist() == [24, 25, 26, VECTORS]


def test_what_is_withheld_is_no_modality_and_no_shared_content(shop: Dataset) -> None:
    texts = of_kind(shop, "text")
    assert texts.catalog.modalities == ("text",)
    assert np.flatnonzero(texts.catalog.bare).tolist() == [24, 25, 26, VECTORS]
    assert not shop.catalog.bare.any()
    others = platform(
        [Item(id=f"other{n}", text=f"nothing like it {n}", image=b"x") for n in range(5)] + [Item("o", image=b"y")]
    )
    found = overlap(texts, of_kind(others, "text"))
    assert {own.kind: len(own) for own in found.items}["identical content"] == 0


@pytest.mark.parametrize(
    ("items", "kind", "told"),
    [
        ([Item(id="a", text="a")], "image", "no item has a picture"),
        ([Item(id="a", image=b"a")], "text", "no item has a text"),
        ([Item(id="a", text="a")], "mixed", "no item has a picture"),
        ([Item(id="a", image=b"a")], "mixed", "no item has a text"),
        ([Item(id="a", text="a", image=b"a")], "sound", "there is no kind 'sound'"),
    ],
)
def test_a_kind_that_cannot_be_had_is_an_error(items: list[Item], kind: str, told: str) -> None:
    dataset = platform(items)
    with pytest.raises(DataError, match=told):
        of_kind(dataset, kind)  # type: ignore[arg-type]
    assert told in obstacle(dataset, kind) and not obstacle(dataset, "both")
