"""Optimiser groups and the schedule."""

from __future__ import annotations

import itertools

import pytest
import torch
from cases import Case, platform

from transrec.errors import TrainingError
from transrec.model import ModelSettings, TransRec
from transrec.training.optimiser import optimiser_groups, rate_factor, set_rates
from transrec.training.settings import TrainingSettings
from transrec.transfer import Tuning, apply_tuning

SETTINGS = TrainingSettings(learning_rate=0.5, encoder_learning_rate=0.25, weight_decay=0.125)


def test_every_learning_parameter_is_in_one_group_with_its_rate_and_decay() -> None:
    settings = ModelSettings.from_mapping(
        {"items": {"width": 8, "modalities": ["given", "identity"]}, "users": {"heads": 2}}
    )
    model = TransRec.build(settings, [platform().catalog])
    model.items.encoders["given"].register_parameter("scale", torch.nn.Parameter(torch.ones(8, 8)))
    apply_tuning(model, Tuning.parse("full"))
    model.users.positions.weight.requires_grad_(requires_grad=False)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {}
    for group in optimiser_groups(model, SETTINGS):
        assert group["lr"] == group["peak"]
        for parameter in group["params"]:  # type: ignore[attr-defined]
            assert names[id(parameter)] not in found
            found[names[id(parameter)]] = (group["lr"], group["weight_decay"])
    assert set(found) == {name for name, p in model.named_parameters() if p.requires_grad}
    assert found["items.encoders.given.scale"] == (0.25, 0.125)
    assert found["items.encoders.identity.table.weight"] == (0.5, 0.125), "a table starts fresh"
    assert found["users.blocks.0.output.weight"] == (0.5, 0.125)
    assert found["users.blocks.0.output.bias"] == (0.5, 0.0)
    assert found["scorer.log_scale"] == (0.5, 0.0)


def test_nothing_that_learns_is_said() -> None:
    model = Case().model
    model.requires_grad_(requires_grad=False)
    with pytest.raises(TrainingError, match="no parameter learns"):
        optimiser_groups(model, SETTINGS)


def test_the_rate_rises_and_falls_to_nothing() -> None:
    factors = [rate_factor(step, 100, 0.1) for step in range(101)]
    assert factors[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert factors[10] == 1.0
    assert all(a > b for a, b in itertools.pairwise(factors[10:]))
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0.0)
    assert rate_factor(0, 1, 0.0) == 1.0


def test_rates_are_set_from_the_peak() -> None:
    optimiser = torch.optim.AdamW(optimiser_groups(Case().model, SETTINGS))
    for factor in (0.5, 0.1):
        set_rates(optimiser, factor)
        assert {group["lr"] / group["peak"] for group in optimiser.param_groups} == {factor}
