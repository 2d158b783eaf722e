"""The allocator of a process that computes with large arrays: memory that is freed is kept for the next array."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping

# parameters of glibc's mallopt(3), from malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3

NEVER = -1
MOST = 1 << 30
"""Bytes from which on an array still gets pages of its own, which go back to the system when it is freed."""
MOST_ONCE = 32 << 20
"""The same where glibc is older than 2.35 and takes no more."""
PAD = 64 << 20
"""Bytes by which the heap grows at least."""


def keep_freed_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Let the C library keep what it frees, instead of giving it back to the system and asking for it again.

    A training step on a CPU allocates and frees the same large arrays over and over. By default glibc takes each of them
    from the system and gives it back, and the system fills it with zeros each time. ``benchmarks/allocator.py`` says what
    that costs. The process then holds, until it ends, about as much memory as it needed at its peak.

    It is done for glibc alone, and not where the environment says something about the allocator already: what a person
    has chosen there counts.

    Args:
        environment: of the process.

    Returns:
        whether it was done.
    """
    chosen = any(name.startswith("MALLOC_") or name == "LD_PRELOAD" for name in environment)
    if chosen or "glibc.malloc" in environment.get("GLIBC_TUNABLES", "") or os.name != "posix":
        return False
    library = ctypes.CDLL(None)
    if not (hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")):
        return False
    mallopt = library.mallopt
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    taken = mallopt(_MMAP_THRESHOLD, MOST) or mallopt(_MMAP_THRESHOLD, MOST_ONCE)
    return bool(taken and mallopt(_TRIM_THRESHOLD, NEVER) and mallopt(_TOP_PAD, PAD))
