"""Checkpoints: whole or not at all, without pickle, and only for the training that they belong to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from transrec.errors import RunError
from transrec.training import checkpoint
from transrec.training.checkpoint import Progress, load_checkpoint, save_checkpoint


def trained(seed: int, layers: int = 2) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(*(nn.Linear(3, 3) for _ in range(layers)))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(3):
        step(model, optimiser)
    return model, optimiser


def step(model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    model(torch.ones(2, 3)).square().sum().backward()
    optimiser.step()


def test_a_checkpoint_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    model, optimiser = trained(1)
    progress = Progress(step=3, best=0.25, best_step=2, waiting=1)
    save_checkpoint(tmp_path / "last", model, optimiser, progress)
    other, its_optimiser = trained(2)
    assert load_checkpoint(tmp_path / "last", other, its_optimiser) == progress
    for _ in range(2):
        step(model, optimiser)
        step(other, its_optimiser)
    assert all(a.equal(b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert {path.suffix for path in (tmp_path / "last").iterdir()} == {".safetensors", ".json"}


def test_an_interrupt_while_saving_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimiser = trained(1)
    save_checkpoint(tmp_path / "last", model, optimiser, Progress(step=3))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "_flattened", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path / "last", model, optimiser, Progress(step=4))
    assert load_checkpoint(tmp_path / "last", *trained(2)) == Progress(step=3)


def test_an_interrupt_between_the_renames_loses_nothing(tmp_path: Path) -> None:
    model, optimiser = trained(1)
    save_checkpoint(tmp_path / "last", model, optimiser, Progress(step=3))
    (tmp_path / "last").rename(tmp_path / "last.old")
    assert load_checkpoint(tmp_path / "last", *trained(2)) == Progress(step=3)


def test_another_model_or_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no checkpoint to resume from"):
        load_checkpoint(tmp_path / "last", *trained(1))
    save_checkpoint(tmp_path / "last", *trained(1, layers=3), Progress())
    with pytest.raises(RunError, match="the weights do not fit"):
        load_checkpoint(tmp_path / "last", *trained(1, layers=2))
    model, _ = trained(1, layers=3)
    few = torch.optim.AdamW(model[0].parameters())
    with pytest.raises(RunError, match="optimiser has 6 parameters, this training has 2"):
        load_checkpoint(tmp_path / "last", model, few)


def test_progress_remembers_the_best() -> None:
    progress = Progress(step=5).after_validation(0.2)
    assert (progress.best, progress.best_step, progress.waiting) == (0.2, 5, 0)
    worse = progress.after_validation(0.2)
    assert (worse.best, worse.best_step, worse.waiting) == (0.2, 5, 1), "as good is not better"
