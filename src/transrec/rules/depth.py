"""Depth: how many of an encoder's blocks stand above each of its parameters."""

from __future__ import annotations

from collections.abc import Mapping

from transrec.errors import ModelError
from transrec.items.encoder import ModalityEncoder
from transrec.model import TransRec
from transrec.rules.sources import is_published


def blocks_above(encoder: ModalityEncoder, name: str, *, purpose: str) -> Mapping[str, int]:
    """For every parameter of an encoder, how many of its blocks are nearer to the output.

    Zero for the top block and what is registered after it, such as a last norm or a pooling; the number of blocks for what
    is registered before the first, such as embeddings.

    Args:
        encoder: its ``blocks()`` go from input to output.
        name: under which it stands in the item tower, for the error.
        purpose: what the depth is wanted for, for the error.

    Raises:
        ModelError: it has parameters and does not say what its blocks are.
    """
    order = {id(parameter): place for place, (_, parameter) in enumerate(encoder.named_parameters())}
    blocks = list(encoder.blocks())
    if order and not blocks:
        raise ModelError(
            f"the {name} encoder does not say what its blocks are, which {purpose} needs",
            remedy="choose another way to tune it, or give the encoder a blocks() method",
        )
    starts = [min(order[id(p)] for p in block.parameters()) for block in blocks]
    inside = {id(p): len(blocks) - 1 - place for place, block in enumerate(blocks) for p in block.parameters()}
    return {
        own: inside.get(id(parameter), sum(start > order[id(parameter)] for start in starts))
        for own, parameter in encoder.named_parameters()
    }


def learning_depths(model: TransRec, *, purpose: str) -> Mapping[str, int]:
    """How many blocks stand above each parameter that learns and came with a backbone, by its name in the model.

    Raises:
        ModelError: an encoder that learns does not say what its blocks are.
    """
    depths: dict[str, int] = {}
    for name, encoder in model.items.encoders.items():
        assert isinstance(encoder, ModalityEncoder)
        learning = [own for own, p in encoder.named_parameters() if p.requires_grad and is_published(encoder, name, own)]
        if learning:
            above = blocks_above(encoder, name, purpose=purpose)
            depths |= {f"items.encoders.{name}.{own}": above[own] for own in learning}
    return depths
