"""What the benchmark of a training step measures against computes the published loss: ours, from the same events."""

from __future__ import annotations

import importlib
import random
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from transrec.data.batches import SequenceBatches
from transrec.objectives import ObjectiveSettings, build_objective


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    return importlib.import_module("benchmarks.step")


def test_the_published_step_is_multi_step_cross_entropy(step: ModuleType) -> None:
    platform = step.Platform(users=8, items=200, layers=2, width=64)
    model = platform.model.double().eval()
    settings = ObjectiveSettings.from_mapping({"kind": "multistep", "multistep": {"windows": "last"}})
    objective = build_objective(settings, model)
    batches = SequenceBatches(platform.split, platform.store, objective.plan, batch_size=8, seed=0)
    batch = batches.batch(0)
    expected = objective(model, model(batch), batch).total

    reference = step.PublishedStep(model, *platform.padded, platform.lines)
    found = []
    for place in range(8):  # which user stands where, by the history
        history = batch.rows_U[batch.history_BL[place][batch.mask_BL[place]]].tolist()
        found.append(next(user for user, line in enumerate(platform.lines) if line[:-5][-25:] == history))
    negatives = batch.rows_U[batch.negatives_BK].tolist()
    assert not any(set(drawn) & set(platform.lines[user]) for user, drawn in zip(found, negatives, strict=True))
    torch.testing.assert_close(reference.loss(found, negatives).float(), expected, rtol=1e-5, atol=1e-6)


def test_the_published_negatives_are_not_the_users_own(step: ModuleType) -> None:
    platform = step.Platform(users=2, items=40, layers=2, width=64)
    reference = step.PublishedStep(platform.model, *platform.padded, platform.lines)
    drawn = reference.drawn(0, random.Random(0))
    assert len(set(drawn)) == 5 and not set(drawn) & set(platform.lines[0])


def test_the_usual_step_is_a_softmax_over_all_places_without_the_users_own(step: ModuleType) -> None:
    platform = step.Platform(users=4, items=60, layers=2, width=64)
    model = platform.model.double().eval()
    popularity_V = torch.full((60,), 1 / 60, dtype=torch.float64)
    loss = step.InBatchStep(model, *platform.padded, platform.lines, popularity_V).loss([0, 1, 2, 3])

    rows = [line[-26:] for line in platform.lines]
    everything = model.items(platform.store.gather(np.arange(60))).fused_UD
    vectors = dict(enumerate(everything))
    terms = []
    for line in rows:
        states = model.users(torch.stack([vectors[row] for row in line[:-1]])[None], torch.ones(1, 25, dtype=torch.bool))
        for place in range(25):
            state = states.vectors[0, place]
            others = [state @ vectors[row] for other in rows for row in other if row not in line]
            right = state @ vectors[line[place + 1]]
            terms.append(torch.stack([right, *others]).logsumexp(0) - right)
    torch.testing.assert_close(loss, torch.stack(terms).mean(), rtol=1e-8, atol=1e-8)
