"""Checkpoints: whole or not at all, without pickle, and only for the training that they belong to."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn

from transrec.errors import RunError
from transrec.objectives.objective import Objective
from transrec.training import checkpoint
from transrec.training.checkpoint import Keeper, Progress, load_checkpoint, save_checkpoint, sound_checkpoint


class Silent:
    """An objective that remembers nothing."""

    def state(self) -> dict[str, torch.Tensor]:
        return {}


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


def loaded(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
    return load_checkpoint(sound_checkpoint(folder), model, optimiser)


def test_a_checkpoint_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    model, optimiser = trained(1)
    progress = Progress(step=3, best=0.25, best_step=2, waiting=1)
    save_checkpoint(tmp_path, model, optimiser, progress)
    other, its_optimiser = trained(2)
    assert loaded(tmp_path, other, its_optimiser) == progress
    for _ in range(2):
        step(model, optimiser)
        step(other, its_optimiser)
    assert all(a.equal(b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert {path.suffix for path in (tmp_path / "last").iterdir()} == {".safetensors", ".json"}


def test_the_newest_and_the_one_before_are_kept(tmp_path: Path) -> None:
    model, optimiser = trained(1)
    for done in (3, 4, 5):
        save_checkpoint(tmp_path, model, optimiser, Progress(step=done))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before", "last"]
    assert load_checkpoint(tmp_path / "last", *trained(2)).step == 5
    assert load_checkpoint(tmp_path / "before", *trained(2)).step == 4


@pytest.mark.parametrize("name", ["_flattened", "seal"])
def test_an_interrupt_while_saving_leaves_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    model, optimiser = trained(1)
    save_checkpoint(tmp_path, model, optimiser, Progress(step=2))
    save_checkpoint(tmp_path, model, optimiser, Progress(step=3))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, model, optimiser, Progress(step=4))
    assert loaded(tmp_path, *trained(2)) == Progress(step=3)
    save_checkpoint(tmp_path, model, optimiser, Progress(step=4))
    assert loaded(tmp_path, *trained(2)) == Progress(step=4), "what was left behind is in nobody's way"


def test_an_interrupt_between_the_renames_loses_nothing(tmp_path: Path) -> None:
    model, optimiser = trained(1)
    save_checkpoint(tmp_path, model, optimiser, Progress(step=3))
    (tmp_path / "last").rename(tmp_path / "before")
    assert loaded(tmp_path, *trained(2)) == Progress(step=3)


@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.safetensors", "progress.json", "seal.json"])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_a_damaged_newest_one_falls_back_to_the_one_before_and_says_so(tmp_path: Path, name: str, how: str) -> None:
    model, optimiser = trained(1)
    for done in (3, 4):
        save_checkpoint(tmp_path, model, optimiser, Progress(step=done))
    spoil(tmp_path / "last" / name, how)
    with pytest.warns(UserWarning, match=r"last is damaged: .*The checkpoint before it is used instead"):
        assert loaded(tmp_path, *trained(2)) == Progress(step=3)
    spoil(tmp_path / "before" / name, how)
    with pytest.raises(RunError, match=r"last is damaged.*before is damaged"):
        loaded(tmp_path, *trained(2))


def spoil(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
        return
    content[len(content) // 2] ^= 1
    path.write_bytes(content if how == "flipped" else content[: len(content) // 2])


@pytest.mark.parametrize("of_best", [False, True])
def test_a_full_disk_is_said_and_damages_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_best: bool) -> None:
    model, optimiser = trained(1)
    keeper = Keeper(tmp_path, cast("Objective", Silent()), minutes=10)
    keeper.validated(model, optimiser, Progress(step=3, best=0.1, best_step=3))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_weights" if of_best else "_flattened", full)
        with pytest.raises(
            RunError, match=r"checkpoint of step 4 cannot be written.*No space left.*last is whole"
        ) as caught:
            keeper.validated(model, optimiser, Progress(step=4, best=0.2, best_step=4))
    assert "--resume" in str(caught.value)
    assert loaded(tmp_path / "checkpoints", *trained(2)).step == 3
    keeper.put_back(model)
    assert not list(tmp_path.rglob("*.new")) and not (tmp_path / "checkpoints" / "new").exists()


def test_damaged_best_weights_are_refused(tmp_path: Path) -> None:
    model, optimiser = trained(1)
    keeper = Keeper(tmp_path, cast("Objective", Silent()), minutes=10)
    keeper.validated(model, optimiser, Progress(step=3, best=0.1, best_step=3))
    spoil(tmp_path / "checkpoints" / "best" / "model.safetensors", "flipped")
    with pytest.raises(RunError, match=r"validated best are damaged: model.safetensors is not what was written"):
        keeper.put_back(model)


def test_another_model_or_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no checkpoint to resume from"):
        loaded(tmp_path, *trained(1))
    save_checkpoint(tmp_path, *trained(1, layers=3), Progress())
    with pytest.raises(RunError, match="the weights do not fit"):
        loaded(tmp_path, *trained(1, layers=2))
    model, _ = trained(1, layers=3)
    few = torch.optim.AdamW(model[0].parameters())
    with pytest.raises(RunError, match="optimiser has 6 parameters, this training has 2"):
        loaded(tmp_path, model, few)


def test_progress_remembers_the_best() -> None:
    progress = Progress(step=5).after_validation(0.2)
    assert (progress.best, progress.best_step, progress.waiting) == (0.2, 5, 0)
    worse = progress.after_validation(0.2)
    assert (worse.best, worse.best_step, worse.waiting) == (0.2, 5, 1), "as good is not better"
