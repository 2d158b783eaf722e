"""Tuning rules: what learns under each of them, and that nothing else gets a gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from viewed_ground import viewed_model, viewed_platform

from transrec.data.batches import SequenceBatches
from transrec.data.catalog import Catalog, Item
from transrec.data.counts import Counts
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.errors import ModelError, SettingsError
from transrec.model import ModelSettings, TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.retrieval.encoding import encode_items
from transrec.rules import Tuning, apply_tuning
from transrec.training.settings import TrainingSettings
from transrec.training.trainer import Trainer

Platform = Callable[..., Catalog]
Settings = Callable[..., ModelSettings]
Gradients = Callable[[TransRec, Catalog], dict[str, float]]

TEXT, IMAGE = "items.encoders.text.backbone.", "items.encoders.image.backbone."
TOWERS = ("items.", "users.", "scorer.")
TOP_TWO = ("encoder.layer.1.", "encoder.layer.2.", "encoder.stages.2.", "encoder.stages.3.")


def learning(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def names(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters()}


def draw(model: nn.Module) -> None:
    """Replace what starts as zero, which would keep a gradient from what stands before it."""
    generator = torch.Generator().manual_seed(0)
    for parameter in (p for p in model.parameters() if p.requires_grad and not p.any()):
        parameter.data.normal_(std=0.1, generator=generator)


@pytest.mark.parametrize(
    "text", ["full", "frozen", "bitfit", "ia3", "top:1", "top:12", "lora:4", "adapter", "adapter:32", "projections"]
)
def test_tuning_is_written_as_it_is_read(text: str) -> None:
    assert str(Tuning.parse(text)) == text


def test_lora_says_its_rank() -> None:
    assert Tuning.parse("lora") == Tuning.parse("lora:8")
    assert str(Tuning.parse("lora")) == "lora:8"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "top",
        "top:0",
        "top:-1",
        "half",
        "top:two",
        "full:2",
        "ia3:4",
        "lora:",
        "lora:0",
        "adapter:",
        "top:1:2",
        "projections:2",
    ],
)
def test_other_tuning_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a tuning rule"):
        Tuning.parse(text)


def expected(model: TransRec, rule: str) -> set[str]:
    """What should learn, written down a second time in another way."""
    every = names(model)
    above = {name for name in every if not name.startswith(("users.", TEXT, IMAGE))}
    users = {name for name in every if name.startswith("users.")}
    backbones = {name for name in every if name.startswith((TEXT, IMAGE))}
    if rule in ("adapter", "projections"):
        return above | {name for name in users if "adapter" in name or "norm" in name}
    learns: dict[str, Any] = {
        "full": lambda _: True,
        "frozen": lambda _: False,
        "bitfit": lambda own: own.endswith(".bias") or "LayerNorm" in own or "normalization" in own,
        "top:2": lambda own: own.startswith(TOP_TWO),
        "lora:4": lambda own: "lora_" in own,
        "ia3": lambda own: "ia3_" in own,
    }
    return above | users | {name for name in backbones if learns[rule](name.removeprefix(TEXT).removeprefix(IMAGE))}


@pytest.mark.parametrize("rule", ["full", "top:2", "frozen", "bitfit", "lora:4", "ia3", "adapter", "projections"])
def test_exactly_what_the_rule_names_gets_a_gradient(
    rule: str, platform: Platform, settings: Settings, gradients: Gradients
) -> None:
    catalog = platform(1)
    model = TransRec.build(settings(), [catalog], seed=1)
    buffers = {name: tensor.clone() for name, tensor in model.named_buffers()}
    assert any("running_mean" in name for name in buffers)
    apply_tuning(model, Tuning.parse(rule))
    draw(model)
    found = gradients(model, catalog)
    assert learning(model) == expected(model, rule)
    assert set(found) == {name for name in learning(model) if name.startswith(TOWERS)}
    # a bias of keys adds the same to all scores of a softmax
    assert {name for name, size in found.items() if size == 0} <= {name for name in found if name.endswith("key.bias")}
    assert all(tensor.equal(buffers[name]) for name, tensor in model.named_buffers()), "frozen BatchNorm stands still"


@pytest.mark.parametrize("rule", ["top:1", "frozen", "bitfit", "lora", "ia3"])
def test_what_is_fresh_in_an_encoder_learns(rule: str, platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(pooling="attention", modalities=["text", "identity"]), [platform(1)])
    apply_tuning(model, Tuning.parse(rule))
    fresh = {name for name in names(model) if name.startswith(("items.encoders.text.pooling.", "items.encoders.identity."))}
    assert fresh and fresh <= learning(model)


def test_what_has_learned_nothing_yet_learns_whatever_the_rule(platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(), [platform(1)])
    fresh = {"users.positions.weight", "users.blocks.1.output.weight"}
    apply_tuning(model, Tuning.parse("adapter"), fresh=fresh)
    assert learning(model) == expected(model, "adapter") | fresh


def test_what_a_rule_adds_depends_on_the_seed_alone(platform: Platform, settings: Settings) -> None:
    for rule, part in (("adapter", "down.weight"), ("lora", "lora_A")):
        found = []
        for seed in (1, 1, 2):
            model = TransRec.build(settings(), [platform(1)])
            state = torch.random.get_rng_state()
            added = apply_tuning(model, Tuning.parse(rule), seed=seed)
            assert torch.random.get_rng_state().equal(state), "the process's own random state is not used"
            found.append({name: p.clone() for name, p in model.named_parameters() if name in added and part in name})
        assert found[0] and all(tensor.equal(found[1][name]) for name, tensor in found[0].items())
        assert not any(tensor.equal(found[2][name]) for name, tensor in found[0].items())


def test_a_rule_takes_the_place_of_the_one_before(platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(), [platform(1)])
    for rule in ("frozen", "bitfit", "full"):
        apply_tuning(model, Tuning.parse(rule))
        assert learning(model) == expected(model, rule)


def test_more_blocks_than_there_are_is_said(platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(), [platform(1)])
    with pytest.raises(ModelError, match="the text encoder has 3 blocks, top:4 asks for more"):
        apply_tuning(model, Tuning.parse("top:4"))


def test_given_vectors_have_nothing_to_tune() -> None:
    catalog = Catalog.from_items(
        [Item(id=name, vectors={"given": np.arange(3.0) + place}) for place, name in enumerate("ab")]
    )
    chosen = ModelSettings.from_mapping({"items": {"width": 4}, "users": {"heads": 2}})
    for rule in ("top:2", "bitfit", "lora", "ia3"):
        model = TransRec.build(chosen, [catalog])
        assert not apply_tuning(model, Tuning.parse(rule))
        assert learning(model) == names(model)
        assert ContentStore.prepare(catalog, model.items.preparers())


def test_ten_steps_with_projections_leave_the_transformer_as_it_was() -> None:
    dataset = viewed_platform()
    model = viewed_model(dataset, users={"kind": "missrec", "missrec": {"ratio": 0.3}})
    apply_tuning(model, Tuning.parse("projections"))
    objective = build_objective(ObjectiveSettings(), model)
    store = ContentStore.prepare(dataset.catalog, model.items.preparers())
    split = leave_one_out(dataset.interactions)
    counts = Counts.of(split, len(dataset.catalog))
    batches = SequenceBatches(split, store, objective.plan, batch_size=16, seed=0, counts=counts)
    model.users.attune(encode_items(model, store), generator=torch.Generator().manual_seed(0))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    loop = TrainingSettings.from_mapping(
        {"max_steps": 10, "epochs": 100, "keep": "last", "device": "cpu", "tensorboard": False}
    )
    found = Trainer(loop).fit(model, objective, batches, lambda _: {"NDCG@10": 0.0})
    assert found.steps == 10
    still = {name for name, parameter in model.named_parameters() if parameter.equal(before[name])}
    in_norms = {name for name in before if "norm" in name}
    assert {name for name in still if name.startswith("users.")} == {
        name for name in before if name.startswith("users.") and name not in in_norms
    }
    assert not {name for name in still if name.startswith(("items.", "scorer."))}, "projections and the fusion's scale learn"
