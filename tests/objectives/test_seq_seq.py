"""The contrast of sequences: its value, what the other view is, and terms that want other views."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from cases import Case

from transrec.data.augmenting import PADDED
from transrec.data.batches import SequenceBatches
from transrec.data.splits import leave_one_out
from transrec.errors import ModelError, SettingsError
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.objectives.objective import Objective
from transrec.objectives.reading import read_view


def added(case: Case, **chosen: object) -> tuple[Objective, SequenceBatches]:
    """The softmax with the contrast beside it."""
    settings = ObjectiveSettings.from_mapping({"added": {"seq_seq": 0.001}, "seq_seq": chosen})
    objective = build_objective(settings, case.model)
    split = leave_one_out(case.dataset.interactions)
    return objective, SequenceBatches(split, case.store, objective.plan, batch_size=16, seed=1)


@torch.no_grad()
def test_it_is_its_equation() -> None:
    case = Case(users={"start": "fresh"})
    objective, batches = added(case, temperature=0.2)
    batch = batches.batch(0)
    case.model.eval()
    outputs = case.model(batch)
    found = objective(case.model, outputs, batch)
    users, others = outputs.users.last_BD, read_view(case.model, outputs, batch, batch.views_2BL[0]).last_BD
    expected = 0.0
    for b in range(len(users)):
        logits = [math.exp(float(F.cosine_similarity(users[b], other, dim=0)) / 0.2) for other in others]
        expected -= math.log(logits[b] / sum(logits)) / len(users)
    assert float(found.parts["seq_seq"]) == pytest.approx(expected, rel=1e-4)
    alone = build_objective(ObjectiveSettings(), case.model)(case.model, outputs, batch).total
    assert found.total.item() == pytest.approx(float(alone) + 0.001 * expected, rel=1e-6)


def test_the_other_view_lacks_some_items_and_keeps_the_order() -> None:
    objective, batches = added(Case())
    batch = batches.batch(0)
    slots_BL = batch.views_2BL[0]
    lengths_B, kept_B = batch.mask_BL.sum(dim=1), (slots_BL != PADDED).sum(dim=1)
    assert (kept_B <= lengths_B).all() and (kept_B < lengths_B).any() and (kept_B >= 1).all()
    for row in slots_BL:
        real = row[row >= 0].tolist()
        assert real == sorted(set(real))
    assert objective.plan.views.drop == 0.2 and not objective.plan.views.hides


def test_the_same_sequence_is_found_and_strangers_cost_the_log_of_the_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    users_BD, others_BD = torch.randn(2, 64, 300, generator=generator)

    def cost(others: torch.Tensor) -> float:
        logits = F.normalize(users_BD, dim=1) @ F.normalize(others, dim=1).T / 0.07
        return float(F.cross_entropy(logits, torch.arange(64)))

    assert cost(users_BD) < 0.01
    assert cost(others_BD) == pytest.approx(math.log(64), abs=0.5)


def test_two_terms_that_want_other_views_are_refused_and_the_same_are_shared() -> None:
    case = Case(users={"mask_token": True})
    both = {"added": {"seq_seq": 0.001, "barlow": 0.01}}
    with pytest.raises(SettingsError, match=r"(?s)barlow and seq_seq want other views.*objective.barlow.views"):
        build_objective(ObjectiveSettings.from_mapping(both), case.model)
    same = {"views": {"drop": 0.2, "permute": 0.0, "mask": 0.0}}
    objective = build_objective(ObjectiveSettings.from_mapping({**both, "barlow": same, "seq_seq": same}), case.model)
    assert objective.plan.views.drop == 0.2


def test_views_that_hide_are_refused_without_a_mask_token() -> None:
    with pytest.raises(ModelError, match=r"(?s)no vector to put in their place.*objective.seq_seq.views.mask"):
        added(Case(), views={"mask": 0.2, "permute": 0.0})
