"""Masked items: the value against a slow version of the equation, what is hidden, and what cannot be trained with it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from cases import timed_case
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from transrec.data.batches import ItemBatch, SequenceBatch
from transrec.errors import ModelError
from transrec.model import Outputs
from transrec.objectives import MaskedItem, MaskedSettings
from transrec.scoring import DotScorer
from transrec.users.encoder import UserEncoder
from transrec.users.settings import UserSettings
from transrec.users.transformer import TransformerUserEncoder
from transrec.views import ItemViews, UserOutput

WIDTH, ITEMS, USERS, WINDOW = 4, 9, 3, 5


class Model(nn.Module):
    """A scorer and a user encoder; the item vectors are given."""

    def __init__(self, **changes: object) -> None:
        super().__init__()
        self.scorer = DotScorer()
        chosen = {"attention": "bidirectional", "heads": 2, "window": WINDOW, "layers": 1, "mask_token": True, **changes}
        self.users: UserEncoder = TransformerUserEncoder(WIDTH, UserSettings.from_mapping(chosen)).double().eval()
        with torch.no_grad():
            for place, parameter in enumerate(self.users.parameters()):  # away from the start
                generator = torch.Generator().manual_seed(place)
                parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.3)


def case(seed: int) -> tuple[Tensor, SequenceBatch]:
    """Item vectors and a batch of histories in which some items are hidden."""
    generator = torch.Generator().manual_seed(seed)
    lengths_B = torch.randint(2, WINDOW + 1, (USERS,), generator=generator)
    mask_BL = torch.arange(WINDOW) < lengths_B[:, None]
    hidden_BL = (torch.rand(USERS, WINDOW, generator=generator) < 0.4) & mask_BL
    hidden_BL[:, 0] = True
    inclusion_U = torch.rand(ITEMS, generator=generator, dtype=torch.float64) * 0.9 + 0.05
    batch = SequenceBatch(
        items=ItemBatch(ITEMS, {}),
        rows_U=torch.arange(ITEMS),
        history_BL=torch.randint(ITEMS, (USERS, WINDOW), generator=generator).masked_fill(~mask_BL, 0),
        mask_BL=mask_BL,
        targets_BT=torch.zeros(USERS, 0, dtype=torch.int64),
        target_mask_BT=torch.zeros(USERS, 0, dtype=torch.bool),
        negatives_BK=torch.zeros(USERS, 0, dtype=torch.int64),
        own_M2=torch.tensor([[0, 1], [0, 2], [1, 2], [2, 7], [2, 8]]),
        inclusion_U=inclusion_U,
        inclusion_C=inclusion_U,
        popularity_C=inclusion_U,
        counts_C=torch.zeros(ITEMS),
        hidden_BL=hidden_BL,
    )
    return torch.randn(ITEMS, WIDTH, generator=generator, dtype=torch.float64), batch


def loss(model: Model, items_UD: Tensor, batch: SequenceBatch, **changes: object) -> Tensor:
    outputs = Outputs(ItemViews({}, {}, items_UD), UserOutput("states", torch.zeros(USERS, WINDOW, WIDTH), batch.mask_BL))
    objective = MaskedItem(MaskedSettings.from_mapping(changes), window=WINDOW)
    total: Tensor = objective(model, outputs, batch).total
    return total


@pytest.mark.parametrize("correction", ["inclusion", "none"])
@given(seed=st.integers(0, 200))
@settings(max_examples=15)
def test_it_is_its_equation(correction: str, seed: int) -> None:
    model, (items_UD, batch) = Model(), case(seed)
    assert batch.hidden_BL is not None and model.users.mask_token is not None
    own = {(int(b), int(u)) for b, u in batch.own_M2}
    losses = []
    for b in range(USERS):
        length = int(batch.mask_BL[b].sum())
        shown = [
            model.users.mask_token if batch.hidden_BL[b, t] else items_UD[batch.history_BL[b, t]] for t in range(length)
        ]
        states = model.users(torch.stack(shown)[None], torch.ones(1, length, dtype=torch.bool)).vectors[0].detach()
        for t in range(length):
            if not batch.hidden_BL[b, t]:
                continue
            target = int(batch.history_BL[b, t])
            terms = {}
            for j in range(ITEMS):
                if j == target or (b, j) not in own:
                    weight = float(batch.inclusion_C[j]) if correction == "inclusion" else 1.0
                    terms[j] = math.exp(float(states[t] @ items_UD[j])) / weight
            losses.append(-math.log(terms[target] / sum(terms.values())))
    expected = sum(losses) / len(losses)
    assert loss(model, items_UD, batch, correction=correction).item() == pytest.approx(expected, rel=1e-5)


def test_a_hidden_item_is_not_seen_by_the_user_encoder() -> None:
    """With the scores fixed, the vectors of items that stand in hidden slots only have no influence."""
    model, (items_UD, batch) = Model(), case(3)
    assert batch.hidden_BL is not None
    history_BL = torch.where(batch.hidden_BL, 8, batch.history_BL.clamp(max=7))
    shown_BLD = model.users.hide(items_UD[history_BL], batch.hidden_BL)
    changed_UD = items_UD.clone()
    changed_UD[8] *= -3.0
    assert torch.equal(shown_BLD, model.users.hide(changed_UD[history_BL], batch.hidden_BL))
    assert not torch.equal(items_UD[history_BL], changed_UD[history_BL])


def test_the_mask_token_and_the_items_learn() -> None:
    model, (items_UD, batch) = Model(), case(1)
    items_UD.requires_grad_()
    loss(model, items_UD, batch).backward()
    assert model.users.mask_token is not None and model.users.mask_token.grad is not None
    assert model.users.mask_token.grad.abs().sum() > 0
    assert items_UD.grad is not None and (items_UD.grad.abs().sum(dim=1) > 0).any()


def test_the_plan_hides_the_share_and_has_no_targets() -> None:
    plan = MaskedItem(MaskedSettings(share=0.3, windows="last"), window=7).plan
    assert (plan.targets, plan.length, plan.hidden, plan.windows, plan.width) == ("none", 7, 0.3, "last", 0)
    assert MaskedSettings().share == 0.15, "the published share"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention": "causal"}, "filled in from both sides"),
        ({"mask_token": False}, "no vector to put in place of a hidden item"),
    ],
)
def test_what_cannot_be_trained_with_it_is_said(changes: dict[str, object], message: str) -> None:
    objective = MaskedItem(MaskedSettings(), window=WINDOW)
    objective.check(Model())  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=message):
        objective.check(Model(**changes))  # type: ignore[arg-type]


def test_interests_have_no_positions_to_hide() -> None:
    model = Model()
    model.users.gives = "interests"
    with pytest.raises(ModelError, match="masked items need states"):
        MaskedItem(MaskedSettings(), window=WINDOW).check(model)  # type: ignore[arg-type]


def test_repeated_items_are_filled_in_like_others() -> None:
    """An item that stands in a hidden and in a shown slot is a target and no negative of its user."""
    model, (items_UD, batch) = Model(), case(5)
    twice = replace(batch, history_BL=batch.history_BL.masked_fill(batch.mask_BL, 4))
    assert torch.isfinite(loss(model, items_UD, twice))


def test_when_a_hidden_item_was_is_hidden_too() -> None:
    # two layers, for the first sees nothing of times at a position whose own is hidden
    case = timed_case("masked", attention="bidirectional", mask_token=True, layers=2)
    batch = case.batches.batch(0)
    assert case.objective.plan.times and batch.times_BL is not None and batch.hidden_BL is not None
    case.model.eval()

    def loss(times_BL: Tensor) -> float:
        given = replace(batch, times_BL=times_BL)
        return case.objective(case.model, case.model(given), given).total.item()

    hidden_later = batch.times_BL + 10_000 * batch.hidden_BL
    shown_later = batch.times_BL + 10_000 * (~batch.hidden_BL & (torch.arange(batch.times_BL.shape[1]) > 2))
    assert loss(hidden_later) == loss(batch.times_BL) != loss(shown_later)
