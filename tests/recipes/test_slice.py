"""A slice as a folder: complete, measured as the whole is by its first numbers, served, moved; and what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import platform
from rich.console import Console
from told import Told

from transrec.data.dataset import Dataset
from transrec.data.splits import split_of
from transrec.errors import ModelError, RunError
from transrec.evaluation.ranks import ModelRanker, rank_targets
from transrec.model import TransRec
from transrec.recipes.evaluate import evaluate
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.index import index
from transrec.recipes.slice import slice as slice_run
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer
from transrec.reports.commands import remaking
from transrec.reports.files import RunFiles
from transrec.retrieval.index import CatalogIndex
from transrec.rules.slicing import compared
from transrec.runs import RunRecord
from transrec.scoring import PrefixScorer
from transrec.serving.recommender import Recommender

QUIET = Console(quiet=True)
SIZES = [4, 8, 16]


@dataclass(frozen=True)
class Ground:
    data: Dataset
    nested: Path
    dense: Path


def settings(**items: object) -> TrainSettings:
    users = {"window": 6, "layers": 1, "heads": 4, "feedforward": 16}
    return TrainSettings.from_mapping(
        {
            "model": {"items": {"width": 16, **items}, "users": users},
            "objective": {"matryoshka": {"sizes": SIZES}} if items else {},
            "training": {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "device": "cpu", "tensorboard": False},
            "tune": "frozen",
        }
    )


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("slices")
    data = platform(users=60).save(folder / "data")
    train([data], settings(nested=SIZES), folder / "nested", console=QUIET)
    train([data], settings(), folder / "dense", console=QUIET)
    return Ground(data, folder / "nested", folder / "dense")


def prefix_ranks(run: Path, data: Dataset, width: int) -> np.ndarray:
    """The ranks of the test targets by the first numbers of a run's own vectors."""
    model = TransRec.load(run)
    split = split_of(data.interactions, RunRecord.read(run).split)
    whole = ModelRanker.of(model, data, split).index
    cut = CatalogIndex(whole.vectors, PrefixScorer(model.scorer, width), whole.unreadable, whole.known)
    return rank_targets(ModelRanker(model, cut), split, split.test).ranks


@pytest.mark.parametrize("width", SIZES[:-1])
def test_a_slice_ranks_as_the_whole_does_by_its_first_numbers(ground: Ground, tmp_path: Path, width: int) -> None:
    slice_run(ground.nested, width, tmp_path / "small", console=QUIET)
    [found, *_] = evaluate(tmp_path / "small", baselines=(), console=QUIET)
    assert np.array_equal(found.ranked.ranks, prefix_ranks(ground.nested, ground.data, width))
    assert found.ranker == "small (slice)"


def test_only_the_index_is_cut_of_a_run_that_is_not_nested(ground: Ground, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="layers of this model are not nested") as told:
        slice_run(ground.dense, 8, tmp_path / "small", console=QUIET)
    assert "--index-only" in str(told.value) and not (tmp_path / "small").exists()
    console = Told()
    slice_run(ground.dense, 8, tmp_path / "small", index_only=True, console=console)
    assert "looked at the whole alone, not at 8: measure before you use it" in " ".join(console.text.split())
    [found, *_] = evaluate(tmp_path / "small", baselines=(), console=QUIET)
    assert np.array_equal(found.ranked.ranks, prefix_ranks(ground.dense, ground.data, 8))
    again = TransRec.load(tmp_path / "small")
    assert again.scorer.reads == 8 and again.users.width == 16
    slice_run(tmp_path / "small", 4, tmp_path / "smaller", index_only=True, console=QUIET)
    assert TransRec.load(tmp_path / "smaller").scorer.reads == 4
    for width in (0, 8, 9):
        with pytest.raises(ModelError, match=f"{width} of 8 numbers cannot be compared alone"):
            slice_run(tmp_path / "small", width, tmp_path / "none", index_only=True, console=QUIET)


def test_a_nested_run_whose_index_was_cut_can_still_be_sliced(ground: Ground, tmp_path: Path) -> None:
    slice_run(ground.nested, 8, tmp_path / "cut", index_only=True, console=QUIET)
    for width, reads in ((8, None), (4, None)):
        smaller = slice_run(tmp_path / "cut", width, tmp_path / f"of-cut-{width}", console=QUIET)
        direct = slice_run(ground.nested, width, tmp_path / f"direct-{width}", console=QUIET)
        assert smaller.scorer.reads == reads and smaller.settings == direct.settings
        assert all(torch.equal(t, direct.state_dict()[name]) for name, t in smaller.state_dict().items())
    slice_run(ground.nested, 4, tmp_path / "narrow", index_only=True, console=QUIET)
    assert slice_run(tmp_path / "narrow", 8, tmp_path / "wide", console=QUIET).scorer.reads == 4


def test_the_folder_is_a_run_with_all_that_belongs_to_one(ground: Ground, tmp_path: Path) -> None:
    out, console = tmp_path / "small", Told()
    slice_run(ground.nested, 4, out, console=console)
    names = {path.name for path in out.iterdir()}
    assert names == {"settings.yaml", "model.safetensors", "encoders", "parameters.json", "README.md"}
    record = RunRecord.read(out)
    assert (record.verb, record.source, record.flags) == ("slice", str(ground.nested.resolve()), ("--width", "4"))
    assert record.data == RunRecord.read(ground.nested).data
    fates = json.loads((out / "parameters.json").read_text())["parameters"]
    model = TransRec.load(out)
    assert {fate["name"]: tuple(fate["shape"]) for fate in fates} == {n: tuple(p.shape) for n, p in model.named_parameters()}
    assert {fate["source"] for fate in fates} == {"slice", "copy"} and not any(fate["learns"] for fate in fates)
    card = (out / "README.md").read_text()
    assert "made by `transrec slice`" in card and "the first 4 of 16 numbers of every vector" in card
    assert remaking(RunFiles.read(out)) == f"transrec slice {ground.nested.resolve()} --out RUN2 --width 4"
    assert "measure before" not in console.text
    with pytest.raises(RunError, match="not empty"):
        slice_run(ground.nested, 4, out, console=QUIET)


def test_it_recommends_is_indexed_and_moves(ground: Ground, tmp_path: Path) -> None:
    out = tmp_path / "small"
    slice_run(ground.nested, 8, out, console=QUIET)
    kept = index(out, console=QUIET)
    assert kept.vectors.width == 8 and len(kept.vectors) == len(ground.data.catalog)
    found = Recommender.load(out).recommend(["i1", "i2"], k=5)
    cut = Recommender.of(compared(TransRec.load(ground.nested), 8), ground.data).recommend(["i1", "i2"], k=5)
    assert [item.id for item in found] == [item.id for item in cut]
    assert [item.score for item in found] == pytest.approx([item.score for item in cut], abs=1e-5)
    quick = TransferSettings.from_mapping({"training": {"max_steps": 1, "device": "cpu", "tensorboard": False}})
    moved, _ = transfer(out, platform(seed=3), quick, console=QUIET)
    assert moved.items.width == 8 and moved.users.nested == (4, 8)
