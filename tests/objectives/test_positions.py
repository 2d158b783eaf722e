"""Positions at a time: the same losses and gradients, in memory that does not grow with positions times candidates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from cases import Case
from given_outputs import Model
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from transrec.data.batches import ItemBatch, SequenceBatch
from transrec.data.counts import COMPANIONS, FOLLOWERS, Evidence
from transrec.model import Outputs
from transrec.objectives import GBCE, GBCESettings, InBatchSoftmax, Objective, SoftmaxSettings
from transrec.prior import CountPrior
from transrec.views import ItemViews, UserOutput

WIDTH = 4


def gradients(case: Case) -> dict[str, Tensor]:
    """The loss of a batch with its gradients."""
    case.model.eval()
    with torch.no_grad():  # at zero weights counts have no effect
        for parameter in case.model.prior.parameters() if case.model.prior else ():
            parameter.add_(0.3)
    batch = case.batches.batch(0)
    loss = case.objective(case.model, case.model(batch), batch)
    loss.total.backward()
    found = {name: parameter.grad for name, parameter in case.model.named_parameters() if parameter.grad is not None}
    return {"loss": loss.total.detach(), **loss.parts, **found}


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("at_once", [1, 7, 10_000])
@pytest.mark.parametrize("kind", ["softmax", "gbce"])
def test_loss_and_gradients_are_those_of_all_at_once(kind: str, at_once: int, counts: bool) -> None:
    whole, parts = (
        Case(objective=kind, shared_negatives=9),
        Case(objective=kind, shared_negatives=9, positions_at_once=at_once),
    )
    for case in (whole, parts):
        if not counts:
            case.model.prior = None
    expected, found = gradients(whole), gradients(parts)
    assert found.keys() == expected.keys() and len(found) > 10
    for name in expected:
        torch.testing.assert_close(
            found[name], expected[name], atol=1e-6, rtol=1e-6, msg=lambda told, of=name: f"{of}: {told}"
        )


@pytest.mark.parametrize("correction", ["popularity", "none"])
def test_the_other_corrections_too(correction: str) -> None:
    expected, found = (gradients(Case(correction=correction, positions_at_once=some)) for some in (None, 5))
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=1e-6, rtol=1e-6)


def large(users: int, *, length: int = 8, items: int = 300) -> tuple[Outputs, SequenceBatch]:
    """Outputs and a batch in which positions times candidates are far more than all else."""
    generator = torch.Generator().manual_seed(0)
    every = torch.ones(users, length, dtype=torch.bool)
    targets_BT = torch.randint(items, (users, length), generator=generator)
    shares = {kind: torch.rand(users * length, items, generator=generator) for kind in (FOLLOWERS, COMPANIONS)}
    chances_C = torch.rand(items, generator=generator) * 0.9 + 0.05
    batch = SequenceBatch(
        items=ItemBatch(items, {}),
        rows_U=torch.arange(items),
        history_BL=torch.zeros(users, length, dtype=torch.int64),
        mask_BL=every,
        targets_BT=targets_BT,
        target_mask_BT=every,
        negatives_BK=torch.zeros(users, 0, dtype=torch.int64),
        own_M2=torch.tensor([[0, 1], [1, 2]]),
        inclusion_U=chances_C,
        inclusion_C=chances_C,
        popularity_C=chances_C / items,
        counts_C=torch.zeros(items),
        evidence=Evidence(torch.ones(items), shares, targets_BT.flatten(), torch.zeros(users * length)),
    )
    items_UD = torch.randn(items, WIDTH, generator=generator, requires_grad=True)
    states_BLD = torch.randn(users, length, WIDTH, generator=generator, requires_grad=True)
    return Outputs(ItemViews({}, {}, items_UD), UserOutput("states", states_BLD, every)), batch


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor has that was made."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        # what an operation returns may be a view of what was there before
        known = {tensor.untyped_storage().data_ptr() for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)}
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in known:
                self.numbers = max(self.numbers, tensor.numel())
        return made


def measured(objective: Objective, users: int) -> tuple[int, int]:
    """Numbers that are kept for the backward pass, and those of the largest tensor that is made in a step."""
    outputs, batch = large(users)
    assert batch.evidence is not None
    given = {tensor.untyped_storage().data_ptr() for tensor in batch.evidence.shares.values()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in given:
            kept[tensor.untyped_storage().data_ptr()] = tensor.numel()
        return tensor

    model = Model(prior=CountPrior())
    with Largest() as largest:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            total = objective(model, outputs, batch).total
        total.backward()
    return sum(kept.values()), largest.numbers


@pytest.mark.parametrize("kind", ["softmax", "gbce"])
def test_memory_does_not_grow_with_positions_times_candidates(kind: str) -> None:
    def objective(at_once: int | None) -> Objective:
        if kind == "softmax":
            return InBatchSoftmax(SoftmaxSettings(positions_at_once=at_once), window=8)
        return GBCE(GBCESettings(positions_at_once=at_once, level="none"), window=8)

    for users in (16, 64):
        scores = users * 8 * 300
        kept, largest = measured(objective(None), users)
        assert kept >= 2 * scores and largest >= scores, "all at once this is what fills the memory"
        kept, largest = measured(objective(4), users)
        assert kept < 0.1 * scores, "states, items and indices"
        assert largest <= max(64 * 300, 8 * users * WIDTH), "own items of every user, or the gradient of the states"


def test_the_level_of_gbce_takes_no_more_than_the_positions_that_it_is_fitted_by() -> None:
    objective = GBCE(GBCESettings(positions_at_once=4), window=8)
    assert measured(objective, 64)[1] <= 256 * 300 < 64 * 8 * 300
