"""Multi-step binary cross-entropy: the value against a slow version of the equation."""

from __future__ import annotations

import math

import pytest
import torch
from given_outputs import USERS, WINDOW, Model, case
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from transrec.data.batches import SequenceBatch
from transrec.model import Outputs
from transrec.objectives import MultiStepBCE, MultiStepSettings
from transrec.views import UserOutput


def multistep(outputs: Outputs, batch: SequenceBatch) -> Tensor:
    total: Tensor = MultiStepBCE(MultiStepSettings(positives=2, negatives=3), window=WINDOW)(Model(), outputs, batch).total
    return total


def test_multistep_of_zero_scores_is_two_log_two() -> None:
    outputs, batch = case(targets=2)
    silent = Outputs(outputs.items, UserOutput("states", torch.zeros_like(outputs.users.vectors), batch.mask_BL))
    assert multistep(silent, batch).item() == pytest.approx(2 * math.log(2))


@given(seed=st.integers(0, 200))
@settings(max_examples=20)
def test_multistep_is_its_equation(seed: int) -> None:
    outputs, batch = case(seed, targets=2)
    attract, repel = [], []
    for b in range(USERS):
        user = outputs.users.vectors[b, int(batch.mask_BL[b].sum()) - 1]
        for t in range(2):
            if batch.target_mask_BT[b, t]:
                score = float(user @ outputs.items.fused_UD[batch.targets_BT[b, t]])
                attract.append(-math.log(1 / (1 + math.exp(-score))))
        for k in range(3):
            score = float(user @ outputs.items.fused_UD[batch.negatives_BK[b, k]])
            repel.append(-math.log(1 - 1 / (1 + math.exp(-score))))
    expected = sum(attract) / len(attract) + sum(repel) / len(repel)
    assert multistep(outputs, batch).item() == pytest.approx(expected, rel=1e-5)
