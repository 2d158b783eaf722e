"""A training on an accelerator: it learns, is repeated, resumed and ended as on the CPU, and fits the memory as it says."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import Case, Spoiled, platform
from device_ground import DEVICE, ON_CUDA, ON_DEVICE, THERE, apart
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor

from transrec.data.batches import SequenceBatches
from transrec.data.counts import Counts
from transrec.data.splits import leave_one_out
from transrec.errors import TrainingError
from transrec.model import TransRec
from transrec.training.estimate import LONG, Course, estimated
from transrec.training.memory import LiveBytes, free_bytes
from transrec.training.rehearsal import Rehearsal
from transrec.training.settings import TrainingSettings
from transrec.training.trainer import Fit, Task, Trainer

pytestmark = ON_DEVICE

MIB = 1 << 20
LARGE = {"users": {"feedforward": 2048, "window": 6}, "items": {"width": 256}}
"""A model whose steps take so much memory that the remainders of blocks do not count."""


def settings(**changes: object) -> TrainingSettings:
    common = {"epochs": 4, "device": DEVICE, "precision": "float32", "tensorboard": False, "log_every": 1}
    return TrainingSettings.from_mapping({**common, "estimate": False, "patience": 100, **changes})


def fit(case: Case, folder: Path | None, values: list[float], *, resume: bool = False, **changes: object) -> Fit:
    """Train; the n-th validation gives the n-th value, and is interrupted when there is none."""
    remaining = list(values)

    def validate(model: TransRec) -> Mapping[str, float]:
        assert model.device.type == DEVICE
        if not remaining:
            raise KeyboardInterrupt
        return {"NDCG@10": remaining.pop(0)}

    trainer = Trainer(settings(**changes), folder)
    return trainer.fit(case.model.to(THERE), case.objective.to(THERE), case.batches, validate, resume=resume)


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def weights(case: Case) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in case.model.state_dict().items()}


RISING = [0.1, 0.2, 0.3, 0.4]
KINDS = {
    "softmax with a memory": lambda seed: Case(seed, memory=2, shared_negatives=5),
    "gated, gbce": lambda seed: Case(seed, "gbce", users={"kind": "gated"}),
    "barlow beside softmax": lambda seed: Case(
        seed, users={"mask_token": True}, added={"added": {"barlow": 0.01}, "barlow": {"width": 8}}
    ),
}


# ---- learning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_training_ends_as_an_undisturbed_one(tmp_path: Path, kind: str) -> None:
    """With dropout, which the seed of a step decides, and with what the objective remembers."""
    whole, first, second = (KINDS[kind](seed) for seed in (0, 0, 5))
    start = weights(whole)
    done = fit_lending(whole, tmp_path / "whole", RISING)
    with pytest.raises(KeyboardInterrupt):
        fit_lending(first, tmp_path / "parts", RISING[:2])
    resumed = fit_lending(second, tmp_path / "parts", RISING[2:], resume=True)
    assert resumed.steps == done.steps
    assert apart(weights(whole), start) > 0.01, "nothing was learned"
    assert apart(weights(second), weights(whole)) < 1e-3
    np.testing.assert_allclose(
        losses(tmp_path / "parts")[-done.steps // 4 :], losses(tmp_path / "whole")[-done.steps // 4 :], rtol=1e-4
    )


def fit_lending(case: Case, folder: Path, values: list[float], **more: object) -> Fit:
    """Train with the objective's head as a part of the model, as the recipes do."""
    with case.objective.lending(case.model):
        return fit(case, folder, values, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_the_same_training_is_the_same_again(tmp_path: Path, precision: str) -> None:
    found = []
    for name in ("one", "two"):
        fit(Case(0, shared_negatives=5), tmp_path / name, RISING, precision=precision)
        found.append(losses(tmp_path / name))
    own, other = found
    print(f"\n{precision}: largest difference of losses {max(abs(a - b) for a, b in zip(own, other, strict=True)):.2e}")
    assert len(set(own)) == len(own) > 8, "nothing was learned"
    np.testing.assert_allclose(own, other, rtol=1e-5 if precision == "float32" else 1e-2)


def test_it_is_the_training_of_the_cpu_where_nothing_is_dropped(tmp_path: Path) -> None:
    for name in ("cpu", DEVICE):
        case = Case(0, users={"dropout": 0.0}, shared_negatives=5)
        Trainer(settings(device=name), tmp_path / name).fit(
            case.model.to(name), case.objective.to(name), case.batches, lambda _: {"NDCG@10": 0.1}
        )
    np.testing.assert_allclose(losses(tmp_path / DEVICE), losses(tmp_path / "cpu"), rtol=1e-3)
    assert len(losses(tmp_path / "cpu")) > 8


# ---- a loss that is not a number --------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_every", [1, 3])
def test_a_loss_that_is_not_a_number_ends_it_and_names_the_items(tmp_path: Path, log_every: int) -> None:
    case = Case()
    names = [f"thing {row}" for row in range(50)]
    trainer = Trainer(
        settings(log_every=log_every), tmp_path, name_items=lambda batch: [names[row] for row in batch.rows_U.tolist()]
    )
    objective = Spoiled(case.objective, {4}).to(THERE)
    with pytest.raises(TrainingError, match=r"not a number at step 5; its \d+ items are in nonfinite.json"):
        trainer.fit(case.model.to(THERE), objective, case.batches, lambda _: {"NDCG@10": 0.1})
    assert objective.calls >= 5 + (DEVICE == "cuda" and log_every == 3), "an accelerator looks when something is told"
    report = json.loads((tmp_path / "nonfinite.json").read_text())
    assert report["step"] == 5
    assert report["items"] == [[names[row] for row in case.batches.batch(4).rows_U.tolist()]]
    kept = load_file(str(tmp_path / "checkpoints" / "last" / "model.safetensors"))
    assert all(bool(tensor.isfinite().all()) for tensor in kept.values()), "the last good state"


def test_skipped_steps_leave_the_weights_alone(tmp_path: Path) -> None:
    case = Case()
    objective = Spoiled(case.objective, {4, 5}).to(THERE)
    Trainer(settings(on_nonfinite="skip"), tmp_path).fit(
        case.model.to(THERE), objective, case.batches, lambda _: {"NDCG@10": 0.1}
    )
    assert objective.calls == 4 * case.batches.steps_per_epoch
    assert all(bool(parameter.isfinite().all()) for parameter in case.model.parameters())
    assert json.loads((tmp_path / "nonfinite.json").read_text())["step"] == 6


# ---- memory -----------------------------------------------------------------------------------------------------------


def large_case(windows: int) -> tuple[Case, SequenceBatches]:
    case = Case(0, **LARGE)
    case.model.to(THERE)
    case.objective.to(THERE)
    made = platform(users=2 * windows)
    split = leave_one_out(made.interactions)
    counts = Counts.of(split, len(made.catalog))
    return case, SequenceBatches(split, case.store, case.objective.plan, batch_size=windows, seed=0, counts=counts)


@ON_CUDA
def test_a_step_takes_what_the_estimate_says() -> None:
    case, batches = large_case(128)
    rehearsal = Rehearsal(Task(case.model, case.objective), THERE)
    rehearsal.seconds([batches.batch(0)])  # libraries take their workspace
    with LiveBytes() as counted:
        rehearsal.seconds([batches.batch(0)])
    told = estimated(rehearsal, batches, Course(0, LONG, batches.steps_per_epoch))
    assert told.free is not None and told.free > 100 * MIB
    assert told.seconds > 0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    Trainer(settings(epochs=1), None).fit(case.model, case.objective, batches, lambda _: {"NDCG@10": 0.1})
    taken = torch.cuda.max_memory_allocated() - before
    print(f"\nestimated {told.bytes / MIB:.1f} MiB, taken {taken / MIB:.1f} MiB, tensors alone {counted.peak / MIB:.1f} MiB")
    assert taken > 20 * MIB, "too little to compare"
    assert 0.7 < told.bytes / taken < 1.4
    assert 0.6 < counted.peak / (told.bytes - rehearsal.state_bytes) < 1.5


@ON_CUDA
def test_a_batch_that_does_not_fit_is_said_before_the_first_step(tmp_path: Path) -> None:
    small, large = large_case(8), large_case(1024)
    task = Task(large[0].model, large[0].objective)
    Rehearsal(task, THERE).seconds([small[1].batch(0)])
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(THERE).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 24 * MIB) / whole)
    try:
        trainer = Trainer(settings(epochs=LONG, estimate=True, log_every=50), tmp_path, console=Console(file=io.StringIO()))
        with pytest.raises(
            TrainingError, match="a step of 1024 windows does not fit into the memory of the cuda device"
        ) as told:
            trainer.fit(large[0].model, large[0].objective, large[1], lambda _: {"NDCG@10": 0.1})
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "--training.items-at-once auto" in str(told.value)
    assert not (tmp_path / "metrics.jsonl").exists()
    assert all(parameter.grad is None for parameter in task.parameters())
    Rehearsal(task, THERE).seconds([large[1].batch(0)])  # with the whole memory it fits, and the device works on


def test_what_is_free_is_less_than_all_of_it() -> None:
    held = torch.zeros(16 * MIB, device=THERE)
    free = free_bytes(THERE)
    assert free is not None
    if DEVICE == "cuda":
        assert 100 * MIB < free <= torch.cuda.get_device_properties(THERE).total_memory - held.nbytes
    else:
        assert free > 0


def test_a_rehearsal_is_not_noticed() -> None:
    case = Case(0, shared_negatives=5)
    case.model.to(THERE)
    before, state = weights(case), torch.get_rng_state()
    there = torch.cuda.get_rng_state() if DEVICE == "cuda" else state
    told = estimated(Rehearsal(Task(case.model, case.objective.to(THERE)), THERE), case.batches, Course(0, LONG, 3))
    assert told.bytes > 0
    assert all(own.equal(before[name]) for name, own in weights(case).items())
    assert state.equal(torch.get_rng_state())
    assert there.equal(torch.cuda.get_rng_state() if DEVICE == "cuda" else torch.get_rng_state())
