"""Encoding some items at a time, their activations made again in the backward pass: memory does not grow with the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from transrec.data.ragged import Ragged


def in_chunks(run: Callable[[Mapping[str, Any]], Tensor], content: Mapping[str, Any], at_once: int) -> Tensor:
    """What ``run`` makes of some items, at most ``at_once`` of them at a time.

    Only the vectors are kept. In the backward pass each chunk is run once more, with the same draws of dropout, and its
    gradients are taken before the next one is; so the memory is that of one chunk, for one forward pass more. But for the
    draws of dropout, loss and gradients are those of all items at a time, also of a softmax over all of them. This is what
    Gao et al. 2021 (arXiv 2101.06983) do for contrastive learning, by way of Chen et al. 2016 (arXiv 1604.06174).

    Args:
        run: vectors of shape (n, width) from content of n items, each by itself.
        content: of n items; see :data:`~transrec.items.encoder.Prepared`.
        at_once: how many.

    Returns:
        vectors of shape (n, width), in the items' order.
    """
    count = len(next(iter(content.values())))
    if count <= at_once:
        return run(content)
    ragged = [values for values in content.values() if isinstance(values, Ragged)]
    device = (ragged[0].values if ragged else next(iter(content.values()))).device
    # items of about one length go together, so that a chunk is padded as little as can be
    order = ragged[0].lengths_n.argsort(stable=True) if ragged else torch.arange(count, device=device)
    seen_by_checkpoint = torch.empty(0, device=device)  # it reads off its tensors whose random state to put back
    made = []
    for index in order.split(at_once):
        made.append(checkpoint(_alone(run, content, index), seen_by_checkpoint, use_reentrant=False))
    return torch.cat(made)[order.argsort()]


def taken(values: Tensor | Ragged, index: Tensor) -> Tensor | Ragged:
    """The entries of some items."""
    return values.take(index) if isinstance(values, Ragged) else values[index]


def _alone(
    run: Callable[[Mapping[str, Any]], Tensor], content: Mapping[str, Any], index: Tensor
) -> Callable[[Tensor], Tensor]:
    """Runs these items; their part of the content is taken out anew each time, so that no copy of it is kept meanwhile."""
    return lambda _: run({name: taken(values, index) for name, values in content.items()})
