"""Nesting: layers whose first numbers depend on the first numbers alone, so that one set of weights serves several widths.

Axes: D width, I and O inputs and outputs of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transrec.errors import SettingsError


@final
@dataclass(frozen=True, slots=True)
class Nesting:
    """The widths that one set of weights serves: m_1 < ... < m_k = D (fMRLRec, arXiv 2409.16627).

    With a single size layers are torch's own, which read everything.

    Attributes:
        sizes: the widths.
    """

    sizes: tuple[int, ...]

    @classmethod
    def of(cls, width: int, nested: Sequence[int] = ()) -> Nesting:
        """Of these sizes, or of the width alone where there are none.

        Raises:
            SettingsError: they do not grow, or do not end with the width.
        """
        sizes = tuple(nested) or (width,)
        if sizes[0] < 1 or any(after <= before for before, after in pairwise(sizes)) or sizes[-1] != width:
            raise SettingsError(
                f"the nested widths {', '.join(map(str, sizes))} do not grow up to the width {width}",
                where="model.items.nested",
                remedy=f"name widths from small to large and end with {width}, or leave them out",
            )
        return cls(sizes)

    @property
    def width(self) -> int:
        """D."""
        return self.sizes[-1]

    @property
    def nested(self) -> tuple[int, ...]:
        """The sizes, where there are several; else none."""
        return self.sizes if len(self.sizes) > 1 else ()

    def ends(self, width: int, *, where: str = "model") -> tuple[int, ...]:
        """Where the blocks of a layer of another width end, in proportion: width m_j / D.

        Args:
            width: of the layer.
            where: the setting that says so, for messages.

        Raises:
            SettingsError: a block would end inside a number.
        """
        odd = [size for size in self.sizes if width * size % self.width]
        if odd:
            raise SettingsError(
                f"{width} cannot be cut in proportion at the nested width {odd[0]} of {self.width}: that would be "
                f"{width * odd[0] / self.width:g}",
                where=where,
                remedy=f"choose a multiple of {self.width // math.gcd(*self.sizes)}, or other nested widths",
            )
        return tuple(width * size // self.width for size in self.sizes)

    def linear(self, inputs: int, outputs: int, *, bias: bool = True, parts: int = 1, where: str = "model") -> nn.Linear:
        """A linear map whose output block j reads the input blocks up to j alone.

        Args:
            inputs: width of what it takes.
            outputs: width of what it gives, of all parts together.
            bias: whether it adds one.
            parts: into how many equal parts the output falls, each of them nested by itself.
            where: the setting that says the widths, for messages.

        Raises:
            SettingsError: a width cannot be cut.
        """
        if not self.nested:
            return nn.Linear(inputs, outputs, bias=bias)
        ends = self.ends(inputs, where=where), self.ends(outputs // parts, where=where)
        return NestedLinear(*ends, bias=bias, parts=parts)

    def norm(self, width: int, *, eps: float = 1e-5, where: str = "model") -> nn.Module:
        """A layer norm over every block by itself."""
        return NestedLayerNorm(self.ends(width, where=where), eps=eps) if self.nested else nn.LayerNorm(width, eps=eps)

    def gate(self) -> nn.Linear:
        """A linear map from D to one number for each block, read from the blocks up to it."""
        ends = tuple(range(1, len(self.sizes) + 1))
        return NestedLinear(self.sizes, ends) if self.nested else nn.Linear(self.width, 1)

    def spread(self, numbers: Tensor) -> Tensor:
        """One number for each block, (..., k), in the places of all numbers of the block, (..., D)."""
        steps = [end - start for start, end in pairwise((0, *self.sizes))]
        each = [numbers[..., place, None].expand(*numbers.shape[:-1], step) for place, step in enumerate(steps)]
        return torch.cat(each, dim=-1) if len(each) > 1 else each[0]


@final
class NestedLinear(nn.Linear):
    """A block lower-triangular map: y_(block j) = W_(block j, :i_j) x_(:i_j) + b_(block j).

    So ``y[:o_j]`` depends on ``x[:i_j]`` alone, and the leading part of weight and bias is the same map of that width
    (fMRLRec, arXiv 2409.16627). What is above the diagonal is in the weight, counts as zero, and has no gradient.

    Args:
        input_ends: i_1 < ... < i_k.
        output_ends: o_1 < ... < o_k.
        bias: whether there is one.
        parts: so many such maps, one below the other, as of queries, keys and values.
    """

    def __init__(self, input_ends: Sequence[int], output_ends: Sequence[int], *, bias: bool = True, parts: int = 1) -> None:
        super().__init__(input_ends[-1], parts * output_ends[-1], bias=bias)
        self.parts = parts
        self.hidden_OI: Tensor
        places_I = torch.arange(input_ends[-1])
        steps = [end - start for start, end in pairwise((0, *output_ends))]
        rows = [(places_I >= end).expand(step, -1) for step, end in zip(steps, input_ends, strict=True)]
        # it follows from the settings, so it is not kept with the weights
        self.register_buffer("hidden_OI", torch.cat(rows).repeat(parts, 1), persistent=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch calls it so
        return F.linear(input, self.weight.masked_fill(self.hidden_OI, 0.0), self.bias)


@final
class NestedLayerNorm(nn.Module):
    """A layer norm over every block by itself, as in the published code of fMRLRec.

    One over all D would make the first numbers depend on the mean and deviation of the last. Weight and bias are in one
    piece, so the leading part of each is that of the smaller width.

    Args:
        ends: of the blocks.
        eps: added to a variance.
    """

    def __init__(self, ends: Sequence[int], *, eps: float = 1e-5) -> None:
        super().__init__()
        self.blocks = tuple(pairwise((0, *ends)))
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(ends[-1]))
        self.bias = nn.Parameter(torch.zeros(ends[-1]))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch calls it so
        """The same shape."""
        normed = [
            F.layer_norm(input[..., start:end], (end - start,), self.weight[start:end], self.bias[start:end], self.eps)
            for start, end in self.blocks
        ]
        return torch.cat(normed, dim=-1)


def leading(tensor: Tensor, shape: Sequence[int], parts: int = 1) -> Tensor:
    """The first numbers along every axis, of each of the parts that lie one behind the other along the first.

    Args:
        tensor: a weight or bias of the larger width.
        shape: what it has at the smaller width, with all parts.
        parts: see :class:`NestedLinear`.
    """
    if not tensor.dim():
        return tensor
    each = tensor.unflatten(0, (parts, -1))
    rest = tuple(slice(size) for size in shape[1:])
    first: Tensor = each[(slice(None), slice(shape[0] // parts), *rest)]
    return first.flatten(0, 1)
