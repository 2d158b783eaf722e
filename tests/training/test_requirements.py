"""What a training cannot do is said before its first step."""

from __future__ import annotations

import pytest
import torch

from transrec.errors import TrainingError
from transrec.training.requirements import chunk_of
from transrec.training.settings import TrainingSettings


def test_a_device_that_would_draw_another_dropout_is_said() -> None:
    assert chunk_of(TrainingSettings(items_at_once=2), torch.device("cpu")) == 2
    assert chunk_of(TrainingSettings(), torch.device("mps")) is None
    with pytest.raises(TrainingError, match="on mps"):
        chunk_of(TrainingSettings(items_at_once=2), torch.device("mps"))
