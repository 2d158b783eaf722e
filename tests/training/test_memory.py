"""Memory: every byte that is alive is counted once, and what is free is what the system and the container allow."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from transrec.training import memory
from transrec.training.memory import LiveBytes, free_bytes, peak_of

CPU = torch.device("cpu")
MIB = 1 << 20


def test_tensors_count_for_as_long_as_anything_holds_them() -> None:
    with LiveBytes() as live:
        kept = [torch.zeros(1000) for _ in range(3)]
        assert live.now == 12_000
        view = kept[0].view(10, 100)[2:]
        kept.pop()
        assert live.now == 8_000, "a view has no memory of its own"
        del kept
        assert live.now == 4_000, "a view holds what it is a view of"
        for _ in range(10):
            view = view + 1
    assert live.now == 3_200
    assert live.peak == 12_000


def test_what_was_there_before_does_not_count() -> None:
    there = torch.zeros(1000)
    with LiveBytes() as live:
        there.add_(1)
        there.view(10, 100).mul_(2)
        there.detach()
    assert live.peak == 0


def test_a_backward_pass_counts_what_is_saved_for_it_and_the_gradients() -> None:
    layer, entering = nn.Linear(100, 100), torch.randn(1000, 100)

    def step() -> None:
        layer(entering).relu().sum().backward()

    peak = peak_of(step, CPU)
    activations, gradients = 2 * 1000 * 100 * 4, sum(4 * p.numel() for p in layer.parameters())
    assert activations + gradients <= peak + 1000 * 100 * 4 <= 3 * activations
    with LiveBytes() as live:
        step()
        assert live.now == 0, "gradients were there already"
        layer.zero_grad()
    assert peak == peak_of(step, CPU), "it is the same every time"


def test_chunks_that_are_run_again_in_the_backward_pass_are_seen() -> None:
    network, entering = nn.Sequential(*(nn.Sequential(nn.Linear(50, 50), nn.GELU()) for _ in range(8))), torch.randn(800, 50)

    def step(at_once: int) -> Tensor:
        made = torch.cat([checkpoint(network, part, use_reentrant=False) for part in entering.split(at_once)])
        made.sum().backward()
        return made

    step(800)  # makes the gradients
    whole, halves, tenths = (peak_of(lambda n=n: step(n), CPU) for n in (800, 400, 80))
    assert whole > 1.6 * halves > 3 * tenths
    assert tenths > 8 * 80 * 50 * 4, "one chunk's activations"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_it_is_what_torch_allocates() -> None:
    device = torch.device("cuda")
    assert peak_of(lambda: torch.zeros(4 * MIB, device=device).sum(), device) >= 16 * MIB
    free = free_bytes(device)
    assert free is not None and 16 * MIB < free <= torch.cuda.get_device_properties(device).total_memory


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A system with 8 GiB free, outside of any container."""
    (tmp_path / "meminfo").write_text(
        f"MemTotal: {16 * MIB} kB\nMemFree: {MIB} kB\nMemAvailable: {8 * MIB} kB\nHugePages_Total: 0\n"
    )
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    return tmp_path


def container(folder: Path, limit: str) -> None:
    """A container that uses 3 GiB, 1 GiB of them files that can be let go."""
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{3 << 30}\n")
    (folder / "memory.stat").write_text(f"anon {2 << 30}\ninactive_file {1 << 30}\n")


def test_free_is_what_the_system_has(system: Path) -> None:
    assert free_bytes(CPU) == 8 << 30


@pytest.mark.parametrize(
    ("limit", "left"), [(str(6 << 30), 4 << 30), (str(1 << 30), 0), (str(64 << 30), 8 << 30), ("max", 8 << 30)]
)
def test_free_is_no_more_than_the_container_may_use(system: Path, limit: str, left: int) -> None:
    container(system, limit)
    assert free_bytes(CPU) == left


def test_where_the_system_does_not_say_nothing_is_claimed(system: Path) -> None:
    (system / "meminfo").unlink()
    assert free_bytes(CPU) is None
    assert free_bytes(torch.device("mps")) is None
