"""How much memory a piece of work holds at its peak, and how much is free, on each kind of device."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may use (cgroup v2)."""


def peak_of(work: Callable[[], object], device: torch.device) -> int:
    """The most bytes that some work holds at a time, beyond what is held before it.

    On a CUDA device this is what torch allocates there. Elsewhere it is the sum of the tensors that are alive; what the
    kernels need for themselves in passing is not in it. There the number depends on the work alone, not on the machine.

    Args:
        work: what to do.
        device: where it is done.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    live = LiveBytes()
    with live:
        work()
    return live.peak


def free_bytes(device: torch.device) -> int | None:
    """How many bytes can be allocated on a device now; None where the system does not say."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by torch, for the next tensors
        return int(torch.cuda.mem_get_info(device)[0] + kept)
    if device.type != "cpu" or not MEMINFO.exists():
        return None
    entries = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
    available = 1024 * int(entries["MemAvailable"].split()[0])
    container = _left_in_container()
    return available if container is None else min(available, container)


def _left_in_container() -> int | None:
    """What is left of the bytes that this container may use; None outside of one, or if it may use all."""
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        parts = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    # files in the page cache count as used, and make room when they have to
    return max(0, int(limit) - int(used) + int(parts.get("inactive_file", 0)))


@final
class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that are made inside, for as long as anything holds them.

    Attributes:
        now: bytes of those that are alive.
        peak: the most at a time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known = set[int]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation of torch and count what it has made."""
        made = func(*args, **(kwargs or {}))
        given = {id(leaf.untyped_storage()) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._count(leaf, given)
        return made

    def _count(self, tensor: Tensor, given: set[int]) -> None:
        """Count a tensor's memory, unless it is counted already or is that of something given."""
        storage = tensor.untyped_storage()
        place, size = id(storage), storage.nbytes()
        if place in given or place in self._known:
            return
        self._known.add(place)
        self.now += size
        self.peak = max(self.peak, self.now)
        # a storage keeps its Python object for as long as anything holds it
        weakref.finalize(storage, self._forget, place, size).atexit = False

    def _forget(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.now -= size
