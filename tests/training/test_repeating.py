"""The same training in several threads ends with the same weights, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from cases import SETTINGS, platform
from rich.console import Console
from torch import Tensor

from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train
from transrec.training.repeating import repeatable

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def several_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def looked_up(seed: int) -> Tensor:
    """The gradient of a table whose rows are looked up often."""
    generator = torch.Generator().manual_seed(seed)
    table_VD = torch.randn(40, 64, generator=generator, requires_grad=True)
    rows_BL = torch.randint(40, (64, 50), generator=generator)
    (table_VD[rows_BL] * torch.randn(64, 50, 64, generator=generator)).sum().backward()
    assert table_VD.grad is not None
    return table_VD.grad


def test_gradients_of_a_table_are_added_up_in_one_order() -> None:
    with repeatable(CPU):
        found = [looked_up(0) for _ in range(20)]
    assert all(torch.equal(each, found[0]) for each in found)


def test_what_was_set_before_is_set_again_and_other_devices_are_left_alone() -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    with repeatable(CPU):
        assert torch.are_deterministic_algorithms_enabled()
        with repeatable(torch.device("cuda")):
            assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
    with repeatable(torch.device("cuda")):
        assert not torch.are_deterministic_algorithms_enabled()


def test_a_training_in_several_threads_is_repeated_bit_for_bit() -> None:
    dataset = platform(users=80, items=30)
    settings = TrainSettings.from_mapping(
        {
            "model": SETTINGS.updated({"items": {"width": 64}, "users": {"window": 20}}).model_dump(),
            "training": {"epochs": 4, "batch_size": 64, "device": "cpu", "tensorboard": False},
            "tune": "full",
        }
    )
    weights = [train([dataset], settings, console=Console(quiet=True))[0].state_dict() for _ in range(3)]
    for other in weights[1:]:
        assert all(torch.equal(value, other[name]) for name, value in weights[0].items())
