"""What training and transfer share: said before anything is written, and each platform on its own mean."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cases import SETTINGS, platform
from rich.console import Console

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.store import ContentStore
from transrec.errors import ModelError, RunError
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer

QUIET = Console(quiet=True)
SHORT = {"training": {"epochs": 1, "device": "cpu", "tensorboard": False}, "tune": "full"}


def shifted(seed: int, by: float) -> Dataset:
    """A platform whose vectors have a mean of their own."""
    plain = platform(seed=seed)
    items = plain.catalog.items(list(range(len(plain.catalog))))
    moved = [Item(id=f"{seed}-{item.id}", vectors={"given": item.vectors["given"] + by}) for item in items]
    return Dataset(Catalog.from_items(moved), plain.interactions, name=f"shifted {seed}")


def centres(model: TransRec, dataset: Dataset, place: int) -> torch.Tensor:
    """The mean of the items of a platform as they come into the projection's map."""
    store = ContentStore.prepare(dataset.catalog, model.items.preparers()).of_platform(place)
    [batch] = list(store.sample(10_000, seed=0))
    projection = model.items.projections["given"]
    vectors = model.items.preparers()["given"].encode(batch.parts["given"])
    return ((vectors - projection.means[place]) / projection.deviation).mean(dim=0)


def test_an_objective_that_teaches_the_prior_nothing_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    settings = TrainSettings.from_mapping({**SHORT, "model": SETTINGS.model_dump(), "objective": {"kind": "multistep"}})
    with pytest.raises(ModelError, match="does not teach it what counts are worth"):
        train([platform()], settings, tmp_path / "run", console=QUIET)
    assert not (tmp_path / "run").exists()


def test_a_dataset_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    settings = TrainSettings.from_mapping({**SHORT, "model": SETTINGS.model_dump()})
    with pytest.raises(RunError, match="the dataset 'small' is given twice"):
        train([platform(), shifted(1, 2.0), platform()], settings, tmp_path / "run", console=QUIET)
    assert not (tmp_path / "run").exists()


def test_every_platform_of_a_mixture_is_centred_on_its_own_mean_and_so_is_a_target(tmp_path: Path) -> None:
    one, two, target = shifted(0, 5.0), shifted(1, -7.0), shifted(2, 20.0)
    settings = TrainSettings.from_mapping({**SHORT, "model": SETTINGS.model_dump()})
    model, _ = train([one, two], settings, tmp_path / "run", console=QUIET)
    assert model.settings.items.platforms == 2
    for place, dataset in enumerate((one, two)):
        assert torch.allclose(centres(model, dataset, place), torch.zeros(8), atol=1e-4)
    moved, _ = transfer(tmp_path / "run", target, TransferSettings.from_mapping(SHORT), console=QUIET)
    assert moved.settings.items.platforms == 1
    assert torch.allclose(centres(moved, target, 0), torch.zeros(8), atol=1e-4)
