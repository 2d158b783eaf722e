"""The vectors of a run's encoders before they learned anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import SETTINGS, platform

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.worlds import World
from transrec.errors import BackboneError
from transrec.items.image import ImageEncoder, ImageSettings
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.items.text import TextEncoder, TextSettings
from transrec.model import ModelSettings, TransRec
from transrec.recipes.published import published_vectors
from transrec.retrieval.index import CatalogIndex


class Ground:
    """A platform of texts and pictures on disk, and two small backbones."""

    def __init__(self, folder: Path) -> None:
        world = World.make(np.random.default_rng(0), topics=3)
        self.dataset = world.platform("shop", users=20, items=24, generator=np.random.default_rng(1)).save(folder / "shop")
        texts = [text for text in self.dataset.catalog.column("text").to_list() if text]
        new_text_backbone(texts, folder / "text", width=16, layers=1, heads=2)
        new_image_backbone(folder / "image", side=32, width=16, layers=1)
        self.folder = folder

    def model(
        self, *, modalities: Sequence[str] = ("text", "image"), pooling: str = "mean", scorer: str = "cosine"
    ) -> TransRec:
        items = {
            "modalities": modalities,
            "width": 16,
            "text": {"backbone": str(self.folder / "text"), "max_length": 12, "pooling": pooling},
            "image": {"backbone": str(self.folder / "image")},
        }
        users = {"layers": 1, "heads": 2, "feedforward": 16}
        settings = ModelSettings.from_mapping({"items": items, "users": users, "scorer": scorer})
        return TransRec.build(settings, [self.dataset.catalog])

    def expected(self, row: int) -> dict[str, np.ndarray]:
        """What the backbones as they are on disk make of one item."""
        [item] = self.dataset.catalog.items([row])
        encoders = [
            TextEncoder.from_settings(TextSettings(backbone=str(self.folder / "text"), max_length=12)),
            ImageEncoder.from_settings(ImageSettings(backbone=str(self.folder / "image"))),
        ]
        with torch.no_grad():
            return {e.modality: e.eval()(e.prepare([item]))[0].numpy() if e.reads(item) else 0.0 for e in encoders}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("published"))


def moved(model: TransRec) -> TransRec:
    """The model as if it had learned something."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    return model


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_what_was_learned_is_not_in_them(ground: Ground, pooling: str) -> None:
    found = published_vectors(moved(ground.model(pooling=pooling)), ground.dataset)
    assert found.keys() == {"text", "image"}
    for name, presence in ground.dataset.catalog.presence.items():
        assert found[name].shape == (24, 16) and found[name].dtype == np.float32
        assert np.array_equal(found[name].any(axis=1), presence) and 0 < presence.sum() < 24
    for row in range(24):
        for name, vector in ground.expected(row).items():
            np.testing.assert_allclose(found[name][row], vector, atol=1e-5)


def test_a_run_with_frozen_encoders_shares_what_its_evaluation_made(ground: Ground, tmp_path: Path) -> None:
    model = ground.model()
    model.save(tmp_path / "run")
    CatalogIndex.of(TransRec.load(tmp_path / "run"), ground.dataset)
    kept = sorted(path.name for path in (ground.dataset.store_folder or tmp_path).iterdir())
    published_vectors(TransRec.load(tmp_path / "run"), ground.dataset)
    assert sorted(path.name for path in (ground.dataset.store_folder or tmp_path).iterdir()) == kept


def test_only_what_model_and_catalog_share(ground: Ground) -> None:
    items = ground.dataset.catalog.items(range(24))
    texts = Catalog.from_items([Item(id=item.id, text=item.text or "nothing") for item in items])
    other = Dataset(texts, ground.dataset.interactions, "texts")
    assert published_vectors(ground.model(), other).keys() == {"text"}
    assert published_vectors(ground.model(modalities=["identity"]), ground.dataset) == {}


def test_given_vectors_come_standardised() -> None:
    dataset = platform()
    found = published_vectors(moved(TransRec.build(SETTINGS, [dataset.catalog])), dataset)
    np.testing.assert_allclose(found["given"].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found["given"].std(axis=0), 1, atol=1e-4)


def test_an_encoder_that_is_gone_is_an_error(ground: Ground, tmp_path: Path) -> None:
    model = ground.model(modalities=["text"])
    gone = model.settings.items.text.updated({"backbone": str(tmp_path / "gone")})
    model.settings = model.settings.updated({"items": {"text": gone.model_dump()}})
    with pytest.raises(BackboneError, match="there is no folder"):
        published_vectors(model, ground.dataset)


def test_a_scorer_of_views_does_not_keep_one_encoder_from_being_asked(ground: Ground) -> None:
    model, catalog = ground.model(scorer="views"), ground.dataset.catalog
    texts = Catalog.from_items([Item(item.id, text=item.text) for item in catalog.items(range(24)) if item.text])
    found = published_vectors(model, Dataset(texts, ground.dataset.interactions, name="texts"))
    assert found.keys() == {"text"} and found["text"].any(axis=1).all()
