"""Rehearsals leave nothing behind, and say what a step takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from unittest import mock

import pytest
import torch
from cases import Case
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from transrec.data.batches import SequenceBatches
from transrec.data.counts import Counts
from transrec.data.splits import leave_one_out
from transrec.objectives.objective import Loss
from transrec.training.rehearsal import LOOKED_AT, Rehearsal, content_of, largest_batch, steps_of
from transrec.training.trainer import Task

CPU = torch.device("cpu")


class Normalising(nn.Module):
    """A task that everything of a step can be seen in: it moves statistics, draws dropout, and takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.frozen = nn.Linear(4, 4), nn.Linear(4, 4).requires_grad_(requires_grad=False)
        self.norm, self.dropout = nn.BatchNorm1d(4), nn.Dropout(0.5)
        self.seen: list[tuple[bool, torch.dtype]] = []

    def forward(self, batch: object) -> Loss:
        time.sleep(0.02)
        made = self.layer(torch.randn(8, 4))
        self.seen.append((self.training, made.dtype))
        return Loss(self.dropout(self.norm(made.float())).sum(), {})


@pytest.fixture
def batch() -> object:
    return mock.Mock()


def everything(task: nn.Module) -> list[Tensor]:
    return [*(tensor.clone() for tensor in task.state_dict().values()), torch.get_rng_state()]


@pytest.mark.parametrize(
    "rehearse",
    [
        lambda rehearsal, batch: rehearsal.peak(batch),
        lambda rehearsal, batch: rehearsal.seconds([batch, batch]),
        lambda rehearsal, batch: rehearsal.in_bfloat16().seconds([batch]),
        lambda rehearsal, _: rehearsal.moving_seconds(),
    ],
    ids=["memory", "time", "bfloat16", "optimiser"],
)
def test_nothing_is_left(rehearse: Callable[[Rehearsal, object], object], batch: object) -> None:
    task = Normalising().eval()
    task.dropout.train()
    before = everything(task)
    rehearse(Rehearsal(task, CPU), batch)
    assert all(ours.equal(theirs) for ours, theirs in zip(everything(task), before, strict=True))
    assert all(parameter.grad is None for parameter in task.parameters())
    assert [task.training, task.norm.training, task.dropout.training] == [False, False, True]


def test_nothing_is_left_where_a_step_cannot_be_had(batch: object) -> None:
    task = Normalising()
    before = everything(task)
    with (
        mock.patch.object(task.dropout, "forward", side_effect=torch.OutOfMemoryError),
        pytest.raises(torch.OutOfMemoryError),
    ):
        Rehearsal(task, CPU).peak(batch)  # type: ignore[arg-type]
    assert all(ours.equal(theirs) for ours, theirs in zip(everything(task), before, strict=True))


def test_it_is_a_step_of_the_training(batch: object) -> None:
    task = Normalising().eval()
    Rehearsal(task, CPU).seconds([batch])  # type: ignore[list-item]
    Rehearsal(task, CPU).in_bfloat16().seconds([batch])  # type: ignore[list-item]
    Rehearsal(task, CPU, bfloat16=True).peak(batch)  # type: ignore[arg-type]
    assert task.seen == [(True, torch.float32), (True, torch.bfloat16), (True, torch.bfloat16)]


def test_seconds_are_those_of_a_step(batch: object) -> None:
    rehearsal = Rehearsal(Normalising(), CPU)
    assert 0.02 <= min(rehearsal.seconds([batch] * 3) for _ in range(3)) < 0.2  # type: ignore[list-item]
    assert 0 < rehearsal.moving_seconds() < 1


def test_the_optimiser_has_two_numbers_for_each_that_learns() -> None:
    task = Normalising()
    assert Rehearsal(task, CPU).state_bytes == 2 * 4 * (4 * 4 + 4 + 4 + 4)
    optimiser = torch.optim.AdamW([p for p in task.parameters() if p.requires_grad])
    task(None).total.backward()
    optimiser.step()
    moments = [state[name] for state in optimiser.state.values() for name in ("exp_avg", "exp_avg_sq")]
    assert sum(moment.nbytes for moment in moments) == Rehearsal(task, CPU).state_bytes


def saved_bytes(task: Task, made: object) -> int:
    """The memory of all tensors that are saved for the backward pass, each counted once."""
    own = {parameter.untyped_storage().data_ptr() for parameter in task.parameters()}
    found: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        loss = task(made)
    assert loss.total.requires_grad
    return sum(found.values())


def test_memory_is_that_of_what_is_saved_and_grows_with_the_batch() -> None:
    case = Case()
    task = Task(case.model, case.objective).train()
    rehearsal = Rehearsal(task, CPU)
    peaks = []
    split = leave_one_out(case.dataset.interactions)
    counts = Counts.of(split, len(case.dataset.catalog))
    for size in (4, 16, 32):
        batches = SequenceBatches(split, case.store, case.objective.plan, batch_size=size, seed=0, counts=counts)
        made = largest_batch(batches)
        peaks.append(rehearsal.peak(made))
        gradients = sum(p.nbytes for p in task.parameters() if p.requires_grad)
        saved = saved_bytes(task, made)
        assert saved <= peaks[-1] + sum(t.nbytes for t in (made.history_BL, made.targets_BT)) + 50_000
        assert peaks[-1] <= 3 * (saved + gradients)
    assert peaks[0] < peaks[1] < peaks[2]
    assert peaks[2] < 2.2 * peaks[1], "about linear in the batch"


def test_the_largest_batch_is_the_one_with_the_most_content() -> None:
    batches = Case().batches
    sizes = [content_of(batches.batch(step)) for step in range(batches.steps_per_epoch)]
    assert len(set(sizes)) > 1 and batches.steps_per_epoch <= LOOKED_AT, "else this shows nothing"
    assert content_of(largest_batch(batches)) == max(sizes)
    one = batches.batch(0)
    assert content_of(one) == 8 * len(one.rows_U), "eight numbers are given for each of the items"


def test_steps_are_spread_over_an_epoch() -> None:
    batches = mock.Mock(steps_per_epoch=100)
    assert steps_of(batches, 0, 4) == [0, 25, 50, 75]
    assert steps_of(batches, 230, 2) == [230, 280]
    assert steps_of(mock.Mock(steps_per_epoch=3), 5, 8) == [5, 6, 7]
