"""Fresh weights under a seed, and a process whose random state is its own affair.

Weights are drawn by torch from the state of the process, which nobody may seed: two parts that did would draw the same
numbers, and a notebook's would be gone. So a seed holds for a block, and what was before is there again after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw fresh weights from this seed, and leave the process's own random state as it was."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)  # fresh weights are drawn on the CPU; what GPUs draw stays as it was
    try:
        yield
    finally:
        torch.set_rng_state(state)
