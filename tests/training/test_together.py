"""Several processes compute one batch together: the losses and gradients of one process, and no content encoded twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from cases import Case
from clustered_ground import laid, same_training, share_without_a_modality
from shared_ground import CASES, STEPS, ground, steps_of
from torch import Tensor

from transrec.data.batches import ItemBatch, Shares
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train
from transrec.training.together import Together
from transrec.training.trainer import Fit

RANKS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the processes have found, a file for each case and rank."""
    folder = tmp_path_factory.mktemp("together")
    ground(folder)
    (folder / "fifty").mkdir()
    (folder / "fifty" / "settings.json").write_text(laid(folder / "fifty").model_dump_json())
    tests = Path(__file__).parents[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(RANKS)]
    done = subprocess.run(
        [*launch, str(tests / "shared_ground.py"), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("case", CASES)
def test_several_processes_take_the_steps_of_one(folder: Path, case: str) -> None:
    alone = steps_of(folder, case)
    place = list(CASES).index(case)
    shares = [safetensors.torch.load_file(folder / f"{place}-{rank}.safetensors") for rank in range(RANKS)]
    encoded = sum(share.pop("encoded") for share in shares)
    assert encoded.equal(alone.pop("encoded")), "no content is encoded twice, and none is left out"
    for step in range(STEPS):
        grads = {name: tensor for name, tensor in alone.items() if name.startswith(f"{step} ") and "loss" not in name}
        size = norm(grads.values())
        assert size > 0
        for share in shares:
            torch.testing.assert_close(share[f"{step} loss"], alone[f"{step} loss"], rtol=1e-5, atol=0)
            assert norm(share[name] - own for name, own in grads.items()) < 1e-5 * size


def test_a_whole_training_of_several_processes_is_that_of_one(folder: Path) -> None:
    place = folder / "fifty"
    settings = TrainSettings.from_mapping(json.loads((place / "settings.json").read_text()))
    assert share_without_a_modality(settings, place / "rare") > 0
    two = Fit(**json.loads((place / "fit.json").read_text()))
    _, one = train([place / "rare"], settings, place / "one")
    same_training(place / "two", two, place / "one", one)


def test_a_share_that_learns_nothing_takes_part_in_the_backward_pass() -> None:
    sent = []

    def exchange(own: Tensor, sizes: object, by_itself: bool) -> Tensor:
        sent.append(own)
        return own

    case = Case()
    batch = replace(case.batches.batch(0), items=ItemBatch(0, {}), shares=Shares(torch.zeros(0, dtype=torch.int64), (0,)))
    with pytest.raises(IndexError):  # there are no items; what is asked is how they were sent
        Together(0, 1, exchange).outputs(case.model, batch)
    assert len(sent[0]) == 0
    assert sent[0].requires_grad, "the other processes would wait for ever"


def norm(tensors: object) -> float:
    return float(torch.stack([tensor.double().square().sum() for tensor in tensors]).sum().sqrt())  # type: ignore[attr-defined]


def test_the_shares_of_the_items_are_about_as_large(folder: Path) -> None:
    place = list(CASES).index("softmax")
    shares = [safetensors.torch.load_file(folder / f"{place}-{rank}.safetensors")["encoded"] for rank in range(RANKS)]
    assert all(int(share.min()) > 0 for share in shares)
    difference: Tensor = (shares[0] - shares[1]).abs()
    assert int(difference.max()) <= 0.3 * int((shares[0] + shares[1]).min())
