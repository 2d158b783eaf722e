"""The same training step with fewer of the library's tricks, from the same batch: what each rung of the ladder computes.

The lower rungs run the text encoder by themselves, as one batch padded to the longest text that is allowed, and hand its
vectors to the model as the content of the items. All that comes after the encoder is the library's own on every rung, and so
is the batch. The mathematics is the same: without dropout every rung has the same loss and gradients, but for rounding.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import torch
from benchmarks.prefix import RUNGS, own_entry, whole
from torch import Tensor

from transrec.data.batches import ItemPart, SequenceBatch
from transrec.items.text import TextEncoder
from transrec.model import TransRec
from transrec.objectives import Objective

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296", "MALLOC_TOP_PAD_": "67108864"}

EVERY_OCCURRENCE, EVERY_ITEM, EVERY_CONTENT, BUCKETS, STORE = RUNGS


def keep_freed_memory(module: str) -> None:
    """Start the program anew with an allocator that keeps freed memory, unless it runs with that already."""
    if not set(ALLOCATOR) <= set(os.environ):
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], {**os.environ, **ALLOCATOR})


def loss_on(rung: str, model: TransRec, objective: Objective, batch: SequenceBatch) -> Tensor:
    """The loss of a batch, computed as on this rung.

    Args:
        rung: which tricks there are.
        model: reads texts alone.
        objective: predicts next items from the batch.
        batch: from a store of tokens; for the last rung, from one of what frozen layers make of them.
    """
    if rung in (EVERY_OCCURRENCE, EVERY_ITEM, EVERY_CONTENT):
        vectors = _padded(rung, model.items.preparers()["text"], batch)
        batch = replace(batch, items=replace(batch.items, parts={"text": vectors}))
    total: Tensor = objective(model, model(batch), batch).total
    return total


def _padded(rung: str, encoder: torch.nn.Module, batch: SequenceBatch) -> ItemPart:
    """The items of a batch with the vectors that the encoder makes of them in one padded batch."""
    assert isinstance(encoder, TextEncoder)
    longest = encoder.settings.max_length
    part = batch.items.parts["text"]
    assert not isinstance(part.content, Tensor)
    if rung == EVERY_CONTENT:
        return replace(part, content=whole(encoder, part.content["tokens"], longest))
    each = part.content["tokens"].take(own_entry(part))
    if rung == EVERY_ITEM:
        return replace(part, content=whole(encoder, each, longest), inverse_n=None)
    place_U = torch.full((batch.items.size,), -1)
    place_U[part.index_n] = torch.arange(len(part.index_n))
    place_O = place_U[occurrences(batch)]
    place_O = place_O[place_O >= 0]  # the others have no text
    vectors_OC = whole(encoder, each.take(place_O), longest)
    # an item's occurrences are all alike: their mean is its vector, and each of them has a gradient
    sums_nC = vectors_OC.new_zeros(len(each), vectors_OC.shape[1]).index_add(0, place_O, vectors_OC)
    return replace(part, content=sums_nC / place_O.bincount(minlength=len(each))[:, None], inverse_n=None)


def occurrences(batch: SequenceBatch) -> Tensor:
    """The items of all events of a batch, as indices below U: the histories, and the last target of each."""
    last_B = batch.target_mask_BT.sum(dim=1) - 1
    return torch.cat([batch.history_BL[batch.mask_BL], batch.targets_BT.gather(1, last_B[:, None])[:, 0]])
