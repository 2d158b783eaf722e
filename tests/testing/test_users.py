"""The contract of user encoders: what is built in holds to it, what is broken in a way that is easily missed does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cases import platform
from rich.console import Console
from torch import Tensor, nn

from transrec.errors import ModelError, SettingsError
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train
from transrec.scoring import BestInterest
from transrec.serving.recommender import Recommender
from transrec.testing import UserEncoderContract
from transrec.users.encoder import UserEncoder
from transrec.users.settings import UserSettings
from transrec.users.tower import build_users
from transrec.views import UserKind, UserOutput

FORM = {"window": 6, "layers": 2, "heads": 2, "feedforward": 16, "dropout": 0.0}


def built(**chosen: object) -> UserEncoder:
    """Of these settings, away from its start, where gates are closed."""
    users = build_users(16, UserSettings.from_mapping({**FORM, **chosen}))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in users.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return users


class TestTransformer(UserEncoderContract):
    def make(self) -> UserEncoder:
        return built()


class TestPublished(UserEncoderContract):
    def make(self) -> UserEncoder:
        return built(attention="bidirectional", norm="post", start="fresh", mask_token=True)


class TestAdapters(UserEncoderContract):
    def make(self) -> UserEncoder:
        return built(adapter=4)


class TestGated(UserEncoderContract):
    def make(self) -> UserEncoder:
        return built(kind="gated", gated={"untimed": 0.0})


class TestInterests(UserEncoderContract):
    def make(self) -> UserEncoder:
        return built(interests={"count": 3, "adaptive": True})


class TestLinearRecurrence(UserEncoderContract):
    def make(self) -> UserEncoder:
        return built(kind="lru")


class TestAskedInterests(UserEncoderContract):
    tolerance = 1e-4  # items are dealt out twice by a softmax of sharpness 8, which magnifies what rounding leaves

    def make(self) -> UserEncoder:
        return built(kind="gated", gated={"untimed": 0.0}, interests={"count": 2, "seeds": "queries"})


class Mean(UserEncoder):
    """The mean of the history up to each item, through a map; holds to the contract."""

    gives: UserKind = "states"
    causal = True
    width, window = 16, 6

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(16, 16, bias=False)
        nn.init.eye_(self.map.weight)

    @classmethod
    def from_settings(cls, width: int, settings: UserSettings) -> Mean:  # noqa: ARG003
        return cls()

    def forward(self, items_BLD: Tensor, mask_BL: Tensor) -> UserOutput:
        items_BLD = items_BLD.masked_fill(~mask_BL[..., None], 0.0)
        return UserOutput("states", self.map(self.mean(items_BLD)), mask_BL)

    def mean(self, items_BLD: Tensor) -> Tensor:
        return items_BLD.cumsum(dim=1) / torch.arange(1, items_BLD.shape[1] + 1)[:, None]


class Two(Mean):
    """The mean of the history and its last item: two interests of an encoder of one's own."""

    gives: UserKind = "interests"
    causal = False

    def forward(self, items_BLD: Tensor, mask_BL: Tensor) -> UserOutput:
        states = super().forward(items_BLD, mask_BL)
        items = UserOutput("states", self.map(items_BLD.masked_fill(~mask_BL[..., None], 0.0)), mask_BL)
        return UserOutput("interests", torch.stack([states.last_BD, items.last_BD], dim=1), mask_BL)


class TestTwo(UserEncoderContract):
    def make(self) -> UserEncoder:
        return Two()


class TestMean(UserEncoderContract):
    def make(self) -> UserEncoder:
        return Mean()


class SeesWhatComesNext(Mean):
    def mean(self, items_BLD: Tensor) -> Tensor:
        return items_BLD.flip(1).cumsum(dim=1).flip(1) + items_BLD.roll(-1, 1)


class LetsPaddingIn(Mean):
    def forward(self, items_BLD: Tensor, mask_BL: Tensor) -> UserOutput:
        return UserOutput("states", self.map(items_BLD + items_BLD.mean(dim=1, keepdim=True)), mask_BL)


class DependsOnTheOthers(Mean):
    def mean(self, items_BLD: Tensor) -> Tensor:
        return items_BLD - items_BLD.mean(dim=0)


class ReadsTheFirstAlone(Mean):
    def mean(self, items_BLD: Tensor) -> Tensor:
        return items_BLD[:, :1].expand_as(items_BLD)


class HasSomethingUnused(Mean):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(3))


class KeepsSomethingElse(Mean):
    made = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).made += 1
        self.factor = float(self.made)

    def mean(self, items_BLD: Tensor) -> Tensor:
        return self.factor * super().mean(items_BLD)


@pytest.mark.parametrize(
    ("broken", "test", "complaint"),
    [
        (SeesWhatComesNext, "test_causal_states_do_not_see_what_comes_next", "says that it is causal"),
        (LetsPaddingIn, "test_padding_has_no_influence", "padd"),
        (DependsOnTheOthers, "test_a_user_does_not_depend_on_the_others", "depends on the others"),
        (ReadsTheFirstAlone, "test_causal_states_do_not_see_what_comes_next", "does not depend on the last item"),
        (HasSomethingUnused, "test_every_parameter_gets_a_gradient", "no gradient reaches unused"),
        (KeepsSomethingElse, "test_weights_are_all_that_is_kept", "weights do not say it all"),
    ],
)
def test_what_is_broken_is_found(broken: type[UserEncoder], test: str, complaint: str) -> None:
    class Contract(UserEncoderContract):
        def make(self) -> UserEncoder:
            return broken()

    with pytest.raises(AssertionError, match=complaint):
        getattr(Contract(), test)()


def test_one_of_your_own_is_found_by_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"kind": "custom", "custom": "mine:Mean"}
    with pytest.raises(ModelError, match=r"UserEncoder mine:Mean cannot be imported"):
        build_users(16, UserSettings.from_mapping(named))
    monkeypatch.setattr("transrec.users.tower.class_at", lambda *_, **__: Mean)
    assert isinstance(build_users(16, UserSettings.from_mapping(named)), Mean)
    with pytest.raises(ModelError, match="has the width 16, items have 8"):
        build_users(8, UserSettings.from_mapping(named))
    with pytest.raises(SettingsError, match="go together"):
        UserSettings.from_mapping({"kind": "custom"})
    monkeypatch.undo()
    transformer = "transrec.users.transformer:TransformerUserEncoder"
    with pytest.raises(ModelError, match="classmethod from_settings"):
        build_users(16, UserSettings.from_mapping({**named, "custom": transformer}))


def test_interests_of_one_of_your_own_are_scored_by_the_best(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("transrec.users.tower.class_at", lambda *_, **__: Two)
    data = platform(users=20, items=30)
    form = {"items": {"width": 16}, "users": {"kind": "custom", "custom": "mine:Two"}}
    settings = {"model": form, "training": {"epochs": 1, "device": "cpu", "tensorboard": False}, "tune": "frozen"}
    model, _ = train([data], TrainSettings.from_mapping(settings), tmp_path, console=Console(quiet=True))
    assert isinstance(model.scorer, BestInterest) and isinstance(TransRec.load(tmp_path).scorer, BestInterest)
    assert len(Recommender.of(model, data).recommend(["i1", "i2"], k=5)) == 5
