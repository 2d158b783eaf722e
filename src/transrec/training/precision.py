"""Whether a device is good at bfloat16: asked of a GPU, tried on a CPU."""

from __future__ import annotations

import time

import torch

from transrec.training.settings import Precision

SIDE = 256
"""Of the matrices that are multiplied to try it: a few milliseconds on any CPU."""
ROUNDS = 5
FASTER = 2.0
"""How many times faster they have to be multiplied. Seen on one processor: 4 with its matrix unit (AMX), 0.5 and less when
it was told to do without."""


def rounds_to_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Whether a training with this setting computes its forward pass in bfloat16 on this device.

    ``auto`` takes it on GPUs with units for it; those that only imitate it are slower. The answer is the same for every
    run on the device, so that the same training is.
    """
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "bfloat16"


def multiplies_faster_in_bfloat16() -> bool:
    """Whether this CPU multiplies matrices so much faster in bfloat16 that a step in it is worth trying.

    It does not say that a step would be faster: small networks lose more by rounding to and fro than they gain.
    """
    matrices = [torch.ones(SIDE, SIDE, dtype=kind) for kind in (torch.float32, torch.bfloat16)]
    seconds: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for matrix, taken in zip(matrices, seconds, strict=True):  # in turns, so that a busy machine slows both
            begun = time.perf_counter()
            torch.mm(matrix, matrix)
            taken.append(time.perf_counter() - begun)
    return min(seconds[0]) > FASTER * min(seconds[1])
