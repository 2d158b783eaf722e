"""Vectors beside a run: encoded once, only what is new after that, and never those of another model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cases import SETTINGS, platform

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.errors import RunError
from transrec.model import TransRec
from transrec.retrieval import kept
from transrec.retrieval.index import CatalogIndex
from transrec.retrieval.kept import brought_up_to_date, fingerprint_of, kept_as_they_are


@pytest.fixture
def model() -> TransRec:
    return TransRec.build(SETTINGS, [platform().catalog], seed=1).eval()


class Counting:
    """Counts the items that a model encodes."""

    def __init__(self, model: TransRec) -> None:
        self.items = 0
        model.items.register_forward_pre_hook(self._count)

    def _count(self, module: torch.nn.Module, arguments: tuple) -> None:
        self.items += arguments[0].size


def changed(dataset: Dataset) -> Dataset:
    """The same with one other item, and two that come."""
    new = [Item(id=name, vectors={"given": np.full(8, 0.1 * n)}) for n, name in enumerate(["i7", "x", "y"], start=1)]
    return Dataset(dataset.catalog.with_versions(new), dataset.interactions, dataset.name)


def test_everything_is_encoded_once_and_then_found(model: TransRec, tmp_path: Path) -> None:
    dataset, counting, told = platform(), Counting(model), []
    first = brought_up_to_date(model, dataset, tmp_path, progress=lambda *said: told.append(said))
    assert (first.encoded, counting.items) == (50, 50) and told[-1] == ("encoding the catalog", 50, 50)
    again = brought_up_to_date(model, dataset, tmp_path)
    assert (again.encoded, counting.items) == (0, 50)
    assert torch.allclose(again.vectors.whole(), CatalogIndex.of(model, dataset).vectors_VD, atol=1e-6)
    assert len(kept_as_they_are(model, dataset, tmp_path).vectors) == 50


def test_only_new_and_changed_items_are_encoded(model: TransRec, tmp_path: Path) -> None:
    dataset = platform()
    brought_up_to_date(model, dataset, tmp_path)
    counting, after = Counting(model), changed(dataset)
    found = brought_up_to_date(model, after, tmp_path)
    assert (found.encoded, counting.items) == (3, 3)
    assert torch.allclose(found.vectors.whole(), CatalogIndex.of(model, after).vectors_VD, atol=1e-6)
    assert len(list(tmp_path.glob("vectors-*"))) == 1, "the former ones are gone"


def test_an_interruption_is_gone_on_with(model: TransRec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "WINDOW", 8)
    dataset, counting = platform(), Counting(model)

    def interrupting(what: str, done: int, total: int) -> None:
        if what == "encoding the catalog" and done >= 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        brought_up_to_date(model, dataset, tmp_path, progress=interrupting)
    assert counting.items == 24
    with pytest.raises(RunError, match="there is no index"):
        kept_as_they_are(model, dataset, tmp_path)
    found = brought_up_to_date(model, dataset, tmp_path)
    assert (found.encoded, counting.items) == (26, 50)
    assert torch.allclose(found.vectors.whole(), CatalogIndex.of(model, dataset).vectors_VD, atol=1e-6)


def test_vectors_of_another_model_or_other_items_are_refused(model: TransRec, tmp_path: Path) -> None:
    dataset = platform()
    brought_up_to_date(model, dataset, tmp_path)
    other = TransRec.build(SETTINGS, [dataset.catalog], seed=2).eval()
    with pytest.raises(RunError, match="another model") as caught:
        kept_as_they_are(other, dataset, tmp_path)
    assert "transrec index RUN" in str(caught.value)
    with pytest.raises(RunError, match="items have come or changed"):
        kept_as_they_are(model, changed(dataset), tmp_path)
    assert brought_up_to_date(other, dataset, tmp_path).encoded == 50, "none of them is taken for the other's"


def test_the_fingerprint_changes_with_weights_settings_and_platform(model: TransRec) -> None:
    before = fingerprint_of(model)
    assert fingerprint_of(model, 1) != before == fingerprint_of(model)
    with torch.no_grad():
        next(model.items.projections.parameters()).add_(1e-3)
    assert fingerprint_of(model) != before


def test_half_precision_takes_half_the_room(model: TransRec, tmp_path: Path) -> None:
    dataset = platform()
    whole = brought_up_to_date(model, dataset, tmp_path / "whole")
    half = brought_up_to_date(model, dataset, tmp_path / "half", precision="float16")
    assert half.vectors.whole().dtype == torch.float16
    assert torch.allclose(half.vectors.whole().float(), whole.vectors.whole(), atol=2e-3)


def test_items_that_the_model_cannot_read_stay_known(model: TransRec, tmp_path: Path) -> None:
    dataset = platform()
    mixed = Dataset(dataset.catalog.append([Item(id="words", text="only words")]), dataset.interactions, "mixed")
    for _ in range(2):
        assert brought_up_to_date(model, mixed, tmp_path).unreadable.tolist() == [50]
    grown = Dataset(mixed.catalog.append([Item(id="more", text="words")]), dataset.interactions, "mixed")
    assert brought_up_to_date(model, grown, tmp_path).unreadable.tolist() == [50, 51]


def test_an_identity_table_is_not_found_by_content(tmp_path: Path) -> None:
    items = [Item(id=f"i{n}", vectors={"given": np.ones(8)}) for n in range(4)]
    catalog = Catalog.from_items(items)
    model = TransRec.build(SETTINGS.updated({"items": {"modalities": ["identity"]}}), [catalog], seed=0).eval()
    data = Dataset(catalog, platform().interactions, "ids")
    brought_up_to_date(model, data, tmp_path)
    turned = Dataset(Catalog.from_items(items[::-1]), data.interactions, "ids")
    found = brought_up_to_date(model, turned, tmp_path)
    assert torch.allclose(found.vectors.whole(), CatalogIndex.of(model, turned).vectors_VD)


def test_how_ids_are_shrunk_makes_other_vectors_where_there_are_ids() -> None:
    def built(modalities: list[str], shrinkage: float) -> TransRec:
        items = {"modalities": modalities, "identity": {"shrinkage": shrinkage}}
        return TransRec.build(SETTINGS.updated({"items": items}), [platform().catalog], seed=1)

    alike = [fingerprint_of(built(["given"], shrinkage)) for shrinkage in (0.0, 30.0)]
    differing = [fingerprint_of(built(["given", "identity"], shrinkage)) for shrinkage in (0.0, 10.0, 30.0)]
    counted = built(["given", "identity"], 30.0)
    counted.items.encoders["identity"].events[3] = 5.0
    assert alike[0] == alike[1] and len({*differing, fingerprint_of(counted)}) == 4
