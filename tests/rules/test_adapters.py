"""Adapters: put into the user encoder, near to what they can be of the identity, and kept with the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transrec.data.catalog import Catalog
from transrec.errors import ModelError
from transrec.model import ModelSettings, TransRec
from transrec.rules import SourceRule, Tuning, apply_tuning, copy_parameters
from transrec.users.encoder import UserEncoder
from transrec.views import UserKind, UserOutput

Platform = Callable[..., Catalog]
Settings = Callable[..., ModelSettings]
NEW = [SourceRule.parse("users.*_adapter.*=fresh")]


def states(model: TransRec) -> Tensor:
    items_BLD = torch.randn(3, 6, model.users.width, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return model.eval().users(items_BLD, torch.ones(3, 6, dtype=torch.bool)).vectors


def test_half_the_width_unless_said_otherwise_behind_both_parts_of_every_block(
    platform: Platform, settings: Settings
) -> None:
    for rule, inner in (("adapter", 8), ("adapter:3", 3)):
        model = TransRec.build(settings(), [platform(1)])
        added = apply_tuning(model, Tuning.parse(rule))
        shapes = {name: tuple(p.shape) for name, p in model.named_parameters() if name in added}
        for block in range(2):
            for part in ("attention", "feedforward"):
                assert shapes[f"users.blocks.{block}.{part}_adapter.down.weight"] == (inner, 16)
                assert shapes[f"users.blocks.{block}.{part}_adapter.up.weight"] == (16, inner)
                assert shapes[f"users.blocks.{block}.{part}_adapter.norm.weight"] == (16,)
        assert len(shapes) == 2 * 2 * 6
        assert model.settings.users.adapter == inner


def test_at_first_it_is_little_more_than_the_layer_norm_of_the_published_form(
    platform: Platform, settings: Settings
) -> None:
    model = TransRec.build(settings(), [platform(1)])
    apply_tuning(model, Tuning.parse("adapter"))
    adapter = model.users.get_submodule("blocks.0.attention_adapter")
    inputs = torch.randn(50, 16, generator=torch.Generator().manual_seed(1))
    gap = (adapter(inputs).detach() - F.layer_norm(inputs, (16,))).abs().max()
    assert 0 < float(gap) < 0.01


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_run_with_adapters_is_saved_loaded_and_transferred_on(
    tmp_path: Path, platform: Platform, settings: Settings, norm: str
) -> None:
    model = TransRec.build(settings(users={"norm": norm}), [platform(1)])
    plain = states(model)
    apply_tuning(model, Tuning.parse("adapter:4"), seed=3)
    assert not states(model).equal(plain)
    model.save(tmp_path / "run")
    loaded = TransRec.load(tmp_path / "run")
    assert states(loaded).equal(states(model))
    target = loaded.fresh_for(platform(2), seed=8)
    assert set(copy_parameters(target, loaded.state_dict()).values()) == {"copy"}
    assert not apply_tuning(target, Tuning.parse("adapter")), "it has adapters already"
    assert states(target).equal(states(model))
    with pytest.raises(ModelError, match="has adapters of width 4, 5 is asked for"):
        apply_tuning(target, Tuning.parse("adapter:5"))


def test_adapters_can_start_anew_on_the_next_platform(platform: Platform, settings: Settings) -> None:
    source = TransRec.build(settings(), [platform(1)])
    apply_tuning(source, Tuning.parse("adapter:4"), seed=3)
    target = source.fresh_for(platform(2), seed=8)
    found = copy_parameters(target, source.state_dict(), NEW)
    fresh = {name for name, source in found.items() if source == "fresh"}
    assert fresh == {name for name, _ in target.named_parameters() if "adapter" in name}


def test_a_user_encoder_without_a_place_for_adapters_says_so(platform: Platform, settings: Settings) -> None:
    class Mean(UserEncoder):
        gives: UserKind = "states"
        causal = False

        def __init__(self) -> None:
            super().__init__()
            self.window, self.width = 6, 16
            self.map = nn.Linear(16, 16)

        def forward(self, items_BLD: Tensor, mask_BL: Tensor) -> UserOutput:
            return UserOutput("states", self.map(items_BLD), mask_BL)

    model = TransRec.build(settings(), [platform(1)])
    model.users = Mean()
    with pytest.raises(ModelError, match="Mean has no place for adapters of width 8"):
        apply_tuning(model, Tuning.parse("adapter"))


def test_gated_blocks_have_one_adapter_each(tmp_path: Path, platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(users={"kind": "gated"}), [platform(1)])
    added = apply_tuning(model, Tuning.parse("adapter:4"), seed=3)
    assert len(added) == 2 * 6
    learning = {name for name, p in model.users.named_parameters() if p.requires_grad}
    assert all("adapter" in name or "norm" in name for name in learning)
    model.save(tmp_path / "run")
    assert states(TransRec.load(tmp_path / "run")).equal(states(model))
