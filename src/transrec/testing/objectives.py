"""The contract of objectives."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import polars as pl
import torch

from transrec.data.batches import SequenceBatch, SequenceBatches
from transrec.data.catalog import Catalog, Item
from transrec.data.counts import Counts
from transrec.data.interactions import Interactions
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.model import ModelSettings, TransRec
from transrec.objectives.objective import Loss, Objective
from transrec.seeding import seeded

USERS, ITEMS, STEPS = 24, 30, 30


class ObjectiveContract(ABC):
    """What every :class:`~transrec.objectives.objective.Objective` must hold to, on a small platform of given vectors.

    Subclass it in a test file::

        class TestMine(ObjectiveContract):
            def make(self, model):
                return Mine(window=model.window)
    """

    @abstractmethod
    def make(self, model: TransRec) -> Objective:
        """A new objective for this model, as :func:`~transrec.objectives.build_objective` would make it."""

    def model_settings(self) -> Mapping[str, Any]:
        """What of the model differs from a small causal transformer under the cosine without counts, as in a file."""
        return {}

    @final
    def test_it_takes_the_model(self) -> None:
        """``check`` lets through what it can train."""
        case = _Case(self)
        case.objective.check(case.model)

    @final
    def test_the_loss_is_a_finite_number_and_its_parts_do_not_learn(self) -> None:
        """One scalar with a gradient; what is told besides are scalars without."""
        loss = _Case(self).loss()
        assert loss.total.shape == (), f"the total has the shape {tuple(loss.total.shape)}, not that of a number"
        assert loss.total.isfinite(), f"the loss is {loss.total.item()}"
        assert loss.total.requires_grad, "the loss depends on nothing that learns"
        for name, part in loss.parts.items():
            assert part.shape == (), f"the part {name} is no number"
            assert not part.requires_grad, f"the part {name} has a gradient: detach it"

    @final
    def test_a_finite_gradient_reaches_the_model(self) -> None:
        """The user encoder or the items learn, and nothing is not a number."""
        case = _Case(self)
        case.loss().total.backward()
        reached = [p.grad for p in case.model.parameters() if p.grad is not None]
        assert any(bool(grad.abs().sum() > 0) for grad in reached), "no gradient reaches the model"
        assert all(bool(grad.isfinite().all()) for grad in reached), "a gradient is not finite"

    @final
    def test_the_same_batch_costs_the_same(self) -> None:
        """In evaluation mode, and from the same memory of former batches: what is random is drawn into the batch."""
        first, second = (_Case(self) for _ in range(2))
        assert torch.equal(first.loss(evaluating=True).total, second.loss(evaluating=True).total), "two losses of one batch"

    @final
    def test_the_batch_and_the_weights_are_left_alone(self) -> None:
        """A loss changes nothing."""
        case = _Case(self)
        weights = copy.deepcopy(case.model.state_dict())
        history_BL, targets_BT = case.batch.history_BL.clone(), case.batch.targets_BT.clone()
        case.loss()
        assert all(torch.equal(weights[name], now) for name, now in case.model.state_dict().items()), "weights changed"
        assert torch.equal(history_BL, case.batch.history_BL), "the history of the batch changed"
        assert torch.equal(targets_BT, case.batch.targets_BT), "the targets of the batch changed"

    @final
    def test_training_makes_it_smaller(self) -> None:
        """Thirty steps on one batch."""
        case = _Case(self)
        learning = [*case.model.parameters(), *case.objective.parameters()]
        optimiser = torch.optim.Adam({id(p): p for p in learning}.values(), lr=0.01)
        before = case.loss(evaluating=True).total.item()
        for _ in range(STEPS):
            optimiser.zero_grad()
            case.loss().total.backward()
            optimiser.step()
        after = case.loss(evaluating=True).total.item()
        assert after < before, f"the loss was {before:.4g} and is {after:.4g} after {STEPS} steps on one batch"

    @final
    def test_what_it_remembers_can_be_kept(self) -> None:
        """``restore`` of ``state`` goes on where it was: training resumes bit for bit."""
        case, again = _Case(self), _Case(self)
        case.loss()
        again.objective.restore(case.objective.state())
        second = case.batches.batch(1)
        losses = [each.loss(second, evaluating=True).total for each in (case, again)]
        assert torch.equal(*losses), "what was remembered makes a difference, and state() does not hold it"


class _Case:
    """A small platform, a model over it, the objective and a batch of its plan, made anew from one seed."""

    def __init__(self, contract: ObjectiveContract) -> None:
        numbers = np.random.default_rng(0)
        items = [Item(f"i{n}", vectors={"given": numbers.normal(size=6)}) for n in range(ITEMS)]
        catalog = Catalog.from_items(items)
        lengths = numbers.integers(4, 9, size=USERS)
        events = {
            "user": np.repeat(np.arange(USERS), lengths).astype(str),
            "row": np.concatenate([numbers.choice(ITEMS, n, replace=False) for n in lengths]),
            "time": np.concatenate([np.arange(n, dtype=float) for n in lengths]),
        }
        split = leave_one_out(Interactions.from_columns(pl.DataFrame(events)))
        form = ModelSettings.from_mapping(
            {"items": {"width": 8}, "users": {"window": 5, "layers": 1, "heads": 2, "feedforward": 8}, "prior": "none"}
        )
        self.model = TransRec.build(form.updated(contract.model_settings()), [catalog], seed=0)
        with seeded(0):
            self.objective = contract.make(self.model)
        store = ContentStore.prepare(catalog, self.model.items.preparers())
        counts = Counts.of(split, ITEMS) if self.objective.asks_counts else None
        self.batches = SequenceBatches(split, store, self.objective.plan, batch_size=16, seed=0, counts=counts)
        self.batch = self.batches.batch(0)

    def loss(self, batch: SequenceBatch | None = None, *, evaluating: bool = False) -> Loss:
        """Of a batch, the first when None."""
        batch = batch or self.batch
        self.model.train(not evaluating)
        loss: Loss = self.objective(self.model, self.model(batch), batch)
        return loss
