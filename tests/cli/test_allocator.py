"""The allocator: freed memory is kept, on glibc, unless the environment has chosen."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from transrec import cli
from transrec.cli.allocator import keep_freed_memory

GLIBC = os.name == "posix" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")

FAULTS = """
import resource, sys
from transrec.cli.allocator import keep_freed_memory
done = keep_freed_memory() if sys.argv[1] == "kept" else None
len(bytearray(64 << 20))
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    len(bytearray(64 << 20).replace(b"a", b"b"))
print(done, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(side: str) -> tuple[str, int]:
    """Whether it was done, and the pages that the system had to give while memory was taken and freed."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "LD_PRELOAD"))}
    done = subprocess.run([sys.executable, "-c", FAULTS, side], capture_output=True, text=True, check=True, env=bare)
    whether, count = done.stdout.split()
    return whether, int(count)


@pytest.mark.skipif(not GLIBC, reason="for glibc alone")
def test_memory_that_is_freed_is_used_again() -> None:
    _, given_anew = faults("as it is")
    done, kept = faults("kept")
    assert done == "True"
    assert 4 * kept < given_anew, "of 640 MB that were asked for, nearly all had been had before"


@pytest.mark.parametrize(
    "environment",
    [
        {"MALLOC_TRIM_THRESHOLD_": "131072"},
        {"MALLOC_ARENA_MAX": "2"},
        {"LD_PRELOAD": "libjemalloc.so.2"},
        {"GLIBC_TUNABLES": "glibc.rtld.nns=4:glibc.malloc.trim_threshold=128"},
    ],
)
def test_what_the_environment_has_chosen_counts(environment: dict[str, str]) -> None:
    assert not keep_freed_memory(environment)


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not keep_freed_memory({})


def test_the_command_line_does_it_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    monkeypatch.setattr(cli, "keep_freed_memory", lambda: done.append("memory"))
    monkeypatch.setattr(cli, "app", lambda _: done.append("verb"))
    cli.main()
    assert done == ["memory", "verb"]
