"""Projection: from what a modality's encoder makes to the width of the tower."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor, nn

ProjectionKind = Literal["linear", "norm"]


@final
class Projection(nn.Module):
    """Standardise, then a linear map (as published), perhaps then a layer norm.

    Published encoders give vectors that share a large common part and differ in scale from number to number. Taking mean and
    deviation of a platform's items off first puts the differences between items where a fresh linear map can learn from
    them. Mean and deviation are taken once, before a first training, and move with the weights: equal vectors stay equal on
    every platform.

    Args:
        inputs: width of the encoder's vectors.
        width: of the tower.
        kind: ``"norm"`` adds the layer norm.
    """

    def __init__(self, inputs: int, width: int, kind: ProjectionKind = "linear") -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))
        self.linear = nn.Linear(inputs, width)
        self.norm = nn.LayerNorm(width) if kind == "norm" else nn.Identity()

    def forward(self, vectors_nI: Tensor) -> Tensor:
        """Vectors of the tower's width, (n, D), from the encoder's, (n, I), of any floating type."""
        # vectors that were stored are float32, whatever the type of the weights
        standard_nI = (vectors_nI.to(self.mean.dtype) - self.mean) / self.deviation
        projected_nD: Tensor = self.norm(self.linear(standard_nI))
        return projected_nD

    @torch.no_grad()
    def calibrate(self, vectors_nI: Tensor) -> None:
        """Take mean and deviation from these vectors, (n, I). A number that is the same for all keeps the deviation 1."""
        vectors_nI = vectors_nI.cpu().double()  # not every device has float64
        deviation_I = vectors_nI.std(dim=0, correction=0)
        deviation_I[deviation_I < 1e-6 * vectors_nI.abs().mean(dim=0).clamp(min=1e-6)] = 1.0
        self.mean.copy_(vectors_nI.mean(dim=0))
        self.deviation.copy_(deviation_I)
