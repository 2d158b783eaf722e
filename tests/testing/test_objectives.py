"""The contract of objectives: what is built in holds to it, and what is broken in a way that is easily missed does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from cases import Case
from torch import Tensor

from transrec.data.batches import SequenceBatch
from transrec.data.windows import WindowPlan
from transrec.errors import ModelError, SettingsError
from transrec.model import Outputs, TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.objectives.objective import Loss, Objective
from transrec.testing import ObjectiveContract


def built_in(chosen: Mapping[str, Any], **model: Any) -> type[ObjectiveContract]:
    """The contract over an objective that settings name, for a model with such settings."""

    class BuiltIn(ObjectiveContract):
        def make(self, model: TransRec) -> Objective:
            return build_objective(ObjectiveSettings.from_mapping(chosen), model)

        def model_settings(self) -> Mapping[str, Any]:
            return model

    return BuiltIn


SIDES = {"attention": "bidirectional"}

TestSoftmax = built_in({"softmax": {"shared_negatives": 8}})
TestSoftmaxWithMemory = built_in({"softmax": {"memory": 2}})
TestSoftmaxWithCounts = built_in({}, prior="counts")
TestSoftmaxOfInterests = built_in({"added": {"diversity": 1.0}}, users={"interests": {"count": 2}})
TestGBCE = built_in({"kind": "gbce"})
TestMultiStep = built_in({"kind": "multistep"}, users=SIDES, scorer="dot")
TestHinge = built_in({"kind": "hinge", "hinge": {"hardest": 0.5}}, scorer="distance")
TestHingeOfInterests = built_in(
    {"kind": "hinge", "added": {"diversity": 1.0}},
    scorer="distance",
    users={"interests": {"count": 3, "adaptive": True}},
)
TestMasked = built_in({"kind": "masked"}, users={**SIDES, "mask_token": True})
TestSoftmaxBesideSeqSeq = built_in({"added": {"seq_seq": 0.1}})
TestSoftmaxOfMissrec = built_in({"added": {"seq_seq": 0.1, "orthogonality": 0.1}}, users={"kind": "missrec"})
TestBarlow = built_in({"kind": "barlow", "barlow": {"width": 8}}, users={"mask_token": True})


class Nearest(Objective):
    """The mean cosine of users and what they take next; holds to the contract."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = WindowPlan("following", length=5, horizon=1)

    @classmethod
    def from_options(cls, options: Mapping[str, str], model: TransRec) -> Nearest:  # noqa: ARG003
        return cls()

    def check(self, model: TransRec) -> None:
        pass

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        loss = -model.scorer.paired(outputs.users.scored, outputs.items.fused_UD[batch.targets_BT]).mean()
        return self.told(loss)

    def told(self, loss: Tensor) -> Loss:
        return Loss(loss, {"nearest": loss.detach()})


class TestNearest(ObjectiveContract):
    def make(self, model: TransRec) -> Objective:
        return Nearest()


class LeadsNowhere(Nearest):
    def told(self, loss: Tensor) -> Loss:
        return Loss(loss.detach(), {})


class TellsWithAGradient(Nearest):
    def told(self, loss: Tensor) -> Loss:
        return Loss(loss, {"nearest": loss})


class GrowsWithTraining(Nearest):
    def told(self, loss: Tensor) -> Loss:
        return Loss(2 * loss.detach() - loss, {})


class DrawsByItself(Nearest):
    def told(self, loss: Tensor) -> Loss:
        return Loss(loss * torch.rand(()), {})


class ForgetsWhatItRemembers(Nearest):
    seen = 0

    def told(self, loss: Tensor) -> Loss:
        self.seen += 1
        return Loss(loss / self.seen, {})


@pytest.mark.parametrize(
    ("broken", "test", "complaint"),
    [
        (LeadsNowhere, "test_the_loss_is_a_finite_number_and_its_parts_do_not_learn", "depends on nothing that learns"),
        (TellsWithAGradient, "test_the_loss_is_a_finite_number_and_its_parts_do_not_learn", "detach it"),
        (GrowsWithTraining, "test_training_makes_it_smaller", "after 30 steps"),
        (DrawsByItself, "test_the_same_batch_costs_the_same", "two losses of one batch"),
        (ForgetsWhatItRemembers, "test_what_it_remembers_can_be_kept", "does not hold it"),
    ],
)
def test_what_is_broken_is_found(broken: type[Objective], test: str, complaint: str) -> None:
    class Contract(ObjectiveContract):
        def make(self, model: TransRec) -> Objective:
            return broken()

    with pytest.raises(AssertionError, match=complaint):
        getattr(Contract(), test)()


def test_one_of_your_own_is_found_by_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Case(0, "multistep").model
    with pytest.raises(SettingsError, match="no class is named"):
        build_objective(ObjectiveSettings.from_mapping({"kind": "custom"}), model)
    hinge = {"kind": "custom", "custom": "transrec.objectives.hinge:MetricHinge"}
    with pytest.raises(ModelError, match="classmethod from_options"):
        build_objective(ObjectiveSettings.from_mapping(hinge), model)
    monkeypatch.setattr("transrec.objectives.class_at", lambda *_, **__: Nearest)
    made = build_objective(ObjectiveSettings.from_mapping({"kind": "custom", "custom": "mine:Nearest"}), model)
    assert isinstance(made, Nearest)
