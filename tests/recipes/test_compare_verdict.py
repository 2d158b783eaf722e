"""A related source is said to help; of one whose contents mean nothing it is warned."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.worlds import Behaviour, World
from transrec.items.scratch import new_text_backbone
from transrec.recipes.compare import compare
from transrec.recipes.comparing.report import Comparison
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train

pytestmark = [pytest.mark.slow, pytest.mark.transfer]
ITEMS = 400


@dataclass(frozen=True)
class Platforms:
    """A target, a source of the same world, and that source with its contents shuffled among the items."""

    target: Dataset
    related: Dataset
    shuffled: Dataset

    @classmethod
    def of(cls, seed: int) -> Platforms:
        worlds, *streams = np.random.default_rng([seed, 7]).spawn(4)
        world = World.make(worlds, topics=12, styles=3)
        source = world.platform("related", users=700, items=ITEMS, modalities="text", generator=streams[0])
        short = Behaviour(shortest=5, longest=8)
        target = world.platform("target", users=300, items=240, modalities="text", behaviour=short, generator=streams[1])
        items, order = source.catalog.items(range(ITEMS)), streams[2].permutation(ITEMS)
        mixed = [replace(items[other], id=own.id) for own, other in zip(items, order, strict=True)]
        return cls(target, source, Dataset(Catalog.from_items(mixed), source.interactions, name="shuffled"))


def pretrained(source: Dataset, folder: Path) -> Path:
    model = {
        "items": {"width": 48, "projection": "norm", "text": {"backbone": str(folder / "text"), "max_length": 24}},
        "users": {"window": 12, "layers": 1, "heads": 2, "feedforward": 96},
        "prior": "none",
    }
    rates = {"learning_rate": 3e-3, "encoder_learning_rate": 3e-3}
    lengths = {"epochs": 1000, "max_steps": 240, "patience": 1000, "validate_every": 4}
    training = {**rates, **lengths, "tensorboard": False, "device": "cpu"}
    settings = TrainSettings.from_mapping({"model": model, "training": training, "tune": "full"})
    train([source], settings, folder / source.name, console=Console(quiet=True))
    return folder / source.name


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Comparison]:
    folder = tmp_path_factory.mktemp("platforms")
    platforms = Platforms.of(1)
    new_text_backbone(
        platforms.related.catalog.column("text").to_list(), folder / "text", width=48, layers=1, heads=2, seed=1
    )
    # a quarter of the target's users, so that there is something to gain
    asked = CompareSettings.from_mapping(
        {
            "rows": "popularity,scratch,zero-shot,transferred",
            "tune": "full,frozen",
            "fractions": "0.25",
            "seeds": "0,1",
            "budget": "epochs",  # other lengths would end at the same step
            "metric": "HR@10",
            "training": {"max_steps": 45, "validate_every": 3, "learning_rate": 2e-3, "encoder_learning_rate": 2e-3},
        }
    )
    quiet = Console(file=io.StringIO())
    return {
        source.name: compare(pretrained(source, folder), platforms.target, asked, console=quiet)
        for source in (platforms.related, platforms.shuffled)
    }


def test_a_related_source_helps(comparisons: Mapping[str, Comparison]) -> None:
    found = comparisons["related"]
    assert found.findings.verdict.answer == "helps", found.sentence
    assert "Pre-training elsewhere helps on target" in found.sentence
    assert {"from scratch", "popularity"}.isdisjoint(found.findings.verdict.leaders)


def test_a_source_whose_contents_mean_nothing_is_warned_of(comparisons: Mapping[str, Comparison]) -> None:
    found = comparisons["shuffled"]
    assert found.findings.verdict.answer == "harms", found.sentence
    assert found.sentence.startswith("Warning, negative transfer: pre-training elsewhere does harm on target")
    harm = found.findings.evidence.transfer
    assert harm and all(gain < 0 for gain in harm.by_seed) and len(harm.by_seed) == 2
    assert not any(gain.shown(found.settings.alpha) == "above" for gain in found.findings.transfers)


def test_training_from_scratch_is_the_same_whatever_the_source(comparisons: Mapping[str, Comparison]) -> None:
    first, second = (
        next(row for row in found.findings.table if row.row.name == "scratch") for found in comparisons.values()
    )
    assert first.metrics == second.metrics
