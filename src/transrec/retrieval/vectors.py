"""Encoders that do not learn run once in an item's life: their vectors take the place of the content."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from transrec.data.batches import ItemPart
from transrec.data.store import ContentStore, Progress
from transrec.items.encoder import ModalityEncoder
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
    for name, encoder in model.items.encoders.items():
        assert isinstance(encoder, ModalityEncoder)
        if name not in store.parts or (training and any(p.requires_grad for p in encoder.parameters())):
            continue
        run = _EncoderRun(encoder, name, device, int((store.parts[name].slots_V >= 0).sum()), progress)
        key = f"{type(encoder).__module__}.{type(encoder).__qualname__} {assets_digest(encoder)} {weights_digest(encoder)}"
        store = store.with_vectors(name, key, folder, run.fill, encoder.width)
    return store


class _EncoderRun:
    """One encoder over all of a catalog's content."""

    def __init__(
        self, encoder: ModalityEncoder, name: str, device: torch.device, total: int, progress: Progress | None
    ) -> None:
        self._encoder, self._name, self._device, self._total, self._progress = encoder, name, device, total, progress

    @torch.no_grad()
    def fill(self, parts: Iterator[ItemPart], vectors: np.ndarray) -> None:
        """Fill the array of shape (n, width) from the parts in order."""
        was_training, done = self._encoder.training, 0
        self._encoder.to(self._device).eval()
        for part in parts:
            content = part.to(self._device).content
            assert not isinstance(content, torch.Tensor)
            made = self._encoder(content).float().cpu().numpy()
            vectors[done : done + len(made)] = made
            done += len(made)
            if self._progress:
                self._progress(f"encoding {self._name}", done, self._total)
        self._encoder.train(was_training)


def assets_digest(encoder: ModalityEncoder) -> str:
    """32 hexadecimal digits that change with what an encoder is made from besides weights: its settings, its tokenizer."""
    digest = hashlib.blake2b(digest_size=16)
    with tempfile.TemporaryDirectory() as folder:
        encoder.save_assets(Path(folder))
        for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            digest.update(str(path.relative_to(folder)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def weights_digest(module: nn.Module) -> str:
    """32 hexadecimal digits that change when any parameter or buffer does."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
