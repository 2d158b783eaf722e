"""The content store: prepared once, gathered by row, invalidated by exactly what changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from transrec.data.catalog import Catalog, Item
from transrec.data.store import ContentStore
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
    assert part.content["codes"].equal(expected) and part.content["codes"].dtype == torch.int16
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


def test_an_interrupted_preparation_is_never_taken_for_whole(tmp_path: Path) -> None:
    class Interrupted(Letters):
        def prepare(self, items: Sequence[Item]) -> Mapping[str, Tensor]:
            if len(self.prepared) > 200:
                raise KeyboardInterrupt
            return super().prepare(items)

    with pytest.raises(KeyboardInterrupt):
        ContentStore.prepare(catalog(), {"text": Interrupted()}, tmp_path)
    assert list(tmp_path.iterdir()) == []
    store = ContentStore.prepare(catalog(), {"text": Letters()}, tmp_path)
    assert len(store.gather(np.arange(600)).parts["text"].index_n) == 400


def test_shapes_that_depend_on_the_items_are_refused() -> None:
    class Ragged(Letters):
        def prepare(self, items: Sequence[Item]) -> Mapping[str, Tensor]:
            return {"codes": torch.zeros(len(items), len(items))}

    with pytest.raises(DataError, match="whose further axes do not depend on the items"):
        ContentStore.prepare(catalog(601), {"text": Ragged()})


@pytest.mark.parametrize("on_disk", [True, False])
def test_vectors_take_the_place_of_content(tmp_path: Path, on_disk: bool) -> None:
    items = catalog()
    folder = tmp_path if on_disk else None
    store = ContentStore.prepare(items, {"text": Letters()}, folder)
    calls = []

    def encode(parts, vectors):  # type: ignore[no-untyped-def]
        done = 0
        for part in parts:
            made = part.content["codes"].float().mean(dim=1, keepdim=True).expand(-1, 3).numpy()
            vectors[done : done + len(made)] = made
            done += len(made)
        calls.append(done)

    replaced = store.with_vectors("text", "weights 1", folder, encode, 3)
    rows = np.array([5, 6, 7])
    raw, made = store.gather(rows).parts["text"], replaced.gather(rows).parts["text"]
    assert isinstance(made.content, Tensor) and isinstance(raw.content, Mapping)
    assert made.index_n.equal(raw.index_n) and made.content.shape == (2, 3)
    assert torch.equal(made.content[:, 0], raw.content["codes"].float().mean(dim=1))
    store.with_vectors("text", "weights 1", folder, encode, 3)
    assert calls == ([400] if on_disk else [400, 400])
    store.with_vectors("text", "weights 2", folder, encode, 3)
    assert calls[-1] == 400 and len(calls) == (2 if on_disk else 3)
