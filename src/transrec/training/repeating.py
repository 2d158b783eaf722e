"""Repeating: the same sums in the same order, so that a training repeated on the same machine is the same training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """On a CPU the gradients of a table do not depend on which thread is first.

    Where a row is looked up several times, torch adds its gradients up in several threads at once, in the order in which
    these happen to come (``index_put`` with accumulation). In one order it took no longer on two cores. On other devices
    nothing is changed: deterministic kernels are slower there, and some do not exist.

    Args:
        device: on which is trained.
    """
    if device.type != "cpu":
        yield
        return
    enabled, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # nothing here reads memory that it has not written
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warns)
        memory.fill_uninitialized_memory = filled
