"""Attuning: clusters before every epoch, the same after an interrupt, and new ones on another platform."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from rich.console import Console
from viewed_ground import USERS, viewed_platform

from transrec.data.batches import SequenceBatches
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.evaluation.ranks import ModelRanker
from transrec.model import TransRec
from transrec.recipes.attuning import attune
from transrec.recipes.continuing import carry_on
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.platform import Platform
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer
from transrec.retrieval.index import encode_histories
from transrec.retrieval.opening import open_live
from transrec.users.missrec import MissrecUserEncoder

QUIET = Console(quiet=True)
LOOP = {"epochs": 3, "batch_size": 8, "device": "cpu", "tensorboard": False, "checkpoint_minutes": 0}
OBJECTIVE = {"added": {"seq_seq": 0.01, "orthogonality": 0.01}}


def settings(**changes: object) -> TrainSettings:
    users = {**USERS, "kind": "missrec", "missrec": {"ratio": 0.25}}
    model = {"items": {"width": 16}, "scorer": "views", "users": users}
    return TrainSettings.from_mapping({"model": model, "training": {**LOOP, **changes}, "objective": OBJECTIVE})


def test_clusters_are_found_anew_before_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, seen = viewed_platform(), list[tuple[int, float]]()
    look = MissrecUserEncoder.attune

    def watched(self: MissrecUserEncoder, items_VW: torch.Tensor, *, generator: torch.Generator) -> None:
        look(self, items_VW, generator=generator)
        seen.append((len(self.centres), float(self.centres.sum())))

    monkeypatch.setattr(MissrecUserEncoder, "attune", watched)
    model, _ = train([dataset], settings(), console=QUIET)
    assert [count for count, _ in seen] == [8, 8, 8] and len({total for _, total in seen}) == 3
    assert float(model.users.centres.sum()) in {total for _, total in seen}, "those of the epoch that validated best"


def test_it_is_a_function_of_weights_seed_and_epoch() -> None:
    dataset = viewed_platform()
    model = TransRec.build(settings().model, [dataset.catalog])
    platform = Platform(dataset, None, ContentStore.prepare(dataset.catalog, model.items.preparers()))  # type: ignore[arg-type]
    found = []
    for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0)):
        attune([platform], seed, model, epoch)
        found.append(model.users.centres)
    assert found[0].equal(found[1]) and not found[0].equal(found[2]) and not found[0].equal(found[3])


@pytest.mark.parametrize("at", [5, 7, 8])  # inside an epoch of several steps, and at its beginning
def test_a_resumed_training_has_the_same_clusters_and_weights(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, make = viewed_platform(), SequenceBatches.batch
    whole, expected = train([dataset], settings(), tmp_path / "whole", console=QUIET)

    def interrupted(self: SequenceBatches, step: int) -> object:
        if step == at:
            raise KeyboardInterrupt
        return make(self, step)

    with monkeypatch.context() as patched:
        patched.setattr(SequenceBatches, "batch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train([dataset], settings(), tmp_path / "broken", console=QUIET)
    resumed, result = train([dataset], settings(), tmp_path / "broken", resume=True, console=QUIET)
    assert result == expected
    assert all(tensor.equal(resumed.state_dict()[name]) for name, tensor in whole.state_dict().items())
    loaded = TransRec.load(tmp_path / "broken")
    assert loaded.users.centres.equal(whole.users.centres) and len(loaded.users.centres) == 8


def test_a_transfer_finds_the_clusters_of_its_own_items(tmp_path: Path) -> None:
    source, target = viewed_platform(), viewed_platform(items=36, users=40, seed=1)
    train([source], settings(), tmp_path / "source", console=QUIET)
    chosen = TransferSettings.from_mapping({"training": LOOP, "objective": OBJECTIVE, "tune": "projections"})
    model, _ = transfer(tmp_path / "source", target, chosen, tmp_path / "moved", console=QUIET)
    assert len(model.users.centres) == 12
    former = TransRec.load(tmp_path / "source")
    assert model.users.blocks[0].output.weight.equal(former.users.blocks[0].output.weight), "the transformer rests"
    assert not model.items.projections["words"].linear.weight.equal(former.items.projections["words"].linear.weight)
    fates = {row["name"]: row for row in json.loads((tmp_path / "moved" / "parameters.json").read_text())["parameters"]}
    assert not fates["users.blocks.0.output.weight"]["learns"] and fates["users.looks.0.norm.weight"]["learns"]
    assert fates["scorer.sharpness"] == fates["scorer.sharpness"] | {"source": "copy", "learns": True}


@pytest.mark.parametrize("rules", [["users.*=copy"], ["*=copy"], ["users.*=fraction(0.2)"], ["users.*=fraction(1, convex)"]])
def test_clusters_are_never_copied_whatever_the_rules(rules: list[str], tmp_path: Path) -> None:
    source, target = viewed_platform(), viewed_platform(items=36, users=40, seed=1)
    train([source], settings(epochs=1), tmp_path / "source", console=QUIET)
    chosen = TransferSettings.from_mapping({"training": {**LOOP, "epochs": 1}, "rules": rules, "tune": "frozen"})
    model, _ = transfer(tmp_path / "source", target, chosen, tmp_path / "moved", console=QUIET)
    assert len(model.users.centres) == 12
    rows = json.loads((tmp_path / "moved" / "parameters.json").read_text())["parameters"]
    fates = {row["name"]: row["source"] for row in rows}
    part = rules[0].split("=")[1]
    assert fates["users.blocks.0.output.weight"] == part and fates["users.final_norm.weight"] == "copy"


def test_a_run_goes_on_with_the_clusters_of_the_items_that_there_are_now(tmp_path: Path) -> None:
    before = viewed_platform()
    more = viewed_platform(items=36)
    now = Dataset(more.catalog, before.interactions, name="viewed")
    before.save(tmp_path / "before")
    train([tmp_path / "before"], settings(epochs=1), tmp_path / "run", console=QUIET)
    model, _ = carry_on(tmp_path / "run", now, settings(epochs=1), tmp_path / "on", console=QUIET)
    assert len(model.users.centres) == 12 and len(TransRec.load(tmp_path / "on").users.centres) == 12


def test_a_platform_that_was_not_learned_from_has_clusters_of_its_own(tmp_path: Path) -> None:
    source, target = viewed_platform(), viewed_platform(items=36, users=40, seed=1)
    train([source], settings(epochs=1), tmp_path / "source", console=QUIET)
    measured, served = (TransRec.load(tmp_path / "source") for _ in range(2))
    former = measured.users.centres.clone()
    split = leave_one_out(target.interactions)
    assert ModelRanker.of(measured, target, split, place=0).model.users.centres.equal(former)
    ranker = ModelRanker.of(measured, target, split, place=None)
    assert len(ranker.model.users.centres) == 12
    live, _ = open_live(served, target.save(tmp_path / "target"), tmp_path / "index", place=None)
    histories = Histories.from_lists([[1, 5, 9]])
    expected = encode_histories(measured, ranker.index, histories)
    torch.testing.assert_close(encode_histories(served, live.now.index, histories).vectors, expected.vectors)
