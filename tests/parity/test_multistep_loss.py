"""The end-to-end loss under the paper's preset against the description, user by user, from the raw lines of events.

Of a line of events the last two are held out; of what is left the last five are positives and the up to 25 before them the
history. Five negatives are drawn from the catalog without the line. One user vector meets all ten; the loss is the mean
binary cross-entropy over the positives plus that over the negatives.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from transrec.data.batches import SequenceBatch, SequenceBatches
from transrec.data.dataset import Dataset
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.model import TransRec
from transrec.objectives import MultiStepBCE, build_objective
from transrec.recipes.fitting import TrainSettings


class Training:
    """The first epoch of the end-to-end stage, in float64 and without dropout."""

    def __init__(self, settings: TrainSettings, data: Dataset) -> None:
        self.lines = [data.interactions.history(user).tolist() for user in range(len(data.interactions.users))]
        self.model = TransRec.build(settings.model, [data.catalog]).double().eval()
        with torch.no_grad():
            for parameter in self.model.users.parameters():  # larger scores than at the start
                parameter.mul_(2.0)
        self.store = ContentStore.prepare(data.catalog, self.model.items.preparers())
        objective = build_objective(settings.objective, self.model)
        assert isinstance(objective, MultiStepBCE)
        self.objective = objective
        self.batches = SequenceBatches(leave_one_out(data.interactions), self.store, objective.plan, batch_size=16, seed=3)

    def vector(self, row: int) -> Tensor:
        """One item, encoded alone."""
        vector: Tensor = self.model.items(self.store.gather(np.array([row]))).fused_UD[0]
        return vector


@pytest.fixture(scope="module")
def training(tiny: TrainSettings, source: Dataset) -> Training:
    return Training(tiny, source)


def rows(batch: SequenceBatch, places: Tensor, user: int, mask: Tensor | None = None) -> list[int]:
    chosen = places[user] if mask is None else places[user][mask[user]]
    found: list[int] = batch.rows_U[chosen].tolist()
    return found


def test_every_user_gives_the_described_window_and_negatives(training: Training) -> None:
    seen = []
    expected = {}
    for line in training.lines:
        clicks = line[:-2]
        assert len(clicks) >= 6, "the published code takes this for granted"
        expected[tuple(clicks[-(25 + 5) : -5]), tuple(clicks[-5:])] = set(line)
    for step in range(training.batches.steps_per_epoch):
        batch = training.batches.batch(step)
        assert batch.negatives_BK.shape == (len(batch.mask_BL), 5)
        for user in range(len(batch.mask_BL)):
            history = tuple(rows(batch, batch.history_BL, user, batch.mask_BL))
            positives = tuple(rows(batch, batch.targets_BT, user, batch.target_mask_BT))
            negatives = rows(batch, batch.negatives_BK, user)
            assert len(set(negatives)) == 5, "without replacement"
            assert not set(negatives) & expected[history, positives], "not even the held-out items"
            seen.append((history, positives))
    assert len(seen) == len(training.lines), "one window a user"
    assert set(seen) == set(expected)


@torch.no_grad()
def test_the_loss_is_the_described_one(training: Training) -> None:
    model = training.model
    for step in range(training.batches.steps_per_epoch):
        batch = training.batches.batch(step)
        positive, negative = [], []
        for user in range(len(batch.mask_BL)):
            history = rows(batch, batch.history_BL, user, batch.mask_BL)
            items_LD = torch.stack([training.vector(row) for row in history])
            state = model.users(items_LD[None], torch.ones(1, len(history), dtype=torch.bool)).vectors[0, -1]
            positive += [state @ training.vector(row) for row in rows(batch, batch.targets_BT, user, batch.target_mask_BT)]
            negative += [state @ training.vector(row) for row in rows(batch, batch.negatives_BK, user)]
        criterion = nn.BCEWithLogitsLoss()
        expected = criterion(torch.stack(positive), torch.ones(len(positive), dtype=torch.float64)) + criterion(
            torch.stack(negative), torch.zeros(len(negative), dtype=torch.float64)
        )
        found = training.objective(model, model(batch), batch).total
        assert torch.stack(positive).std() > 0.01, "the scores say something"
        # scores go into the loss as float32
        assert found.item() == pytest.approx(expected.item(), abs=1e-6)


@torch.no_grad()
def test_zero_scores_cost_two_log_two(training: Training) -> None:
    batch = training.batches.batch(0)
    outputs = training.model(batch)
    outputs.users.vectors.zero_()
    assert training.objective(training.model, outputs, batch).total.item() == pytest.approx(2 * math.log(2), abs=1e-6)


def test_the_preset_is_the_published_training(paper: TrainSettings) -> None:
    steps, loop = paper.objective.multistep, paper.training
    assert (paper.objective.kind, steps.positives, steps.negatives) == ("multistep", 5, 5)
    assert (steps.windows, steps.negatives_avoid) == ("last", "line")
    assert (loop.learning_rate, loop.encoder_learning_rate, loop.weight_decay) == (1e-4, 1e-4, 0.0)
    assert (loop.schedule, loop.warmup, loop.clip, loop.precision) == ("constant", 0.0, None, "float32")
    assert (loop.batch_size, loop.accumulate) == (128, 4), "of each GPU, and the GPUs whose gradients are averaged"
    assert (loop.epochs, loop.patience, loop.keep) == (50, 50, "best")
    assert (paper.tune, paper.split.kind) == ("top:2", "leave-one-out")
    (first,) = paper.stages
    assert (first.objective.kind, first.objective.masked.share, first.tune) == ("masked", 0.15, "frozen")
