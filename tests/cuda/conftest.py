"""An accelerator that computes in float32 what is float32: convolutions are rounded to TensorFloat32 unless it is said."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _unrounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
