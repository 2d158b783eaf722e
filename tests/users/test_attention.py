"""Who sees whom."""

from __future__ import annotations

import pytest
import torch

from transrec.errors import SettingsError
from transrec.nesting import Nesting
from transrec.users.attention import require_heads, visible_slots


def test_real_slots_are_seen_and_padded_ones_see_themselves() -> None:
    mask_BL = torch.tensor([[True, True, False], [False, False, False]])
    causal = visible_slots(mask_BL, causal=True).int().tolist()
    assert causal == [[[1, 0, 0], [1, 1, 0], [1, 1, 1]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]]
    both = visible_slots(mask_BL, causal=False).int().tolist()
    assert both == [[[1, 1, 0], [1, 1, 0], [1, 1, 1]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]]


def test_heads_must_divide_the_width() -> None:
    require_heads(4, 16)
    with pytest.raises(SettingsError, match="5 heads do not divide a width of 16"):
        require_heads(5, 16)
    require_heads(4, 16, Nesting((4, 12, 16)))
    with pytest.raises(SettingsError, match="nested width 6 ends inside a head: each of the 4 heads has 4 numbers"):
        require_heads(4, 16, Nesting((6, 16)))
