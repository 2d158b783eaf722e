"""Parity: how far the answers of an ONNX file are from those of PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from transrec.errors import ExportError
from transrec.export.graphs import Graph
from transrec.export.onnx import OnnxFile
from transrec.settings import Settings

TOLERANCE = 1e-4
"""The largest relative difference that rounding in float32 explains, with room."""
SHAPES = ((1, 1), (2, 9), (5, 70))
"""Items or users, and tokens or events, of random inputs; none is what graphs are traced with, and the last are long."""


class Parity(Settings):
    """The largest differences that were found between ONNX and PyTorch."""

    compared: int
    """Vectors that were compared."""
    absolute: float
    """The largest difference of two numbers."""
    relative: float
    """The same, as a share of the root mean square of PyTorch's numbers in the answer where it was found."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Inputs of a graph, and what the model itself makes of the same items or users.

    Attributes:
        inputs: in the graph's order.
        expected: by PyTorch, on the CPU.
    """

    inputs: tuple[Tensor, ...]
    expected: Tensor


@torch.no_grad()
def measured(graph: Graph, file: OnnxFile, real: Sequence[Case] = ()) -> Parity:
    """How far an ONNX file is from PyTorch, on real cases and on random inputs of several shapes.

    Args:
        graph: what the file was made from, in evaluation mode.
        file: the file.
        real: what the model makes of real items or users.

    Raises:
        ExportError: the difference is above :data:`TOLERANCE`, or an answer has another shape.
    """
    generator = torch.Generator().manual_seed(1)
    drawn = [graph.draw(*shape, generator) for shape in SHAPES]
    cases = [*real, *(Case(inputs, graph(*inputs)) for inputs in drawn)]
    absolute = relative = 0.0
    compared = 0
    for case in cases:
        largest, share = difference(case.expected.numpy(), file(case.inputs))
        absolute, relative = max(absolute, largest), max(relative, share)
        compared += len(case.expected)
    if relative > TOLERANCE:
        raise ExportError(
            f"ONNX differs from PyTorch by up to {relative:.1e} of the size of the numbers, {TOLERANCE:.0e} is allowed",
            where=graph.output.name,
            remedy="serve this run with PyTorch, and tell us about it; nothing was written",
        )
    return Parity(compared=compared, absolute=absolute, relative=relative)


def difference(expected: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """The largest difference of two numbers, and that as a share of the root mean square of what is expected.

    A number that is not finite differs infinitely.

    Raises:
        ExportError: the shapes differ.
    """
    if expected.shape != found.shape:
        raise ExportError(f"ONNX answers with the shape {found.shape}, PyTorch with {expected.shape}")
    apart = np.abs(expected.astype(np.float64) - found)
    largest = float(np.where(np.isfinite(apart), apart, np.inf).max(initial=0.0))
    size = float(np.sqrt(np.square(expected.astype(np.float64)).mean())) if expected.size else 0.0
    if largest == 0:
        return 0.0, 0.0
    return largest, largest / size if size > 0 else float("inf")
