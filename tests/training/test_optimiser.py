"""Optimiser groups and the schedule."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import Case, platform

from transrec.errors import TrainingError
from transrec.model import ModelSettings, TransRec
from transrec.rules import Tuning, apply_tuning
from transrec.training.optimiser import Pace, adamw, optimiser_groups, paces, prior_rate, rate_factor, set_rates
from transrec.training.settings import TrainingSettings

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
    for group in optimiser_groups(model, SETTINGS, total=100):
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
        optimiser_groups(model, SETTINGS, total=100)


def test_the_rate_rises_and_falls_to_nothing() -> None:
    factors = [rate_factor(step, 100, TrainingSettings(warmup=0.1)) for step in range(101)]
    assert factors[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert factors[10] == 1.0
    assert all(a > b for a, b in itertools.pairwise(factors[10:]))
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0.0)
    assert rate_factor(0, 1, TrainingSettings(warmup=0.0)) == 1.0


def test_a_constant_rate_stays_after_the_warm_up() -> None:
    constant = TrainingSettings(schedule="constant", warmup=0.0)
    assert {rate_factor(step, 100, constant) for step in range(101)} == {1.0}, "as published"
    rising = TrainingSettings(schedule="constant", warmup=0.1)
    assert [rate_factor(step, 100, rising) for step in range(10)] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert {rate_factor(step, 100, rising) for step in range(10, 101)} == {1.0}


def test_rates_are_set_from_the_peak() -> None:
    optimiser = torch.optim.AdamW(optimiser_groups(Case().model, SETTINGS, total=100))
    for factor in (0.5, 0.1):
        set_rates(optimiser, factor)
        assert [group["lr"] / group["peak"] for group in optimiser.param_groups] == pytest.approx([factor] * 3)


def test_the_prior_can_go_as_far_as_it_must_in_a_short_training() -> None:
    settings = TrainingSettings(prior_learning_rate=0.03, prior_reach=2.0)
    for total in (1, 7, 20, 65):
        farthest = sum(rate_factor(step, total, settings) for step in range(total))
        assert prior_rate(total, settings) * farthest == pytest.approx(2.0)
    for total in (200, 10_000):
        assert prior_rate(total, settings) == 0.03, "long enough as it is"
    assert prior_rate(20, settings.updated({"prior_reach": 0.0})) == 0.03
    [group] = [g for g in optimiser_groups(Case().model, settings, total=20) if g["peak"] == prior_rate(20, settings)]
    assert len(group["params"]) == 6  # type: ignore[arg-type]
    several = Case(users={"interests": {"count": 3, "handicap": True}}).model
    assert rates(several, settings)["scorer.handicaps.of_each"] == rates(several, settings)["prior.popularity"]


def rates(model: TransRec, settings: TrainingSettings, **options: object) -> dict[str, tuple[float, float]]:
    """By name, the peak learning rate and the weight decay of every parameter that learns."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (float(group["peak"]), float(group["weight_decay"]))  # type: ignore[arg-type]
        for group in optimiser_groups(model, settings, total=100, **options)  # type: ignore[arg-type]
        for parameter in group["params"]  # type: ignore[attr-defined]
    }


def test_lower_blocks_learn_more_slowly_and_embeddings_most_slowly(text_case: Callable[..., Any]) -> None:
    model = text_case().model
    found = rates(model, SETTINGS.updated({"layer_decay": 0.5}))
    assert found == rates(model, SETTINGS) | {
        name: (0.25 * 0.5**depth, decay)
        for part, depth in (("encoder.layer.1.", 0), ("encoder.layer.0.", 1), ("embeddings.", 2))
        for name, (_, decay) in found.items()
        if name.startswith("items.encoders.text.backbone." + part)
    }
    assert {rate for name, (rate, _) in found.items() if ".backbone." in name} == {0.25, 0.125, 0.0625}


def test_what_a_rule_adds_has_the_rate_of_what_is_fresh(text_case: Callable[..., Any]) -> None:
    for rule in ("lora:2", "ia3"):
        found = rates(text_case(tune=rule).model, SETTINGS.updated({"layer_decay": 0.5}))
        added = {name: values for name, values in found.items() if ".lora_" in name or ".ia3_" in name}
        assert {rate for name, (rate, _) in added.items() if ".layer.1." in name} == {0.5}
        assert {rate for name, (rate, _) in added.items() if ".layer.0." in name} == {0.25}
        # (IA)^3 scales by what it learns: decay would pull it to nothing
        assert {decay for _, decay in added.values()} == ({0.125} if rule == "lora:2" else {0.0})


def test_what_is_anchored_does_not_decay_as_well() -> None:
    model = Case().model
    held = ["users.blocks.0.output.weight"]
    assert rates(model, SETTINGS, anchored=held)[held[0]] == (0.5, 0.125), "the anchor is off"
    found = rates(model, SETTINGS.updated({"anchor": 1.0}), anchored=held)
    assert found[held[0]] == (0.5, 0.0)
    assert found["users.blocks.0.expand.weight"] == (0.5, 0.125)


def test_paces_say_what_the_groups_are_made_of(text_case: Callable[..., Any]) -> None:
    model = text_case(tune="top:1").model
    settings = SETTINGS.updated({"layer_decay": 0.5, "unfreeze_every": 2, "anchor": 1.0})
    held = [name for name, _ in model.named_parameters() if ".backbone." in name]
    found = paces(model, settings, held, total=100)
    assert {name: (pace.rate, pace.decay) for name, pace in found.items()} == rates(model, settings, anchored=held)
    assert list(found) == [name for name, p in model.named_parameters() if p.requires_grad]
    top = {name: pace for name, pace in found.items() if ".backbone." in name}
    assert set(top.values()) == {Pace(0.25, 0.0, 3, held=True)} and all(".layer.1." in name for name in top)
    assert {(pace.from_epoch, pace.held) for name, pace in found.items() if name not in top} == {(1, False)}
    assert not any(pace.held for pace in paces(model, SETTINGS, held, total=100).values()), "the anchor is off"


def test_weights_move_in_one_kernel_on_cuda_and_as_ever_on_a_cpu() -> None:
    generator = torch.Generator().manual_seed(0)
    started, gradient = (torch.randn(5, 3, generator=generator) for _ in range(2))
    found = []
    for kind in ("cpu", "cuda"):
        weight = started.clone().requires_grad_()  # a kernel for all weights is there on a CPU, too: no GPU is needed here
        optimiser = adamw([{"params": [weight], "lr": 0.1, "weight_decay": 0.5}], torch.device(kind))
        for _ in range(3):
            weight.grad = gradient.clone()
            optimiser.step()
        found.append((bool(optimiser.defaults["fused"]), weight.detach()))
    assert [fused for fused, _ in found] == [False, True]
    assert not found[0][1].allclose(started, atol=0.1)
    assert found[0][1].allclose(found[1][1], atol=1e-6)
