"""Ragged values: as many of each item as it has, in every form the same."""

import pytest
import torch

from transrec.data.ragged import Ragged
from transrec.errors import DataError

EACH = [torch.tensor([3, 1]), torch.tensor([], dtype=torch.int64), torch.tensor([4, 1, 5, 9]), torch.tensor([2])]


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.bfloat16])
def test_padded_and_back(dtype):
    each = [values.to(dtype) for values in EACH]
    ragged = Ragged.of(each)
    assert len(ragged) == 4 and ragged.longest == 4
    assert ragged.padded().tolist() == [[3, 1, 0, 0], [0, 0, 0, 0], [4, 1, 5, 9], [2, 0, 0, 0]]
    assert ragged.padded(7)[3].tolist() == [2, 7, 7, 7]
    assert ragged.mask().sum(dim=1).tolist() == [2, 0, 4, 1]
    again = Ragged.from_padded(ragged.padded(), ragged.lengths_n)
    assert again.values.equal(ragged.values) and all(map(torch.equal, again.each(), each))


def test_values_may_have_further_axes():
    ragged = Ragged(torch.arange(14.0).view(7, 2), torch.tensor([2, 0, 4, 1]))
    assert ragged.padded().shape == (4, 4, 2)
    assert ragged.padded()[2, 3].tolist() == [10, 11]
    assert ragged.padded()[ragged.mask()].equal(ragged.values)


@pytest.mark.parametrize("index", [[2, 0], [1], [3, 3, 2, 1, 0], []])
def test_taking_items(index):
    taken = Ragged.of(EACH).take(torch.tensor(index, dtype=torch.int64))
    assert [values.tolist() for values in taken.each()] == [EACH[place].tolist() for place in index]
    assert taken.longest == max((len(EACH[place]) for place in index), default=0)


def test_a_gradient_passes():
    values = torch.arange(7.0).requires_grad_()
    Ragged(values, torch.tensor([2, 0, 4, 1])).padded().pow(2).sum().backward()
    assert values.grad is not None and values.grad.tolist() == [0, 2, 4, 6, 8, 10, 12]


def test_lengths_must_fit():
    with pytest.raises(DataError, match="add up to 3"):
        Ragged(torch.zeros(4), torch.tensor([1, 2]))


def test_moving_keeps_everything():
    moved = Ragged.of(EACH).to(torch.device("cpu"))
    assert moved.longest == 4 and moved.values.equal(torch.cat(EACH))


def test_what_is_taken_knows_its_longest() -> None:
    ragged = Ragged.of([torch.ones(3), torch.ones(1), torch.ones(2)])
    assert ragged.take(torch.tensor([1, 2])).longest == 2
    assert ragged.take(torch.tensor([], dtype=torch.int64)).longest == 0
