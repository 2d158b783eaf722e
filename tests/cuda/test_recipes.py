"""The verbs on an accelerator: train, transfer, evaluate, index and recommend say there what they say on the CPU."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from clustered_ground import laid
from device_ground import DEVICE, ON_DEVICE, THERE, in_memory
from rich.console import Console
from safetensors.torch import load_file

from transrec.data.dataset import Dataset
from transrec.data.item import Item
from transrec.data.splits import split_of
from transrec.evaluation.lists import ListMeasureSettings
from transrec.evaluation.ranks import ModelRanker, rank_targets, validation_metrics
from transrec.model import TransRec
from transrec.recipes.evaluate import evaluate
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.index import index
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer
from transrec.serving.recommender import Recommender
from transrec.training.trainer import Fit

pytestmark = ON_DEVICE

STEPS = 30


class Run:
    """A run of texts and pictures that was trained on the device."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder / "run", folder / "rare"
        loop = {"device": DEVICE, "batch_size": 8, "max_steps": STEPS, "keep": "best", "precision": "auto"}
        self.settings: TrainSettings = laid(folder).updated({"training": loop})
        self.model, self.fit = train([self.data], self.settings, self.folder, console=quiet())
        self.other = folder / "data"

    def transferred(self, out: Path, console: Console, **loop: object) -> tuple[TransRec, Fit]:
        settings = TransferSettings.from_mapping(
            {
                "tune": "top:1",
                "training": {**self.settings.training.model_dump(mode="json"), "max_steps": 6, "keep": "last", **loop},
            }
        )
        return transfer(self.folder, in_memory(self.other), settings, out, console=console)


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("run"))


# ---- training ---------------------------------------------------------------------------------------------------------


def test_it_learns_and_its_weights_stay_float32(run: Run) -> None:
    found = losses(run.folder)
    assert len(found) == run.fit.steps == STEPS
    assert np.isfinite(found).all()
    print(f"\nlosses from {np.mean(found[:6]):.3f} to {np.mean(found[-6:]):.3f}")
    assert np.mean(found[-6:]) < 0.97 * np.mean(found[:6])
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}
    assert {p.device.type for p in run.model.parameters()} == {DEVICE}
    kept = load_file(str(run.folder / "model.safetensors"))
    assert {tensor.dtype for tensor in kept.values()} == {torch.float32}
    assert kept.keys() <= run.model.state_dict().keys()
    assert all(tensor.equal(run.model.state_dict()[name].cpu()) for name, tensor in kept.items())


def test_opened_on_the_cpu_it_ranks_the_same(run: Run) -> None:
    dataset = in_memory(run.data)
    split = split_of(dataset.interactions, run.settings.split)
    here, there = (ModelRanker.of(model, dataset, split) for model in (TransRec.load(run.folder), run.model))
    ours, theirs = (validation_metrics(ranker, split) for ranker in (there, here))
    assert 0 < theirs["NDCG@10"] < 1
    assert ours == pytest.approx(theirs, abs=0.01)
    ours_E, theirs_E = (rank_targets(ranker, split, split.validation).ranks for ranker in (there, here))
    assert np.mean(ours_E == theirs_E) > 0.8


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.02)])
def test_what_frozen_blocks_make_is_kept_and_changes_no_loss(
    run: Run, tmp_path: Path, precision: str, tolerance: float
) -> None:
    found, said = [], []
    for states in ("float32", "none"):
        console = quiet()
        model, fit = run.transferred(tmp_path / states, console, frozen_states=states, precision=precision)
        assert fit.steps == 6
        found.append(losses(tmp_path / states))
        said.append("keeping what 1 frozen blocks make" in console.file.getvalue())  # type: ignore[attr-defined]
        before = TransRec.load(run.folder).state_dict()
        own = {name: tensor.cpu() for name, tensor in model.state_dict().items() if ".backbone.encoder.layer." in name}
        moved = {name for name, tensor in own.items() if not tensor.equal(before[name])}
        assert any(".layer.1." in name for name in moved) and not any(".text.backbone.encoder.layer.0." in n for n in moved)
    assert said == [True, False]
    np.testing.assert_allclose(found[0][:2], found[1][:2], rtol=tolerance)
    np.testing.assert_allclose(found[0], found[1], rtol=10 * tolerance)


