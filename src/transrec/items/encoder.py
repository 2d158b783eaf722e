"""ModalityEncoder: the contract between an item's raw content and a vector; the class people subclass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from transrec.data.batches import ItemPart
from transrec.data.catalog import Item
from transrec.data.packing import Packing
from transrec.errors import ModelError
from transrec.items.chunks import in_chunks
from transrec.items.cutting import Cut

Prepared = Mapping[str, Any]
"""Content made ready for an encoder: by name, tensors that share their first axis, one entry an item, or
:class:`~transrec.data.ragged.Ragged` values of as many items. Which of the two a name holds is the encoder's own affair."""

STATES = "states"
"""The name under which activations stand beside what was prepared."""


class ModalityEncoder(nn.Module, ABC):
    """Turns one modality of items into vectors.

    ``prepare`` runs on the CPU, once in an item's life, and its result is kept: it must depend on the item and on
    ``preparation_key`` alone. ``forward`` runs on the device, on every batch.

    Attributes:
        modality: which content it reads: ``"text"``, ``"image"``, the name of a given vector, or ``"identity"``.
        width: the width of the vectors that ``forward`` returns.
        steady: whether parts that learn nothing behave in training as in evaluation. Then what they make of an item never
            changes and can be kept. An encoder that is not steady is as published: while anything of its network learns, all
            of it drops activations and moves BatchNorm statistics.
    """

    modality: str
    width: int
    steady: bool = True

    def reads(self, item: Item) -> bool:
        """Whether this encoder can make something of the item."""
        return item.has(self.modality)

    @abstractmethod
    def prepare(self, items: Sequence[Item]) -> Prepared:
        """Content made ready: tensors of shape (n, ...) whose further axes do not depend on the items, or ``Ragged`` values.

        Use small types (uint16 token ids, uint8 pixels): what this returns is stored for the whole catalog.

        Raises:
            DataError: the content of an item cannot be read; the message names the item.
        """

    @abstractmethod
    def forward(self, prepared: Prepared) -> Tensor:
        """Vectors of shape (n, width). In evaluation mode an item's vector does not depend on the other items."""

    @abstractmethod
    def preparation_key(self) -> str:
        """A text that changes whenever ``prepare`` would return something else for the same item."""

    def packings(self) -> Mapping[str, Packing]:
        """By name, how the store keeps what ``prepare`` returns where that is not as it is; ``forward`` sees it unpacked."""
        return {}

    def when_too_large(self) -> str:
        """What to do where a disk has no room for all that ``prepare`` returns, for a message."""
        return "make room, or choose an encoder that prepares less of each item"

    def blocks(self) -> Sequence[nn.Module]:
        """The blocks of the network from input to output, for ``--tune top:N``; empty when it cannot be split.

        What is registered before the first block learns only under ``full``; what is registered after the last block
        learns with the top block.
        """
        return ()

    def lower(self, prepared: Prepared, below: int) -> Prepared:
        """What :meth:`upper` needs of these items when the first ``below`` blocks learn nothing: it is made once and kept.

        This one keeps all that was prepared and adds the activations that enter ``blocks()[below]`` (or leave the last
        block) as ``"states"``. Return less where less is enough, to save disk and reading; a name that ``prepare`` uses must
        keep its values. Override both methods or neither.

        Raises:
            ModelError: the network cannot be cut there.
        """
        if STATES in prepared:
            raise ModelError(f"it prepares something that it calls {STATES!r} itself")
        return {**prepared, STATES: self.cut(below).lower(lambda: self(prepared))}

    def upper(self, lowered: Prepared, below: int) -> Tensor:
        """The vectors that ``forward`` would make, from what :meth:`lower` returned.

        Raises:
            ModelError: the network cannot be cut there.
        """
        prepared = {name: values for name, values in lowered.items() if name != STATES}
        cut = self.cut(below)
        if not cut.known:
            cut.lower(lambda: self(prepared))
        vectors: Tensor = cut.upper(lambda: self(prepared), lowered[STATES])
        return vectors

    def encode(self, part: ItemPart, at_once: int | None = None) -> Tensor:
        """Vectors of shape (n, width) of a part of a batch, from as far as its content has come; equal content runs once.

        Args:
            part: of a batch.
            at_once: items at a time, their activations made again in the backward pass; all when None, and in an encoder
                that is not ``steady``, whose BatchNorm would see other batches.
        """

        def run(content: Prepared) -> Tensor:
            vectors: Tensor = self.upper(content, part.below) if part.below else self(content)
            return vectors

        if isinstance(part.content, Tensor):
            vectors = part.content
        elif at_once is None or not self.steady:
            vectors = run(part.content)
        else:
            vectors = in_chunks(run, part.content, at_once)
        return vectors if part.inverse_n is None else vectors[part.inverse_n]

    def cut(self, below: int) -> Cut:
        """The network cut before ``blocks()[below]``; remembered, because a cut learns what the blocks return."""
        blocks = tuple(self.blocks())
        cuts: dict[int, Cut] = self.__dict__.setdefault("_cuts", {})
        if below not in cuts or cuts[below].blocks != blocks:
            cuts[below] = Cut(blocks, below)
        return cuts[below]

    @abstractmethod
    def save_assets(self, folder: Path) -> None:
        """Write what :meth:`from_assets` needs (configuration, tokenizer, processor), without the weights."""

    def save_identity(self, folder: Path) -> None:
        """Write what decides, besides the weights, which vector an item gets: what is kept of items is kept under it.

        This one writes all that :meth:`save_assets` does. Leave out what changes the time alone.
        """
        self.save_assets(folder)

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

    @property
    def varies(self) -> bool:
        """Whether, in training, frozen blocks make something else of an item at every step: see ``steady``."""
        blocks = {id(block) for block in self.blocks()}
        networks = [part for part in self.children() if any(id(module) in blocks for module in part.modules())]
        return not self.steady and any(p.requires_grad for network in networks for p in network.parameters())

    def train(self, mode: bool = True) -> Self:
        """Set the training mode; parts that learn nothing, and every BatchNorm, stay in evaluation mode.

        Otherwise frozen parts would still move their BatchNorm statistics and drop activations, and an item's vector
        would depend on which other items are in the batch. In an encoder that is not ``steady`` this holds for a network
        of which nothing learns at all, and only then.
        """
        super().train(mode)
        if mode:
            held: Iterable[nn.Module] = self.modules() if self.steady else [self, *self.children()]
            for module in held:
                learns = any(p.requires_grad for p in module.parameters())
                has_parameters = next(module.parameters(), None) is not None
                normalises = self.steady and isinstance(module, nn.modules.batchnorm._BatchNorm)
                if normalises or (has_parameters and not learns):
                    module.eval()
        return self
