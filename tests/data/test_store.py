"""The content store: prepared once, gathered by row, invalidated by exactly what changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from transrec.data.catalog import Catalog, Item
from transrec.data.packing import Packing
from transrec.data.ragged import Ragged
from transrec.data.store import ContentStore, Derivation
from transrec.errors import DataError


class Letters:
    """Prepares a text as the codes of its first letters; counts what it was asked to do."""

    modality = "text"

    def __init__(self, width: int = 4) -> None:
        self.width = width
        self.prepared: list[str] = []

    def reads(self, item: Item) -> bool:
        return item.text is not None

    def prepare(self, items: Sequence[Item]) -> Mapping[str, Tensor]:
        self.prepared += [item.id for item in items]
        rows = [[ord(c) for c in (item.text or "").ljust(self.width)[: self.width]] for item in items]
        return {"codes": torch.tensor(rows, dtype=torch.int16)}

    def preparation_key(self) -> str:
        return f"letters {self.width}"

    def packings(self) -> Mapping[str, Packing]:
        return {}

    def when_too_large(self) -> str:
        return "fewer letters"


def catalog(count: int = 600) -> Catalog:
    items = [
        Item(id=str(n), text=None if n % 3 == 0 else f"item {n:04d}", vectors={"given": np.ones(2)} if n % 3 == 0 else {})
        for n in range(count)
    ]
    return Catalog.from_items(items)


@pytest.mark.parametrize("on_disk", [True, False])
def test_gathers_what_was_prepared(tmp_path: Path, on_disk: bool) -> None:
    encoder, items = Letters(9), catalog()
    store = ContentStore.prepare(items, {"text": encoder}, tmp_path / "store" if on_disk else None)
    rows = np.array([599, 3, 4, 0, 17])
    batch = store.gather(rows)
    part = batch.parts["text"]
    assert batch.size == 5 and part.index_n.tolist() == [0, 2, 4]
    assert isinstance(part.content, Mapping)
    expected = Letters(9).prepare(items.items([599, 4, 17]))["codes"]
    assert part.inverse_n is not None, "rows that are not increasing are read in the order in which they stand"
    assert part.content["codes"][part.inverse_n].equal(expected) and part.content["codes"].dtype == torch.int16
    assert store.gather(np.array([4, 17, 599])).parts["text"].inverse_n is None
    assert sorted(encoder.prepared) == sorted(i for i in items.ids if int(i) % 3)
    assert store.gather(np.array([0, 3])).parts == {}
    assert store.unreadable.tolist() == list(range(0, 600, 3))


def test_prepares_once_and_again_only_when_something_changed(tmp_path: Path) -> None:
    first = Letters()
    ContentStore.prepare(catalog(), {"text": first}, tmp_path)
    again = Letters()
    ContentStore.prepare(catalog(), {"text": again}, tmp_path)
    assert first.prepared and not again.prepared
    wider = Letters(5)
    ContentStore.prepare(catalog(), {"text": wider}, tmp_path)
    assert wider.prepared, "another preparation key"
    more = Letters()
    ContentStore.prepare(catalog(601), {"text": more}, tmp_path)
    assert more.prepared, "another catalog"


def test_an_interrupted_preparation_is_never_taken_for_whole_and_gone_on_with(tmp_path: Path) -> None:
    class Interrupted(Letters):
        def prepare(self, items: Sequence[Item]) -> Mapping[str, Tensor]:
            if len(self.prepared) > 200:
                raise KeyboardInterrupt
            return super().prepare(items)

    first, second = Interrupted(), Letters()
    with pytest.raises(KeyboardInterrupt):
        ContentStore.prepare(catalog(), {"text": first}, tmp_path)
    assert [path.name[0] for path in tmp_path.iterdir()] == ["."], "nothing that looks complete"
    store = ContentStore.prepare(catalog(), {"text": second}, tmp_path)
    assert sorted(first.prepared + second.prepared) == sorted(i for i in catalog().ids if int(i) % 3)
    whole = ContentStore.prepare(catalog(), {"text": Letters()})
    part, expected = (s.gather(np.arange(600)).parts["text"] for s in (store, whole))
    assert part.content["codes"].equal(expected.content["codes"]) and len(part.index_n) == 400


def test_equal_content_is_stored_and_gathered_once(tmp_path: Path) -> None:
    items = Catalog.from_items([Item(id=str(n), text="aaaa" if n % 2 else f"{n:04d}") for n in range(600)])
    for folder in (None, tmp_path):
        store = ContentStore.prepare(items, {"text": Letters()}, folder)
        part = store.gather(np.arange(600)).parts["text"]
        assert len(store.parts["text"]) == 301 and part.inverse_n is not None
        assert len(part.content["codes"]) == 301 and len(part.index_n) == 600
        assert part.content["codes"][part.inverse_n].equal(Letters().prepare(items.items(np.arange(600)))["codes"])


def test_ragged_content_keeps_its_lengths_and_its_small_type(tmp_path: Path) -> None:
    class Words(Letters):
        def prepare(self, items: Sequence[Item]) -> Mapping[str, Ragged]:
            self.prepared += [item.id for item in items]
            codes = [torch.tensor([ord(c) for c in item.text or ""], dtype=torch.uint16) for item in items]
            return {"codes": Ragged.of(codes)}

    texts = ["a red hat", "socks", "", "a very long scarf", "socks"]
    items = Catalog.from_items([Item(id=str(n), text=text) for n, text in enumerate(texts)])
    for folder in (None, tmp_path):
        store = ContentStore.prepare(items, {"text": Words()}, folder)
        part = store.gather(np.array([0, 1, 3])).parts["text"]
        codes = part.content["codes"]
        assert ["".join(map(chr, own.tolist())) for own in codes.each()] == [texts[0], texts[1], texts[3]]
        assert codes.values.dtype == torch.int32, "torch knows little of uint16"
        assert codes.longest == len(texts[3])
    (file,) = tmp_path.glob("*/codes.npy")
    assert np.load(file).dtype == np.uint16 and len(np.load(file)) == len("".join(dict.fromkeys(texts)))


def test_a_bad_item_leaves_nothing_behind(tmp_path: Path) -> None:
    class Choosy(Letters):
        def prepare(self, items: Sequence[Item]) -> Mapping[str, Tensor]:
            if any(item.id == "400" for item in items):
                raise DataError("item '400' cannot be read")
            return super().prepare(items)

    with pytest.raises(DataError):
        ContentStore.prepare(catalog(), {"text": Choosy()}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_shapes_that_depend_on_the_items_are_refused() -> None:
    class AsWideAsMany(Letters):
        def prepare(self, items: Sequence[Item]) -> Mapping[str, Tensor]:
            return {"codes": torch.zeros(len(items), len(items))}

    with pytest.raises(DataError, match="whose further axes do not depend on the items"):
        ContentStore.prepare(catalog(601), {"text": AsWideAsMany()})


@pytest.mark.parametrize("name", ["_rows", "a name", "../codes"])
def test_names_that_cannot_be_used_are_refused(name: str) -> None:
    class Naming(Letters):
        def prepare(self, items: Sequence[Item]) -> Mapping[str, Tensor]:
            return {name: torch.zeros(len(items), 1)}

    with pytest.raises(DataError, match="called"):
        ContentStore.prepare(catalog(), {"text": Naming()})


@pytest.mark.parametrize("on_disk", [True, False])
def test_vectors_take_the_place_of_content(tmp_path: Path, on_disk: bool) -> None:
    folder = tmp_path if on_disk else None
    store = ContentStore.prepare(catalog(), {"text": Letters(9)}, folder)
    made = []

    def mean(content: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        made.append(len(content["codes"]))
        return {"vectors": content["codes"].float().mean(dim=1, keepdim=True).expand(-1, 3)}

    replaced = store.with_derived("text", Derivation("encoding", "weights 1", mean), folder)
    rows = np.array([5, 6, 7])
    raw, part = store.gather(rows).parts["text"], replaced.gather(rows).parts["text"]
    assert isinstance(part.content, Tensor) and isinstance(raw.content, Mapping)
    assert part.index_n.equal(raw.index_n) and part.content.shape == (2, 3)
    assert torch.equal(part.content[:, 0], raw.content["codes"].float().mean(dim=1))
    again = Derivation("encoding", "weights 1", mean)
    assert store.holds("text", again, folder) == on_disk
    store.with_derived("text", again, folder)
    assert sum(made) == (1 if on_disk else 2) * len(store.parts["text"])
    changed = Derivation("encoding", "weights 2", mean)
    assert not store.holds("text", changed, folder)
    store.with_derived("text", changed, folder)
    assert sum(made) == (2 if on_disk else 3) * len(store.parts["text"])


def test_what_is_passed_on_is_not_stored_again(tmp_path: Path) -> None:
    store = ContentStore.prepare(catalog(), {"text": Letters(9)}, tmp_path)
    derivation = Derivation("halving", "1", lambda content: {**content, "half": content["codes"] / 2}, below=2)
    for folder in (None, tmp_path, tmp_path):
        part = store.with_derived("text", derivation, folder).gather(np.arange(10, 20)).parts["text"]
        assert part.below == 2 and part.content["half"].equal(part.content["codes"] / 2)
    assert len(list(tmp_path.glob("*/codes.npy"))) == 1


def test_rows_are_put_in_order_of_length_within_windows() -> None:
    class Words(Letters):
        def prepare(self, items: Sequence[Item]) -> Mapping[str, Ragged]:
            return {"codes": Ragged.of([torch.zeros(len(item.text or ""), dtype=torch.uint8) for item in items])}

    lengths = [5, 1, 4, 2, 9, 3]
    items = [Item(str(n), text="x" * length) for n, length in enumerate(lengths)]
    items += [Item("none", vectors={"given": np.ones(2)}), Item("one", text="x")]
    store = ContentStore.prepare(Catalog.from_items(items), {"text": Words()})
    assert store.in_order(100).tolist() == [6, 1, 7, 3, 5, 2, 0, 4]
    assert store.in_order(3).tolist() == [1, 2, 0, 3, 5, 4, 6, 7]
    fixed = ContentStore.prepare(Catalog.from_items(items[:6]), {"text": Letters()})
    assert fixed.in_order(100).tolist() == list(range(6))


def test_items_of_equal_content_are_one_load() -> None:
    class Given(Letters):
        modality = "given"

        def reads(self, item: Item) -> bool:
            return "given" in item.vectors

        def prepare(self, items: Sequence[Item]) -> Mapping[str, Ragged]:
            return {"ones": Ragged.of([torch.ones(int(item.vectors["given"][0])) for item in items])}

    class Words(Letters):
        def prepare(self, items: Sequence[Item]) -> Mapping[str, Ragged]:
            return {"codes": Ragged.of([torch.tensor([ord(c) for c in item.text or ""]) for item in items])}

    content = [("abc", [2.0]), ("d", [1.0]), ("abc", [3.0]), (None, [1.0])]
    items = [Item(id=str(n), text=text, vectors={"given": vector}) for n, (text, vector) in enumerate(content)]
    store = ContentStore.prepare(Catalog.from_items(items), {"text": Words(), "given": Given()})
    same, sizes = store.loads(np.array([3, 2, 1, 0]))
    assert same[1] == same[3], "the first modality decides, whatever the others hold"
    assert len(set(same.tolist())) == 3
    assert sizes.tolist() == [1, 3 + 3, 1 + 1, 3 + 2]
