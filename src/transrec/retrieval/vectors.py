"""Encoders that do not learn run once in an item's life: their vectors take the place of the content."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from transrec.data.ragged import Ragged, moved
from transrec.data.store import ContentStore, Derivation, Progress
from transrec.items.encoder import ModalityEncoder, Prepared
from transrec.model import TransRec


def with_vectors(
    model: TransRec,
    store: ContentStore,
    folder: Path | None,
    *,
    training: bool = False,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> ContentStore:
    """The store with modalities replaced by the vectors that their encoders make of them.

    A fixed encoder is a fixed function of the item (its dropout and BatchNorm are in evaluation mode), so this changes no
    number, only the time: an item passes through it once, and on disk the vectors outlive the process.

    Args:
        model: its modality encoders.
        store: with prepared content.
        folder: where the vectors are kept, by content and weights; in memory when None.
        training: whether encoders that learn something are to be left out; else all are taken as they are now.
        device: where to run the encoders; where the model is when None.
        progress: told how far it is.
    """
    device = device or model.device
    for name, encoder in model.items.preparers().items():
        part = store.parts.get(name)
        if part is None or part.final or (training and any(p.requires_grad for p in encoder.parameters())):
            continue

        def encode(content: Prepared, encoder: ModalityEncoder = encoder, below: int = part.below) -> Prepared:
            return {"vectors": (encoder.upper(content, below) if below else encoder(content)).float()}

        key = f"{assets_digest(encoder)} {weights_digest(encoder)}"
        with resting(encoder, device):
            derivation = Derivation(f"encoding {name}", key, on_device(encode, device))
            store = store.with_derived(name, derivation, folder, progress=progress)
    return store


@contextmanager
def resting(encoder: ModalityEncoder, device: torch.device) -> Iterator[None]:
    """An encoder on this device, in evaluation mode and without gradients for as long as the context lasts."""
    was_training = encoder.training
    encoder.to(device).eval()
    try:
        with torch.no_grad():
            yield
    finally:
        encoder.train(was_training)


def on_device(make: Callable[[Prepared], Prepared], device: torch.device) -> Callable[[Prepared], Prepared]:
    """The same function of content that is on the CPU, its result brought back there; what it passes on stays the same."""

    def wrapped(content: Prepared) -> Prepared:
        there = {name: _to(values, device) for name, values in content.items()}
        passed = {id(there[name]): values for name, values in content.items()}
        made = make(there)
        return {
            name: passed[id(values)] if id(values) in passed else _to(values, torch.device("cpu"))
            for name, values in made.items()
        }

    return wrapped


def _to(values: Tensor | Ragged, device: torch.device) -> Any:
    return moved(values, device) if isinstance(values, Tensor) else values.to(device)


def assets_digest(encoder: ModalityEncoder) -> str:
    """32 hexadecimal digits that change with what an encoder is besides weights: class, tokenizer, settings that matter."""
    digest = hashlib.blake2b(f"{type(encoder).__module__}.{type(encoder).__qualname__}".encode(), digest_size=16)
    with tempfile.TemporaryDirectory() as folder:
        encoder.save_identity(Path(folder))
        for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            digest.update(str(path.relative_to(folder)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def weights_digest(weights: nn.Module | Mapping[str, Tensor]) -> str:
    """32 hexadecimal digits that change when any of these tensors does; of a module: any parameter or buffer."""
    tensors = weights.state_dict() if isinstance(weights, nn.Module) else weights
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
