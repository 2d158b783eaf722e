import numpy as np
import polars as pl
import pytest
import torch
from cases import SETTINGS, platform

from transrec.data.counts import Counts
from transrec.data.histories import Histories
from transrec.data.item import Item
from transrec.export import vectors as module
from transrec.export.vectors import write_vectors
from transrec.model import TransRec
from transrec.retrieval.index import CatalogIndex


@pytest.fixture
def indexed():
    dataset = platform()
    model = TransRec.build(SETTINGS, [dataset.catalog], seed=0).eval()
    with torch.no_grad():
        model.prior.popularity.fill_(0.5)
        model.prior.unseen.fill_(-0.25)
    events = dataset.interactions
    counts = Counts.of_histories(Histories(events.rows, events.offsets), len(dataset.catalog))
    return dataset.catalog, CatalogIndex.of(model, dataset, counts)


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_every_item_has_its_vector_and_what_its_events_add(indexed, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 7)
    catalog, index = indexed
    told = []
    record = write_vectors(
        catalog, index, tmp_path / "items.parquet", kind, progress=lambda _, done, total: told.append((done, total))
    )
    assert (record.items, record.left_out, record.type, record.width) == (50, 0, kind, 16)
    assert told[0] == (7, 50) and told[-1] == (50, 50)
    table = pl.read_parquet(tmp_path / "items.parquet")
    assert table["id"].to_list() == catalog.ids and table["title"][3] == "thing 3"
    assert table.schema["vector"] == pl.Array({"float32": pl.Float32, "float16": pl.Float16}[kind], 16)
    found = np.array(table["vector"].to_list())
    np.testing.assert_allclose(found, index.vectors_VD.numpy(), rtol=1e-7 if kind == "float32" else 1e-3, atol=1e-3)
    events = index.known.counts.popularity_V
    assert table["events"].to_list() == events.tolist()
    np.testing.assert_allclose(table["prior"], 0.5 * np.log1p(events) - 0.25 * (events == 0), rtol=1e-6)


def test_items_that_the_model_cannot_read_are_counted_instead(indexed, tmp_path):
    catalog, index = indexed
    catalog = catalog.append([Item("blind", text="x")])
    blind = CatalogIndex(torch.cat([index.vectors_VD, torch.zeros(1, 16)]), index.scorer, np.array([50]))
    record = write_vectors(catalog, blind, tmp_path / "items.parquet")
    assert (record.items, record.left_out) == (50, 1)
    table = pl.read_parquet(tmp_path / "items.parquet")
    assert "blind" not in table["id"].to_list() and (table["prior"] == 0).all()
