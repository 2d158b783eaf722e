"""A training from compressed pictures: it runs, it is the same again, and what follows it reads the same store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from transrec.data.dataset import Dataset
from transrec.data.worlds import World
from transrec.items.scratch import new_image_backbone
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train
from transrec.serving.recommender import Recommender


def made(folder: Path) -> tuple[Dataset, Path]:
    """A small platform with pictures, and a network for them."""
    worlds, platforms = np.random.default_rng(0).spawn(2)
    platform = World.make(worlds, topics=4, styles=2).platform("p", users=60, items=80, generator=platforms)
    new_image_backbone(folder / "image", side=32, width=16, layers=1)
    return platform.save(folder / "data"), folder


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    return made(tmp_path_factory.mktemp("stored"))


def trained(shop: tuple[Dataset, Path], stored: str, tune: str = "full", out: Path | None = None) -> TransRec:
    data, folder = shop
    image = {"backbone": str(folder / "image"), "stored": stored}
    settings = TrainSettings.from_mapping(
        {
            "model": {
                # a start that is found from pictures may turn or mirror all vectors for the smallest difference
                "items": {"width": 16, "modalities": ["image"], "image": image, "start": "random"},
                "users": {"window": 10, "layers": 1, "heads": 2, "feedforward": 32},
            },
            "training": {"epochs": 1, "batch_size": 32, "tensorboard": False, "device": "cpu"},
            "tune": tune,
        }
    )
    model, _ = train([data], settings, out=out)
    return model


def weights(model: TransRec) -> torch.Tensor:
    # without the prior, of which validation may choose another weight for the smallest difference
    return torch.cat([p.detach().flatten() for part in (model.items, model.users) for p in part.parameters()])


def test_a_training_from_jpegs_is_the_same_again_and_near_to_that_from_pixels(shop: tuple[Dataset, Path]) -> None:
    jpeg, again, pixels = (weights(trained(shop, stored)) for stored in ("jpeg", "jpeg", "pixels"))
    assert torch.equal(jpeg, again)
    assert not torch.equal(jpeg, pixels)
    assert torch.cosine_similarity(jpeg, pixels, dim=0) > 0.99


@pytest.mark.parametrize("tune", ["full", "top:1"])
def test_a_training_from_lossless_pictures_is_that_from_pixels(shop: tuple[Dataset, Path], tune: str) -> None:
    assert torch.equal(weights(trained(shop, "lossless", tune)), weights(trained(shop, "pixels", tune)))


def test_a_run_finds_its_own_pictures_again(tmp_path: Path) -> None:
    data, folder = made(tmp_path)
    trained((data, folder), "jpeg", out=tmp_path / "run")
    recommender = Recommender.load(tmp_path / "run", data)
    assert len(recommender.recommend([data.catalog.ids[0]], 5)) == 5
    # what is made of pictures has a word between the modality and the digest
    kept = [path for path in (tmp_path / "data" / "store").glob("image-*") if path.name.count("-") == 1]
    assert len(kept) == 1, "the way in which pictures are kept goes with the run"
    assert (kept[0] / "pixels.lengths.npy").exists()
