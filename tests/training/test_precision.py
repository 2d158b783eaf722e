"""Precision: what a setting means on a device, and whether a CPU is good at bfloat16."""

from __future__ import annotations

import time

import pytest
import torch

from transrec.training import precision
from transrec.training.precision import multiplies_faster_in_bfloat16, rounds_to_bfloat16

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_a_setting_that_names_one_is_followed() -> None:
    for device in (CPU, GPU):
        assert rounds_to_bfloat16("bfloat16", device)
        assert not rounds_to_bfloat16("float32", device)


@pytest.mark.parametrize("built", [True, False])
def test_auto_asks_the_gpu_and_does_not_take_imitation(monkeypatch: pytest.MonkeyPatch, built: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or built)
    assert rounds_to_bfloat16("auto", GPU) == built
    assert not rounds_to_bfloat16("auto", CPU)


@pytest.mark.parametrize(("slower", "faster"), [(torch.float32, True), (torch.bfloat16, False)])
def test_a_cpu_is_tried(monkeypatch: pytest.MonkeyPatch, slower: torch.dtype, faster: bool) -> None:
    def multiply(one: torch.Tensor, other: torch.Tensor) -> None:
        time.sleep(0.02 if one.dtype == slower else 0.001)

    monkeypatch.setattr(precision.torch, "mm", multiply)
    assert multiplies_faster_in_bfloat16() == faster


def test_trying_takes_no_time() -> None:
    begun = time.process_time()
    multiplies_faster_in_bfloat16()
    assert time.process_time() - begun < 2
