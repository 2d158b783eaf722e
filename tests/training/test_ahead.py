"""Ahead: however many batches are made at a time, they are the same ones in the same order."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from cases import Case

from transrec.data.batches import SequenceBatch
from transrec.data.mixing import MixedBatches
from transrec.training import ahead
from transrec.training.ahead import batches_ahead, prefetched


def tensors(batch: SequenceBatch) -> dict[str, torch.Tensor]:
    found = {name: getattr(batch, name) for name in batch.__slots__}
    named = {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
    assert batch.evidence is not None
    return named | dict(batch.evidence.shares)


@pytest.mark.parametrize("memory", [0, 2])
@pytest.mark.parametrize("mixed", [False, True])
def test_several_at_a_time_are_those_of_one(mixed: bool, memory: int) -> None:
    def batches() -> MixedBatches:
        return MixedBatches([Case(memory=memory).batches, Case(1, memory=memory).batches][: 1 + mixed], seed=0)

    made, alone = batches(), batches()
    steps = range(3, 4 * made.steps_per_epoch)  # over several epochs, whose orders are kept one at a time
    several = prefetched(lambda step: [made.batch(step)], steps, lambda _: None, 4)
    count = 0
    for step, (batch,) in zip(steps, several, strict=True):
        expected = tensors(alone.batch(step))
        found = tensors(batch)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected), step
        count += 1
    assert count == len(steps) > 12


def test_so_many_are_made_at_a_time_and_no_more() -> None:
    working, most, lock = 0, 0, threading.Lock()

    def make(step: int) -> list[SequenceBatch]:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        time.sleep(0.01)
        with lock:
            working -= 1
        return [step]  # type: ignore[list-item]

    waits: list[float] = []
    assert [made for (made,) in prefetched(make, range(20), waits.append, 3)] == list(range(20))
    assert most == 3 and len(waits) == 20


def test_a_batch_that_cannot_be_made_ends_the_training_where_it_stands() -> None:
    def make(step: int) -> list[SequenceBatch]:
        if step == 2:
            raise OSError("the disk is gone")
        return [step]  # type: ignore[list-item]

    made = prefetched(make, range(9), lambda _: None, 3)
    assert [next(made), next(made)] == [[0], [1]]
    with pytest.raises(OSError, match="the disk is gone"):
        next(made)


def test_a_cpu_that_trains_makes_one_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for processors in (1, 2, 4, 8, 16, 64):
        monkeypatch.setattr(ahead, "_processors", lambda given=processors: given)
        assert batches_ahead(torch.device("cpu")) == 1
        found.append(batches_ahead(torch.device("cuda")))
    monkeypatch.undo()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    assert batches_ahead(torch.device("cuda")) == 1, "what trains together on a machine shares its processors"
    assert found == [1, 1, 1, 3, 4, 4]
