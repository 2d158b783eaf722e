"""Barlow Twins: the values that its equation has, and a head that is no part of a run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml
from cases import SETTINGS, Case, platform
from rich.console import Console
from torch import Tensor

from transrec.data.batches import SequenceBatches
from transrec.errors import ModelError, SettingsError
from transrec.model import TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.objectives.barlow import Projector, cross_correlation, standardised, twins_loss
from transrec.objectives.objective import HEAD
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train

QUIET = Console(quiet=True)
MASKED = {"mask_token": True}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loss(first: Tensor, second: Tensor, redundancy: float = 5e-3) -> float:
    return float(twins_loss(cross_correlation(first, second), redundancy))


def test_it_is_its_equation() -> None:
    first, second = drawn(7, 3), drawn(7, 3, seed=1)
    expected = 0.0
    for i in range(3):
        for j in range(3):
            columns = torch.stack([first[:, i], second[:, j]])
            correlation = float(torch.corrcoef(columns)[0, 1])
            expected += (1 - correlation) ** 2 if i == j else 0.01 * correlation**2
    assert loss(first, second, redundancy=0.01) == pytest.approx(expected, rel=1e-3)


def test_identical_whitened_views_cost_nothing() -> None:
    whitened, _ = torch.linalg.qr(drawn(64, 8) - drawn(64, 8).mean(dim=0))
    assert loss(8 * whitened, 8 * whitened) < 1e-8


def test_constant_views_cost_something_and_stay_finite() -> None:
    constant = torch.ones(16, 8, dtype=torch.float64, requires_grad=True)
    total = twins_loss(cross_correlation(constant, constant), 5e-3)
    total.backward()
    assert total.item() == pytest.approx(8)
    assert constant.grad is not None and constant.grad.isfinite().all()
    assert loss(drawn(1, 8), drawn(1, 8)) == pytest.approx(8), "a batch of one user, too"


def test_numbers_that_all_say_the_same_cost_as_many_pairs_as_there_are() -> None:
    collapsed = drawn(32, 1).expand(32, 8)
    assert loss(collapsed, collapsed) == pytest.approx(5e-3 * 8 * 7, rel=1e-3)


def test_scale_and_shift_of_a_number_make_no_difference() -> None:
    first, second = drawn(32, 8), drawn(32, 8, seed=1)
    scales, shifts = drawn(8, seed=2).abs() + 0.5, drawn(8, seed=3)
    assert loss(first * scales + shifts, second) == pytest.approx(loss(first, second), rel=1e-4)
    assert standardised(first.bfloat16()).dtype == torch.float32


def test_the_projector_is_drawn_from_its_seed_and_leaves_the_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    one, again, other = (Projector(4, 6, layers=3, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.random.get_rng_state().equal(before)
    assert [tuple(linear.weight.shape) for linear in one.maps] == [(6, 4), (6, 6), (6, 6)]
    same = [a.equal(b) for a, b in zip(one.parameters(), again.parameters(), strict=True)]
    assert all(same) and not one.maps[0].weight.equal(other.maps[0].weight)


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_users_items_and_the_projector_learn(pooling: str) -> None:
    case = Case(0, "barlow", users={**MASKED, "start": "fresh"}, pooling=pooling)
    batch = case.batches.batch(0)
    found = case.objective(case.model, case.model(batch), batch)
    found.total.backward()
    assert set(found.parts) == {"barlow", "barlow_agreement"}
    learning = {name for name, p in case.model.named_parameters() if p.grad is not None and p.grad.any()}
    assert {"users.blocks.0.expand.weight", "items.projections.given.linear.weight", "users.mask_token"} <= learning
    assert all(p.grad is not None and p.grad.isfinite().all() for p in case.objective.parameters())


def test_what_cannot_be_trained_with_it_is_said() -> None:
    with pytest.raises(ModelError, match="no vector to put in their place"):
        Case(0, "barlow")
    Case(0, "barlow", views={"mask": 0, "crop": 0.3})  # hides nothing
    case = Case(0, "barlow", users=MASKED)
    case.model.users.gives = "interests"
    with pytest.raises(ModelError, match="needs states"):
        case.objective.check(case.model)
    for added in ({"barlow": -1.0}, {"masked": 1.0}):
        with pytest.raises(SettingsError, match="added"):
            ObjectiveSettings.from_mapping({"added": added})
    with pytest.raises(SettingsError, match="added to itself"):
        build_objective(ObjectiveSettings.from_mapping({"kind": "barlow", "added": {"barlow": 1.0}}), case.model)
    form = SETTINGS.updated({"prior": "none", "users": MASKED}).model_dump(mode="json")
    alone = TrainSettings.from_mapping({"model": form, "objective": {"kind": "barlow"}, "training": {"device": "cpu"}})
    with pytest.raises(ModelError, match="a training cannot end with it"):
        train([platform()], alone, console=QUIET)


def test_an_added_term_is_added_with_its_weight() -> None:
    settings = {"kind": "softmax", "added": {"barlow": 0.25}}
    case = Case(0, "softmax", users=MASKED)
    both = build_objective(ObjectiveSettings.from_mapping(settings), case.model)
    twins = build_objective(ObjectiveSettings.from_mapping({"kind": "barlow"}), case.model)
    split_batches = case.batches
    split_batches._draws._plan = split_batches._plan = both.plan
    batch = split_batches.batch(0)
    case.model.eval()
    outputs = case.model(batch)
    parts = [own(case.model, outputs, batch).total for own in (case.objective, twins, both)]
    torch.testing.assert_close(parts[0] + 0.25 * parts[1], parts[2])
    assert both.asks_counts and both.plan.targets == "next" and both.plan.views is not None


def test_the_head_is_lent_and_taken_back() -> None:
    case = Case(0, "barlow", users=MASKED)
    before = set(case.model.state_dict())
    with suppress(KeyboardInterrupt), case.objective.lending(case.model):
        lent = set(case.model.state_dict()) - before
        assert lent and all(name.startswith(HEAD) for name in lent)
        raise KeyboardInterrupt
    assert set(case.model.state_dict()) == before


COURSES = {
    "a stage before": {"stages": [{"objective": {"kind": "barlow"}, "tune": "full", "training": {"epochs": 2}}]},
    "a term beside": {"objective": {"kind": "softmax", "added": {"barlow": 0.01}}},
}


@pytest.mark.parametrize("course", COURSES)
def test_a_course_from_a_file_moves_users_and_resumes_bit_for_bit(
    course: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = {"epochs": 2, "batch_size": 16, "device": "cpu", "tensorboard": False, "checkpoint_minutes": 0, "log_every": 1}
    form = SETTINGS.updated({"users": MASKED}).model_dump(mode="json")
    document = {"model": form, "training": loop, "tune": "full", **COURSES[course]}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(document))
    settings = TrainSettings.from_yaml(tmp_path / "settings.yaml")
    whole, expected = train([platform()], settings, tmp_path / "whole", console=QUIET)
    stage = settings.course[0]
    assert "barlow" in (stage.objective.kind, *stage.objective.added.weights)
    log = tmp_path / "whole" / ("stages/1" if settings.stages else "") / "metrics.jsonl"
    assert '"barlow_agreement"' in log.read_text()

    make, seen = SequenceBatches.batch, []

    def interrupted(self: SequenceBatches, step: int) -> object:
        if self._plan.views is not None and step == 4:
            raise KeyboardInterrupt
        return make(self, step)

    with monkeypatch.context() as patched:
        patched.setattr(SequenceBatches, "batch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train([platform()], settings, tmp_path / "broken", console=QUIET)
    monkeypatch.setattr(SequenceBatches, "batch", lambda self, step: (seen.append(step), make(self, step))[1])
    resumed, result = train([platform()], settings, tmp_path / "broken", resume=True, console=QUIET)
    assert result == expected and min(seen[:1]) > 0, "it goes on where it was"
    assert all(tensor.equal(resumed.state_dict()[name]) for name, tensor in whole.state_dict().items())

    begun = build_objective(stage.objective, whole, seed=settings.training.seed).head
    assert begun is not None
    kept = safetensors.torch.load_file(log.parent / "checkpoints" / "last" / "model.safetensors")
    moved = [not kept[f"{HEAD}.{name}"].equal(own) for name, own in begun.state_dict().items() if name.endswith("weight")]
    assert moved and all(moved), "the head learns"
    loaded = TransRec.load(tmp_path / "whole")
    assert not [name for name in loaded.state_dict() if HEAD in name] and not hasattr(whole, HEAD)
    for written in ("parameters.json", "README.md"):
        assert HEAD not in (tmp_path / "whole" / written).read_text()
