"""Dropping: a model that leaves some of its item encoders out."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch

from transrec.errors import ModelError
from transrec.items.encoder import ModalityEncoder
from transrec.items.tower import ItemEncoder
from transrec.model import TransRec, build_scorer


@torch.no_grad()
def without(model: TransRec, names: Collection[str]) -> TransRec:
    """The model without some of its item encoders: an item is what the others make of it, as if it did not have these.

    Encoders, user tower and prior are shared with the model; projections, fusion and scorer are copies.

    Args:
        model: stays as it is.
        names: of the encoders that are left out.

    Raises:
        ModelError: there is no such encoder, or none would be left.
    """
    there = model.items.preparers()
    encoders = {name: encoder for name, encoder in there.items() if name not in names}
    unknown = sorted(set(names) - set(there))
    if unknown or not encoders:
        told = f"there is no item encoder {unknown[0]}" if unknown else "no item encoder would be left"
        raise ModelError(
            f"{told}: the model reads {', '.join(there)}", where="rules", remedy="drop some of those that are there"
        )
    return over(model, encoders)


def over(model: TransRec, encoders: Mapping[str, ModalityEncoder]) -> TransRec:
    """The model over other item encoders: what the two have in common is as in the model, the rest is freshly drawn."""
    settings = model.settings.reading(tuple(encoders))
    items = ItemEncoder(encoders, settings.items)
    other = TransRec(items, model.users, build_scorer(settings, items, model.users), settings, model.prior)
    own, given = other.to(model.device).state_dict(), model.state_dict()
    other.load_state_dict({name: given.get(name, tensor) for name, tensor in own.items()})
    return other.train(model.training)
