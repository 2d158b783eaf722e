"""Memory of vectors: the latest of every item, by platform, and an error where something was not seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from given_outputs import case
from torch import Tensor

from transrec.data.batches import ItemBatch, SequenceBatch
from transrec.errors import TrainingError
from transrec.objectives.memory import VectorMemory


def batch(rows: list[int], former: list[int], platform: int = 0) -> SequenceBatch:
    """A batch of these items that names these others."""
    items = ItemBatch(len(rows), {}, platform)
    return replace(case()[1], items=items, rows_U=torch.tensor(rows), former_R=torch.tensor(former, dtype=torch.int64))


def vectors(rows: list[int], step: int) -> Tensor:
    """What the items were encoded as at a step, so that it can be told which is which."""
    return torch.tensor([[row, step] for row in rows]).float().requires_grad_()


def seen(memory: VectorMemory, step: int, rows: list[int], former: list[int], platform: int = 0) -> list[list[float]]:
    """What the candidates' vectors are at a step."""
    found: list[list[float]] = memory.with_former(batch(rows, former, platform), vectors(rows, step)).tolist()
    return found


def test_the_latest_vector_of_every_item_is_given() -> None:
    memory = VectorMemory()
    assert seen(memory, 0, [2, 5, 9], []) == [[2, 0], [5, 0], [9, 0]]
    assert seen(memory, 1, [1, 5], [2, 9]) == [[1, 1], [5, 1], [2, 0], [9, 0]]
    assert seen(memory, 2, [9], [1, 2, 5]) == [[9, 2], [1, 1], [2, 0], [5, 1]]
    assert seen(memory, 3, [0], [1, 5, 9]) == [[0, 3], [1, 1], [5, 1], [9, 2]]


def test_rows_of_different_platforms_are_different_items() -> None:
    memory = VectorMemory()
    seen(memory, 0, [1, 2], [], platform=0)
    seen(memory, 1, [2, 3], [], platform=1)
    assert seen(memory, 2, [4], [1, 2], platform=0) == [[4, 2], [1, 0], [2, 0]]
    assert seen(memory, 3, [4], [2, 3], platform=1) == [[4, 3], [2, 1], [3, 1]]


def test_only_the_vectors_of_the_batch_have_gradients() -> None:
    memory = VectorMemory()
    first = vectors([1, 2], 0)
    memory.with_former(batch([1, 2], []), first)
    second = vectors([3], 1)
    memory.with_former(batch([3], [1, 2]), second).sum().backward()
    assert first.grad is None and second.grad is not None


@pytest.mark.parametrize("former", [[7], [2, 3], [0, 1]])
def test_what_was_not_seen_is_said(former: list[int]) -> None:
    memory = VectorMemory()
    with pytest.raises(TrainingError, match="former batches that were not trained on"):
        seen(memory, 0, [5], former)
    seen(memory, 0, [1, 2], [])
    with pytest.raises(TrainingError, match="former batches that were not trained on"):
        seen(memory, 1, [5], former)


def test_what_is_no_longer_named_is_forgotten() -> None:
    memory = VectorMemory()
    for step in range(20):
        seen(memory, step, [step + 1], [step] if step else [])
    assert memory.state()["0.rows"].tolist() == [19, 20]


def test_it_goes_on_from_its_state() -> None:
    memory, other = VectorMemory(), VectorMemory()
    for platform in (0, 1):
        seen(memory, 0, [1 + platform, 7], [], platform)
    seen(other, 0, [30], [])
    other.restore(memory.state())
    for platform in (0, 1):
        asked = (1, [5], [1 + platform, 7], platform)
        assert seen(memory, *asked) == seen(other, *asked)
    other.restore({})
    assert other.state() == {}
