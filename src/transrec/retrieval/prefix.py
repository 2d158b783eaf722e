"""Frozen lower blocks run once in an item's life: the activations that leave them take the place of the content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from transrec.data.ragged import Ragged
from transrec.data.room import free_bytes, readable_bytes
from transrec.data.store import ContentStore, Derivation, Progress, Say, StoredPart
from transrec.items.encoder import ModalityEncoder, Prepared
from transrec.model import TransRec
from transrec.retrieval.vectors import assets_digest, on_device, resting, weights_digest

StateType = Literal["float32", "bfloat16", "float16"]

TRIED = 4
"""Items with which it is tried whether an encoder can be cut, besides the shortest and the longest."""
TOLERANCE = 1e-5
"""By how much vectors may differ, as a share of their largest number, when the encoder runs in two halves."""
ACCELERATOR_TOLERANCE = 1e-3
"""The same where matrix products are rounded to TensorFloat32; a wrong cut is off by far more."""
IN_MEMORY = 2 << 30
"""Bytes of activations that are kept where a dataset has no folder."""
SPARE = 1 << 30
"""Bytes that are left free on a disk."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where and how activations are kept, and who is told.

    Attributes:
        folder: where to; in memory when None.
        type: in which type. Types of 16 bits take half the room and make training approximate.
        device: where the encoders run meanwhile; where the model is when None.
        progress: told how far it is.
        say: told in a line what is going to be kept, or why something cannot be.
    """

    folder: Path | None = None
    type: StateType = "float32"
    device: torch.device | None = None
    progress: Progress | None = None
    say: Say | None = None


def with_states(model: TransRec, store: ContentStore, keeping: Keeping) -> ContentStore:
    """The store with modalities replaced by what the frozen lower blocks of their encoders make of them.

    Of an encoder whose first blocks, and all that is before them, learn nothing, those parts are a fixed function of the
    item: each item passes through them once, and training starts where they end. In float32 this changes no number but by
    rounding. The activations are kept by content, by what the encoder is and by the weights of the frozen part.

    What an encoder of another kind does is left to run whole, and it is said why: whether it can be run in two halves is
    tried on a few items.

    Args:
        model: tuned: ``requires_grad`` says what learns, for as long as the store is used.
        store: with prepared content.
        keeping: where and how.
    """
    device = keeping.device or model.device
    for name, encoder in model.items.preparers().items():
        part = store.parts.get(name)
        below = resting_blocks(encoder)
        if part is None or part.final or part.below or not below or not len(part):
            continue
        with resting(encoder, device):
            content = part.take(_tried(part))
            problem = why_not(encoder, content, below, device)
            derivation = _derivation(name, encoder, below, keeping, device)
            if problem is None and not store.holds(name, derivation, keeping.folder):
                size = _size(part, content, derivation.make(content))
                problem = _no_room(size, keeping.folder)
                if problem is None and keeping.say:
                    keeping.say(
                        f"keeping what {below} frozen blocks make of {len(part):,} {name} contents: {readable_bytes(size)}"
                    )
            if problem is None:
                store = store.with_derived(name, derivation, keeping.folder, progress=keeping.progress)
            elif keeping.say:
                keeping.say(f"the frozen blocks of the {name} encoder run at every step: {problem}")
    return store


def resting_blocks(encoder: ModalityEncoder) -> int:
    """How many blocks at the input of an encoder learn nothing; 0 when nothing at all learns, or nothing can be kept."""
    if encoder.varies or not any(p.requires_grad for p in encoder.parameters()):
        return 0
    below = 0
    for block in encoder.blocks():
        if any(p.requires_grad for p in block.parameters()):
            break
        below += 1
    return below


def why_not(encoder: ModalityEncoder, content: Prepared, below: int, device: torch.device) -> str | None:
    """Why an encoder cannot run in two halves, tried on some content; None when it can.

    Args:
        encoder: resting, on the device.
        content: of a few items, on the CPU.
        below: where to cut.
        device: where it runs.
    """
    there: dict[str, Tensor | Ragged] = {name: values.to(device) for name, values in content.items()}
    try:
        with torch.enable_grad():
            lowered = encoder.lower(there, below)
            learning = _learning(encoder, lowered)
        if learning:
            return f"{learning} learns, and they depend on it"
        whole, halves = encoder(there), encoder.upper(lowered, below)
    except Exception as error:  # a network that we know nothing of may raise anything when it is cut
        return f"it cannot be run in two halves ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    tolerance = TOLERANCE if device.type == "cpu" else ACCELERATOR_TOLERANCE
    if whole.shape == halves.shape and torch.allclose(halves, whole, rtol=0.0, atol=tolerance * float(whole.abs().max())):
        return None
    return "run in two halves, it makes other vectors"


def _derivation(name: str, encoder: ModalityEncoder, below: int, keeping: Keeping, device: torch.device) -> Derivation:
    dtype = getattr(torch, keeping.type)

    def lower(content: Prepared) -> Prepared:
        lowered = encoder.lower(content, below)
        return {own: values if own in content else _as(values, dtype) for own, values in lowered.items()}

    key = f"{assets_digest(encoder)} {weights_digest(_below(encoder, below))} {keeping.type}"
    return Derivation(f"running the frozen blocks of {name}", key, on_device(lower, device), below)


def _below(encoder: ModalityEncoder, below: int) -> dict[str, Tensor]:
    """The weights of the frozen part: all that does not learn and is not in or behind the learning blocks."""
    above = {id(tensor) for block in encoder.blocks()[below:] for tensor in [*block.parameters(), *block.buffers()]}
    tensors = {**dict(encoder.named_parameters()), **dict(encoder.named_buffers())}
    return {name: tensor for name, tensor in tensors.items() if not tensor.requires_grad and id(tensor) not in above}


def _learning(encoder: ModalityEncoder, lowered: Prepared) -> str | None:
    """A parameter that learns and takes part in what is to be kept."""
    tensors = [values.values if isinstance(values, Ragged) else values for values in lowered.values()]
    total = sum((tensor.sum() for tensor in tensors if tensor.requires_grad), start=torch.zeros(()))
    if not total.requires_grad:
        return None
    named = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    return next(name for name, gradient in zip(named, gradients, strict=True) if gradient is not None)


def _as(values: Tensor | Ragged, dtype: torch.dtype) -> Tensor | Ragged:
    """Activations in another type; whole numbers stay what they are."""
    if isinstance(values, Ragged):
        return Ragged(_floating(values.values, dtype), values.lengths_n, values.longest)
    return _floating(values, dtype)


def _floating(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


# ---- room -------------------------------------------------------------------------------------------------------------


def _tried(part: StoredPart) -> np.ndarray:
    """Slots from all over the part, with the shortest and the longest."""
    sizes = part.sizes(np.arange(len(part)))
    spread = np.linspace(0, len(part) - 1, TRIED).astype(np.int64)
    return np.unique([*spread, sizes.argmin(), sizes.argmax()])


def _size(part: StoredPart, content: Prepared, made: Prepared) -> int:
    """Bytes that the activations of the whole part will take, from those of a few items."""
    everything = int(part.sizes(np.arange(len(part))).sum())
    bytes_ = 0.0
    for name, values in made.items():
        if values is content.get(name):
            continue
        if isinstance(values, Ragged):
            here = sum(int(v.lengths_n.sum()) for v in content.values() if isinstance(v, Ragged)) or len(values.values)
            bytes_ += values.values.nbytes * everything / here
        else:
            bytes_ += values.nbytes * len(part) / len(values)
    return round(bytes_)


def _no_room(size: int, folder: Path | None) -> str | None:
    if folder is None:
        return None if size <= IN_MEMORY else f"what they make takes {readable_bytes(size)}, and the dataset has no folder"
    free = free_bytes(folder)
    if size + SPARE <= free:
        return None
    return f"what they make takes {readable_bytes(size)}, and the disk has {readable_bytes(free)} left"
