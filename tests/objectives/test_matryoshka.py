"""Matryoshka: one width is the objective itself, several are the mean of it over prefixes of the same vectors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from cases import Case

from transrec.data.batches import SequenceBatch
from transrec.errors import ModelError, SettingsError
from transrec.model import Outputs, TransRec
from transrec.objectives import Loss, MatryoshkaSettings, ObjectiveSettings, build_objective
from transrec.objectives.objective import Objective
from transrec.scoring import DotScorer, PrefixScorer
from transrec.testing import ObjectiveContract

OBJECTIVES = ["softmax", "gbce", "multistep", "masked", "hinge"]
FORMS = {
    "masked": {"users": {"attention": "bidirectional", "mask_token": True}},
    "hinge": {"model": {"scorer": "distance"}, "users": {"interests": {"count": 2}}},
}


class TestContract(ObjectiveContract):
    def make(self, model: TransRec) -> Objective:
        width = model.items.width
        settings = MatryoshkaSettings(sizes=(width // 4, width // 2, width))
        return build_objective(ObjectiveSettings(matryoshka=settings), model)


def loss_of(case: Case, *, seed: int = 0) -> tuple[Loss, dict[str, torch.Tensor]]:
    """The loss of a batch in training mode, and the gradients."""
    batch = case.batches.batch(0)
    case.model.train()
    case.model.zero_grad()
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # noqa: TID251  (dropout, as the trainer does)
        loss = case.objective(case.model, case.model(batch), batch)
    loss.total.backward()
    return loss, {name: p.grad.clone() for name, p in case.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_with_the_width_alone_it_is_the_objective_itself(kind: str) -> None:
    plain, plain_gradients = loss_of(Case(0, kind, **FORMS.get(kind, {})))
    found, gradients = loss_of(Case(0, kind, added={"matryoshka": {"sizes": [16], "weights": [3.0]}}, **FORMS.get(kind, {})))
    assert torch.equal(found.total, plain.total) and found.parts.keys() == plain.parts.keys()
    assert all(torch.equal(found.parts[name], value) for name, value in plain.parts.items())
    assert gradients.keys() == plain_gradients.keys()
    assert all(torch.equal(gradients[name], value) for name, value in plain_gradients.items())


def at(outputs: Outputs, size: int) -> Outputs:
    items, users = outputs.items, outputs.users
    return Outputs(replace(items, fused_UD=items.fused_UD[:, :size]), replace(users, vectors=users.vectors[..., :size]))


@pytest.mark.parametrize("scorer", ["cosine", "dot"])
@pytest.mark.parametrize("kind", ["softmax", "gbce", "multistep"])
def test_several_widths_are_the_mean_over_prefixes(kind: str, scorer: str) -> None:
    case = Case(0, kind)
    if scorer == "dot":
        case.model.scorer = DotScorer()
    settings = MatryoshkaSettings(sizes=(4, 8, 16), weights=(1.0, 2.0, 1.0))
    batch = case.batches.batch(0)
    outputs = case.model.eval()(batch)
    expected = [case.objective(case.model, at(outputs, size), batch).total for size in (4, 8, 16)]
    objective = build_objective(ObjectiveSettings(kind=kind, matryoshka=settings), case.model)
    found = objective(case.model, outputs, batch)
    torch.testing.assert_close(found.total, (expected[0] + 2 * expected[1] + expected[2]) / 4)
    name = next(iter(case.objective(case.model, outputs, batch).parts))
    assert {f"{name}/4", f"{name}/8", name} <= found.parts.keys() and f"{name}/16" not in found.parts
    assert isinstance(case.model.scorer, torch.nn.Module) and not isinstance(case.model.scorer, PrefixScorer)


def test_weights_of_zero_leave_a_width_out() -> None:
    plain, _ = loss_of(Case(0))
    found, _ = loss_of(Case(0, added={"matryoshka": {"sizes": [4, 16], "weights": [0.0, 1.0]}}))
    torch.testing.assert_close(found.total, plain.total)


def test_the_prior_learns_from_all_widths() -> None:
    _, whole = loss_of(Case(0))
    _, several = loss_of(Case(0, added={"matryoshka": {"sizes": [4, 8, 16]}}))
    priors = [name for name in whole if name.startswith("prior.weights")]
    assert priors and all(several[name] != 0 and several[name] != whole[name] for name in priors)


def test_positions_in_parts_give_the_same_gradients() -> None:
    chosen = {"added": {"matryoshka": {"sizes": [4, 16]}}}
    _, whole = loss_of(Case(0, **chosen))
    _, parts = loss_of(Case(0, positions_at_once=7, **chosen))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, atol=1e-6, rtol=1e-4)


def test_a_memory_remembers_whole_vectors_once() -> None:
    plain, several = Case(0, memory=2), Case(0, memory=2, added={"matryoshka": {"sizes": [4, 16]}})
    for step in range(3):
        batches = [case.batches.batch(step) for case in (plain, several)]
        outputs = [case.model.eval()(batch) for case, batch in zip((plain, several), batches, strict=True)]
        losses = [c.objective(c.model, o, b) for c, o, b in zip((plain, several), outputs, batches, strict=True)]
        assert torch.equal(losses[0].parts["softmax"], losses[1].parts["softmax"])
    for name, tensor in plain.objective.state().items():
        assert torch.equal(several.objective.state()[name], tensor)
    fresh = Case(0, memory=2, added={"matryoshka": {"sizes": [4, 16]}})
    fresh.objective.restore(several.objective.state())
    assert fresh.objective.state().keys() == several.objective.state().keys()


def test_added_terms_see_the_whole() -> None:
    case = Case(0, users={"mask_token": True})
    settings = {"matryoshka": {"sizes": [4, 16]}, "added": {"barlow": 0.01}}
    objective = build_objective(ObjectiveSettings.from_mapping(settings), case.model)
    assert objective.head is not None and objective.plan.views is not None and objective.asks_counts


@torch.no_grad()
def test_a_distance_to_the_nearest_of_several_interests_is_one_of_prefixes_on_their_own_sphere() -> None:
    case = Case(0, "hinge", **FORMS["hinge"])
    batch = case.batches.batch(0)
    outputs = case.model.eval()(batch)
    expected = [case.objective(case.model, at(outputs, size), batch).total for size in (8, 16)]
    settings = ObjectiveSettings.from_mapping({"kind": "hinge", "matryoshka": {"sizes": [8, 16]}})
    found = build_objective(settings, case.model)(case.model, outputs, batch)
    torch.testing.assert_close(found.total, (expected[0] + expected[1]) / 2)


def test_what_compares_nothing_or_another_width_is_refused() -> None:
    case = Case(0, users={"mask_token": True})
    with pytest.raises(SettingsError, match="compares no user with an item"):
        build_objective(ObjectiveSettings.from_mapping({"kind": "barlow", "matryoshka": {"sizes": [4, 16]}}), case.model)
    with pytest.raises(ModelError, match="the largest of the sizes is 8, the model compares 16"):
        Case(0, added={"matryoshka": {"sizes": [4, 8]}})
    two = {"items": {"modalities": ["given", "identity"]}, "scorer": "views"}
    with pytest.raises(ModelError, match="reads views that have length 1 at full width"):
        loss_of(Case(0, model=two, added={"matryoshka": {"sizes": [4, 16]}}))
    with pytest.raises(ModelError, match="a hidden item is filled in from both sides"):
        Case(0, "masked", added={"matryoshka": {"sizes": [4, 16]}})


@pytest.mark.parametrize(
    "wrong", [{"sizes": [8, 4]}, {"sizes": [0, 4]}, {"sizes": [4], "weights": [1, 1]}, {"sizes": [4], "weights": [0]}]
)
def test_settings_that_say_nothing_sensible_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=r"sizes are above 0|one weight for each"):
        MatryoshkaSettings.from_mapping(wrong)


def test_training_by_it_ranks_by_prefixes() -> None:
    batch: SequenceBatch = Case(0).batches.batch(0)
    found = {}
    for name, sizes in (("plain", [16]), ("several", [4, 16])):
        case = Case(0, added={"matryoshka": {"sizes": sizes}})
        optimiser = torch.optim.Adam(case.model.parameters(), 1e-2)
        for _ in range(60):
            optimiser.zero_grad()
            case.objective(case.model.eval(), case.model(batch), batch).total.backward()
            optimiser.step()
        prefix = build_objective(ObjectiveSettings(matryoshka=MatryoshkaSettings(sizes=(4, 16))), case.model)
        found[name] = prefix(case.model, case.model(batch), batch).parts["softmax/4"]
    assert found["several"] < found["plain"]


def test_sizes_are_one_word_on_a_command_line() -> None:
    settings = MatryoshkaSettings.from_mapping({"sizes": "8,16", "weights": ["1,0.5"]})
    assert settings.sizes == (8, 16) and settings.weights == (1.0, 0.5)
    assert MatryoshkaSettings.from_mapping({"sizes": [8, 16]}).sizes == (8, 16)
