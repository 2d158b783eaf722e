"""The environment: the versions and the machine that a report was made with."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import torch

LIBRARIES = ("transrec", "torch", "transformers", "accelerate", "numpy", "polars", "pylance", "scipy", "matplotlib")


def environment() -> dict[str, str]:
    """By name, what it is: versions of what counts, the system, processors and accelerators."""
    found = {"Python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    found["system"] = platform.platform(terse=True)
    found["processor"] = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads of torch"
    if torch.cuda.is_available():
        found["accelerator"] = torch.cuda.get_device_name()
    elif torch.backends.mps.is_available():
        found["accelerator"] = "Apple MPS"
    else:
        found["accelerator"] = "none"
    return found