def test_a_size_that_fits_is_found(run: Run, tmp_path: Path) -> None:
    console = quiet()
    _, fit = train(
        [in_memory(run.data)],
        run.settings.updated({"training": {"items_at_once": "auto", "max_steps": 3}}),
        tmp_path / "sized",
        console=console,
    )
    assert fit.steps == 3
    assert "items_at_once that fits: all; a step takes" in console.file.getvalue()  # type: ignore[attr-defined]


# ---- what a run is asked ----------------------------------------------------------------------------------------------


def test_evaluations_agree(run: Run) -> None:
    found = []
    for device in (DEVICE, "cpu"):
        [own, _] = evaluate(
            run.folder,
            in_memory(run.data),
            baselines=("popularity",),
            lists=ListMeasureSettings(length=5),
            device=device,
            console=quiet(),
        )
        kept = json.loads(next((run.folder / "evaluation").glob("*.json")).read_text())
        found.append((own, kept))
    (ours, our_file), (theirs, their_file) = found
    for name, interval in theirs.overall.metrics.items():
        assert ours.overall.metrics[name].value == pytest.approx(interval.value, abs=0.01), name
    assert len(theirs.ranked) > 10
    assert np.mean(ours.ranked.ranks == theirs.ranked.ranks) > 0.8
    told = [str(file["lists"]) for file in (our_file, their_file)]
    assert "spread" in told[0], "lists were looked at"


def test_recommendations_agree_and_new_items_are_found(run: Run) -> None:
    made = index(run.folder, device=DEVICE, console=quiet())
    assert made.vectors.device.type == DEVICE
    assert made.encoded == len(made.vectors)
    there = Recommender.load(run.folder, device=DEVICE)
    assert there.index.device.type == DEVICE
    here = Recommender.of(TransRec.load(run.folder), in_memory(run.data))
    catalog = here.catalog
    for start in range(0, 20, 5):
        history = list(catalog.ids[start : start + 4])
        for wishes in ({}, {"diversity": 0.4}, {"popularity": 0.0, "exclude": (catalog.ids[-1],)}, {"seen": True}):
            ours, theirs = (each.recommend(history, 8, explain=True, **wishes) for each in (there, here))
            assert len(theirs.items) == 8
            assert [i.score for i in ours.items] == pytest.approx([i.score for i in theirs.items], abs=1e-3)
            assert np.mean([a.id == b.id for a, b in zip(ours.items, theirs.items, strict=True)]) > 0.7
            assert sum(ours.items[0].reason.views.values()) == pytest.approx(1.0)  # type: ignore[union-attr]
    text = next(item.text for item in catalog.items(range(len(catalog))) if item.text)
    for each in (there, here):
        each.add([Item("new", text=text)])
        assert "new" in [found.id for found in each.search(3, text=text)]
    ours, theirs = (each.recommend(["new"], 5) for each in (there, here))
    assert [i.score for i in ours.items] == pytest.approx([i.score for i in theirs.items], abs=1e-3)
    there.remove(["new"])
    assert "new" not in [found.id for found in there.search(3, text=text)]
    there.close()
    again = Recommender.load(run.folder, device=THERE)
    assert not again.holds("new")
    again.close()


def test_what_was_kept_on_the_device_is_read_on_the_cpu(run: Run) -> None:
    index(run.folder, device=DEVICE, console=quiet())
    kept = index(run.folder, device="cpu", console=quiet())
    assert kept.encoded == 0, "it is the same model"
    model = TransRec.load(run.folder)
    fresh = ModelRanker.of(model, in_memory(run.data), split_of(Dataset.open(run.data).interactions, run.settings.split))
    expected = fresh.index.vectors.whole()
    assert float(expected.std()) > 0
    torch.testing.assert_close(kept.vectors.whole(), expected, rtol=0.0, atol=1e-3 * float(expected.abs().max()))
