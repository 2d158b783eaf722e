"""What a piece of work costs: seconds on the clock, and the most memory that was held meanwhile."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

if sys.platform != "win32":
    import resource

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took.

    Attributes:
        seconds: on the clock.
        memory: bytes at the peak, or None where the system does not say.
        memory_of: what these bytes are.
    """

    seconds: float
    memory: int | None
    memory_of: str


def with_cost(work: Callable[[], Result], device: torch.device) -> tuple[Result, Cost]:
    """Do something and say what it took.

    On a CUDA device the memory is what torch allocated there. Elsewhere it is the resident memory of the whole process,
    libraries and all; on Linux the peak is counted from the beginning of the work, else from that of the process.

    Args:
        work: what to do.
        device: where it is done.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    fresh = device.type != "cuda" and _peak_forgotten()
    began = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        seconds = time.perf_counter() - began
        return result, Cost(seconds, torch.cuda.max_memory_allocated(device), "allocated on the device")
    seconds = time.perf_counter() - began
    since = "while it ran" if fresh else "since the process began"
    return result, Cost(seconds, _resident_peak(), f"resident memory of the process {since}")


def _peak_forgotten() -> bool:
    """Let the system forget the peak so far, where it can (Linux, proc(5): clear_refs); whether it did."""
    _give_back_freed()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _give_back_freed() -> None:
    """Let the C library return what it keeps of freed memory, where it can (glibc): it belongs to earlier work."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _resident_peak() -> int | None:
    if sys.platform == "win32":
        return None
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage also counts what the process was before it became this program: a copy of the one that started it
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
