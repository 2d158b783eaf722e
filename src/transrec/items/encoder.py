"""ModalityEncoder: the contract between an item's raw content and a vector; the class people subclass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from torch import Tensor, nn

from transrec.data.catalog import Item
from transrec.errors import ModelError

Prepared = Mapping[str, Tensor]
"""Content made ready for an encoder: named tensors that share their first axis, one entry an item."""


class ModalityEncoder(nn.Module, ABC):
    """Turns one modality of items into vectors.

    ``prepare`` runs on the CPU, once in an item's life, and its result is kept: it must depend on the item and on
    ``preparation_key`` alone. ``forward`` runs on the device, on every batch.

    Attributes:
        modality: which content it reads: ``"text"``, ``"image"``, the name of a given vector, or ``"identity"``.
        width: the width of the vectors that ``forward`` returns.
    """

    modality: str
    width: int

    def reads(self, item: Item) -> bool:
        """Whether this encoder can make something of the item."""
        return item.has(self.modality)

    @abstractmethod
    def prepare(self, items: Sequence[Item]) -> Prepared:
        """Content made ready: tensors of shape (n, ...) whose further axes do not depend on the items.

        Use small types (int32 token ids, uint8 pixels): what this returns is stored for the whole catalog.

        Raises:
            DataError: the content of an item cannot be read; the message names the item.
        """

    @abstractmethod
    def forward(self, prepared: Prepared) -> Tensor:
        """Vectors of shape (n, width). In evaluation mode an item's vector does not depend on the other items."""

    @abstractmethod
    def preparation_key(self) -> str:
        """A text that changes whenever ``prepare`` would return something else for the same item."""

    def blocks(self) -> Sequence[nn.Module]:
        """The blocks of the network from input to output, for ``--tune top:N``; empty when it cannot be split.

        What is registered before the first block learns only under ``full``; what is registered after the last block
        learns with the top block.
        """
        return ()

    @abstractmethod
    def save_assets(self, folder: Path) -> None:
        """Write what :meth:`from_assets` needs (configuration, tokenizer, processor), without the weights."""

    @classmethod
    @abstractmethod
    def from_assets(cls, folder: Path) -> Self:
        """Rebuild the encoder from :meth:`save_assets`; the weights are loaded afterwards by the caller."""

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> Self:
        """Build the encoder from settings alone: what ``custom_options`` holds for its modality, as texts.

        An encoder that people name by its import path on the command line or in a settings file defines this; one that is
        put together in Python need not.

        Raises:
            ModelError: it does not define this, or an option cannot be used.
        """
        raise ModelError(
            f"{cls.__name__} cannot be built from settings" + (f" such as {dict(options)}" if options else ""),
            where=f"{cls.__module__}:{cls.__qualname__}",
            remedy="give the class a classmethod from_options(options), or build it in Python and pass it to ItemEncoder",
        )

    def train(self, mode: bool = True) -> Self:
        """Set the training mode; parts that learn nothing, and every BatchNorm, stay in evaluation mode.

        Otherwise frozen parts would still move their BatchNorm statistics and drop activations, and an item's vector
        would depend on which other items are in the batch.
        """
        super().train(mode)
        if mode:
            for module in self.modules():
                learns = any(p.requires_grad for p in module.parameters())
                has_parameters = next(module.parameters(), None) is not None
                if isinstance(module, nn.modules.batchnorm._BatchNorm) or (has_parameters and not learns):
                    module.eval()
        return self
