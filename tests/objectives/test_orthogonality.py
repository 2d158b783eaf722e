"""Orthogonality: its value, on which vectors it is small, and of whom it can be asked."""

from __future__ import annotations

import pytest
import torch
from cases import Case
from viewed_ground import viewed_model, viewed_platform

from transrec.data.batches import SequenceBatches
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.errors import ModelError
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.objectives.orthogonality import orthogonality
from transrec.retrieval.encoding import encode_items


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_it_is_its_equation_over_the_interests_that_there_are() -> None:
    vectors_BTD, lengths = drawn(3, 4, 8), [4, 2, 0]
    mask_BT = torch.arange(4) < torch.tensor(lengths)[:, None]
    each = [(n / 4 * vectors[:n].sum(dim=0)).square().sum() / 8 for n, vectors in zip(lengths, vectors_BTD, strict=True)]
    assert orthogonality(vectors_BTD, mask_BT).item() == pytest.approx(float(sum(each)) / 3)
    padded = vectors_BTD.masked_fill(~mask_BT[..., None], torch.nan)
    assert orthogonality(padded, mask_BT).equal(orthogonality(vectors_BTD, mask_BT)), "what is padded is not summed"


@pytest.mark.parametrize("count", [2, 5])
def test_it_is_smaller_for_orthogonal_than_for_equal_interests_of_the_same_length(count: int) -> None:
    mask = torch.ones(1, count, dtype=torch.bool)
    apart, together = torch.eye(8)[None, :count], torch.eye(8)[None, :1].expand(1, count, 8)
    assert orthogonality(apart, mask) == pytest.approx(count / 8)
    assert orthogonality(together, mask) == pytest.approx(count**2 / 8)


def test_it_teaches_the_blocks_that_interests_pass() -> None:
    dataset = viewed_platform()
    model = viewed_model(dataset, users={"kind": "missrec", "missrec": {"ratio": 0.3}}, prior="none").train()
    store = ContentStore.prepare(dataset.catalog, model.items.preparers())
    model.users.attune(encode_items(model, store), generator=torch.Generator().manual_seed(0))
    settings = ObjectiveSettings.from_mapping({"added": {"orthogonality": 0.5}})
    objective = build_objective(settings, model)
    batch = SequenceBatches(leave_one_out(dataset.interactions), store, objective.plan, batch_size=8, seed=0).batch(0)
    model.eval()  # no dropout between the two ways
    outputs = model(batch)
    found = objective(model, outputs, batch)
    alone = build_objective(ObjectiveSettings(), model)(model, outputs, batch)
    assert found.total.item() == pytest.approx((alone.total + 0.5 * found.parts["orthogonality"]).item())
    term = objective.terms["orthogonality"](model, outputs, batch).total
    term.backward()
    assert all(p.grad is not None and p.grad.any() for p in model.users.context[0].expand.parameters())


def test_it_is_asked_of_what_several_interests_are_read_from() -> None:
    dataset = viewed_platform()
    users = {"kind": "missrec", "missrec": {"ratio": 0.3}}
    plain = viewed_model(dataset, users=users, prior="none")
    several = viewed_model(dataset, users={**users, "interests": {"count": 2}}, prior="none")
    several.users.inner.load_state_dict(plain.users.state_dict())
    store = ContentStore.prepare(dataset.catalog, plain.items.preparers())
    found = []
    for model in (plain, several):
        model.users.attune(encode_items(plain, store), generator=torch.Generator().manual_seed(0))
        objective = build_objective(ObjectiveSettings.from_mapping({"added": {"orthogonality": 0.5}}), model)
        batch = SequenceBatches(leave_one_out(dataset.interactions), store, objective.plan, batch_size=8, seed=0).batch(0)
        outputs = plain(batch)  # of items alone, and they are the same
        found.append(objective.terms["orthogonality"](model, outputs, batch).total)
    assert found[0] > 0 and found[0].equal(found[1])


def test_who_has_no_interests_cannot_be_asked() -> None:
    with pytest.raises(ModelError, match="TransformerUserEncoder has none"):
        build_objective(ObjectiveSettings.from_mapping({"added": {"orthogonality": 0.1}}), Case().model)
