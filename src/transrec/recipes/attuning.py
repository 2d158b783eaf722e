"""Attuning: a user encoder that asks for it looks at all items of the platforms, as the model sees them, before an epoch."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch

from transrec.model import TransRec
from transrec.recipes.platform import Platform
from transrec.retrieval.encoding import encode_items


@torch.no_grad()
def attune(platforms: Sequence[Platform], seed: int, model: TransRec, epoch: int) -> None:
    """Show the user encoder every item, where it attunes; see :meth:`~transrec.users.encoder.UserEncoder.attune`.

    What comes of it depends on the weights, the seed and the epoch alone, so a resumed training goes on as it would have.
    Where encoders learn, it takes a pass over the catalog.

    Args:
        platforms: encoded; all of them.
        seed: of the training.
        model: whose user encoder.
        epoch: which one begins.
    """
    if not model.users.attunes:
        return
    kept_VW = torch.cat([encode_items(model, platform.store) for platform in platforms])
    generator = torch.Generator().manual_seed(zlib.crc32(f"attune {seed} {epoch}".encode()))
    model.users.attune(kept_VW, generator=generator)
