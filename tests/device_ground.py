"""Where the tests of an accelerator compute, and how much alike two devices may be asked to be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from transrec.data.dataset import Dataset
from transrec.retrieval.ranking import TopK

DEVICE = os.environ.get("TRANSREC_TEST_DEVICE", "cuda")
"""``cuda``; or ``cpu``, to rehearse the tests where there is no GPU."""
THERE = torch.device(DEVICE)

ON_DEVICE = [
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a GPU"),
    # what torch or a driver remarks on one machine is told, and no failure
    pytest.mark.filterwarnings("default"),
]
"""The marks of every module in ``tests/cuda``."""
ON_CUDA = pytest.mark.skipif(DEVICE != "cuda", reason="asks what only a CUDA device has")


def norm(tensors: Iterable[Tensor]) -> float:
    """The length of all of them as one vector."""
    return float(torch.stack([tensor.double().square().sum() for tensor in tensors]).sum().sqrt())


def apart(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """The length of the difference of all tensors, as a share of their length."""
    assert ours.keys() == theirs.keys()
    size = norm(theirs.values())
    assert size > 0, "there is nothing to compare"
    return norm(ours[name].cpu() - theirs[name].cpu() for name in theirs) / size


def assert_same_lists(ours: TopK, theirs: TopK, *, atol: float = 1e-3) -> None:
    """The same scores at every place, so that lists differ at ties alone; and nearly everywhere the same rows."""
    rows, expected = ours.rows_BK.cpu(), theirs.rows_BK.cpu()
    assert expected.numel() > 100, "too little to compare"
    assert len(expected.unique()) > 5, "all lists are the same"
    torch.testing.assert_close(ours.scores_BK.cpu(), theirs.scores_BK.cpu(), rtol=0.0, atol=atol)
    assert float((rows == expected).double().mean()) > 0.9


def in_memory(folder: Path) -> Dataset:
    """A dataset that finds nothing of what was kept beside it."""
    kept = Dataset.open(folder)
    return Dataset(kept.catalog, kept.interactions, kept.name)
