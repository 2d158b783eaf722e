"""What an accelerator is left to add up is the same, and a small part of what would be sent."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch


def test_votes_are_a_small_part_of_what_they_add_up_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    counting = importlib.import_module("benchmarks.counting")
    made = counting.sides(counting.drawn(600, 1500, 30), 1500, 256)
    plain, there, left = (made[name].batch(1) for name in ("without counts", "added up at once", "left to an accelerator"))
    assert counting.sent(plain) == 0
    assert counting.sent(left) < 0.05 * counting.sent(there)
    moved = left.to(torch.device("cpu"))
    assert counting.sent(moved) == counting.sent(there) > 5_000_000
    for kind, shares_QC in there.evidence.shares.items():
        assert torch.equal(moved.evidence.shares[kind], shares_QC) and shares_QC.any()
