"""Gradual unfreezing: from the top, a function of the step, and bit for bit the same after an interruption."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from transrec.errors import TrainingError
from transrec.training.optimiser import paces
from transrec.training.settings import TrainingSettings
from transrec.training.unfreezing import Unfreezing

Make = Callable[..., Any]
BACKBONE = "items.encoders.text.backbone."
ORDER = ("encoder.layer.1.", "encoder.layer.0.", "embeddings.")
"""What begins to learn after one epoch, after two, after three."""


def learning(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def expected(model: nn.Module, epoch: int, every: int = 1) -> set[str]:
    begun = tuple(BACKBONE + part for part in ORDER[: epoch // every])
    return {name for name, _ in model.named_parameters() if not name.startswith(BACKBONE) or name.startswith(begun)}


@pytest.mark.parametrize("every", [1, 2])
def test_blocks_begin_from_the_top_and_embeddings_last(text_case: Make, every: int) -> None:
    model = text_case().model
    every_name = learning(model)
    unfreezing = Unfreezing(model, every, per_epoch=3, total=30)
    for step in (0, 2, 3, 5, 6, 8, 9, 17, 18, 29, 4, 0):  # backwards too: nothing is remembered
        unfreezing.at(step)
        assert learning(model) == expected(model, step // 3, every), step
    unfreezing.end()
    assert learning(model) == every_name


@pytest.mark.parametrize("every", [1, 2])
def test_the_epoch_that_is_told_is_the_one_in_which_a_parameter_begins(text_case: Make, every: int) -> None:
    model = text_case().model
    told = paces(model, TrainingSettings(unfreeze_every=every), total=30)
    unfreezing = Unfreezing(model, every, per_epoch=3, total=30)
    begun: dict[str, int] = {}
    for epoch in range(1, 11):
        unfreezing.at(3 * (epoch - 1))
        begun |= {name: epoch for name in learning(model) if name not in begun}
    assert {name: pace.from_epoch for name, pace in told.items()} == begun
    assert {begun[BACKBONE + part] for part in ("embeddings.LayerNorm.weight",)} == {1 + 3 * every}


def test_without_it_everything_learns_from_the_start(text_case: Make) -> None:
    model = text_case(tune="top:1").model
    before = learning(model)
    unfreezing = Unfreezing(model, None, per_epoch=3, total=2)
    unfreezing.at(0)
    assert learning(model) == before


def test_only_what_the_tuning_rule_lets_learn_is_unfrozen(text_case: Make) -> None:
    model = text_case(tune="lora:2").model
    every_name = learning(model)
    unfreezing = Unfreezing(model, 1, per_epoch=3, total=30)
    unfreezing.at(3)
    begun = {name for name in learning(model) if name.startswith(BACKBONE)}
    assert begun == {name for name in every_name if name.startswith(BACKBONE + ORDER[0])}
    assert begun and all(".lora_" in name for name in begun)


def test_what_could_never_learn_is_said(text_case: Make) -> None:
    with pytest.raises(TrainingError, match="after 3 epochs of 5 steps, and the training has 15 steps"):
        Unfreezing(text_case().model, 1, per_epoch=5, total=15)
    Unfreezing(text_case().model, 1, per_epoch=5, total=16)
    Unfreezing(text_case(tune="top:1").model, 1, per_epoch=5, total=15)
    with pytest.raises(TrainingError, match="nothing to unfreeze"):
        Unfreezing(text_case(tune="frozen").model, 1, per_epoch=5, total=16)


def test_resting_blocks_stand_still_and_the_others_move(text_case: Make) -> None:
    case = text_case()
    start = {name: tensor.clone() for name, tensor in case.model.state_dict().items()}
    case.fit([0.1, 0.2], epochs=2, max_steps=2 * case.batches.steps_per_epoch, unfreeze_every=None)
    moved = {name for name, tensor in case.model.state_dict().items() if not tensor.equal(start[name])}
    assert any(name.startswith(BACKBONE + "embeddings.") for name in moved)

    case = text_case()
    with pytest.raises(KeyboardInterrupt):
        case.fit([0.1], epochs=5, unfreeze_every=1)
    moved = {name for name, tensor in case.model.state_dict().items() if not tensor.equal(start[name])}
    assert {part for part in ORDER for name in moved if name.startswith(BACKBONE + part)} == {ORDER[0]}
    assert any(name.startswith("users.") for name in moved)


@pytest.mark.parametrize("tune", ["full", "lora:2"])
@pytest.mark.parametrize("validated", [1, 2, 3])
def test_resuming_is_the_same_training_bit_for_bit(text_case: Make, tmp_path: Path, tune: str, validated: int) -> None:
    """Interrupted while some blocks have a state in the optimiser and others have none."""
    values = [0.1, 0.2, 0.3, 0.25, 0.4]
    chosen = {"epochs": 5, "unfreeze_every": 1, "layer_decay": 0.5, "anchor": 20.0, "learning_rate": 1e-2}
    held = [BACKBONE + "embeddings.word_embeddings.weight", BACKBONE + "encoder.layer.1.output.dense.weight"]
    if tune != "full":
        chosen |= {"anchor": 0.0}
    whole = text_case(tune=tune)
    result = whole.fit(values, tmp_path / "whole", anchored=held, **chosen)

    with pytest.raises(KeyboardInterrupt):
        text_case(tune=tune).fit(values[:validated], tmp_path / "broken", anchored=held, **chosen)
    resumed = text_case(seed=9, tune=tune)  # other fresh weights: the checkpoint must replace them all
    assert resumed.fit(values[validated:], tmp_path / "broken", anchored=held, resume=True, **chosen) == result
    found: dict[str, Tensor] = resumed.model.state_dict()
    assert all(tensor.equal(found[name]) for name, tensor in whole.model.state_dict().items())


def test_frozen_parts_are_in_evaluation_mode(text_case: Make) -> None:
    model = text_case().model
    Unfreezing(model, 1, per_epoch=3, total=30).at(3)
    model.train()
    layers = model.items.encoders["text"].backbone.encoder.layer
    assert layers[1].training and not layers[0].training
    dropouts = [module for module in layers[0].modules() if isinstance(module, torch.nn.Dropout)]
    assert dropouts and not any(dropout.training for dropout in dropouts)
