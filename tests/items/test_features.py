import numpy as np
import pytest
import torch

from transrec.data.catalog import Catalog, Item
from transrec.errors import DataError
from transrec.items import features
from transrec.items.features import FeatureEncoder
from transrec.testing import ModalityEncoderContract


def _catalog(count=50, offset=0.0):
    random = np.random.default_rng(0)
    vectors = random.normal(offset + 3.0, 5.0, (count, 4)).astype(np.float32)
    vectors[:, 3] = 7.0
    items = [Item(f"i{n}", text="x", vectors={"audio": vectors[n]} if n % 5 else {}) for n in range(count)]
    return Catalog.from_items(items), vectors[[n for n in range(count) if n % 5]]


@pytest.mark.parametrize("chunk", [7, 4096])
@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_standardises_over_the_items_that_have_it(chunk, offset, monkeypatch):
    monkeypatch.setattr(features, "CHUNK", chunk)
    catalog, vectors = _catalog(offset=offset)
    encoder = FeatureEncoder.from_catalog(catalog, "audio")
    np.testing.assert_allclose(encoder.mean, vectors.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(encoder.deviation[:3], vectors.std(axis=0, dtype=np.float64)[:3], rtol=1e-4)
    assert encoder.deviation[3] == 1.0
    rows = [n for n in range(50) if n % 5]
    found = encoder(encoder.prepare(catalog.items(rows)))
    torch.testing.assert_close(found[:, :3].std(dim=0, correction=0), torch.ones(3), atol=1e-3, rtol=0.0)
    assert (found[:, 3] == 0).all()


def test_vectors_can_pass_as_they_are():
    catalog, vectors = _catalog()
    encoder = FeatureEncoder.from_catalog(catalog, "audio", standardise=False)
    rows = [n for n in range(50) if n % 5]
    np.testing.assert_array_equal(encoder(encoder.prepare(catalog.items(rows))), vectors)


@pytest.mark.parametrize(
    ("vector", "complaint"),
    [
        ([1.0, np.nan], "holds nan at place 1"),
        ([np.inf, 1.0], "holds inf"),
        ([1.0], r"has the shape \(1,\)"),
        (None, "no vector"),
    ],
)
def test_what_cannot_be_used_names_the_item(vector, complaint):
    item = Item("bad", text="x", vectors={} if vector is None else {"audio": np.array(vector, dtype=np.float32)})
    with pytest.raises(DataError, match=complaint) as caught:
        FeatureEncoder("audio", 2).prepare([item])
    assert "'bad'" in str(caught.value)


def test_a_catalog_without_such_vectors():
    with pytest.raises(DataError, match="no item has the vectors 'video'"):
        FeatureEncoder.from_catalog(_catalog()[0], "video")


class TestFeatureEncoder(ModalityEncoderContract):
    def make(self):
        return FeatureEncoder("audio", 2, mean=torch.tensor([1.0, 2.0]), deviation=torch.tensor([0.5, 3.0]))

    def items(self):
        return [Item(f"i{n}", vectors={"audio": np.array([n, n * n], dtype=np.float32)}) for n in range(4)]
