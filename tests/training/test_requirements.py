"""What a training cannot do is said before its first step."""

from __future__ import annotations

import pytest
import torch
from cases import Case

from transrec.errors import TrainingError
from transrec.training.requirements import chunk_of, require_fit
from transrec.training.settings import TrainingSettings


def test_a_memory_of_several_processes_is_refused() -> None:
    remembering, plain = Case(memory=2), Case()
    require_fit(remembering.model, remembering.objective, 1)
    require_fit(plain.model, plain.objective, 2)
    with pytest.raises(TrainingError, match="one process, 2 train together"):
        require_fit(remembering.model, remembering.objective, 2)


def test_a_device_that_would_draw_another_dropout_is_said() -> None:
    assert chunk_of(TrainingSettings(items_at_once=2), torch.device("cpu")) == 2
    assert chunk_of(TrainingSettings(), torch.device("mps")) is None
    with pytest.raises(TrainingError, match="on mps"):
        chunk_of(TrainingSettings(items_at_once=2), torch.device("mps"))
