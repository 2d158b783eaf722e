"""Graphs: the parts of a model as functions from plain tensors to one, the form in which they leave PyTorch.

Axes: N items, T tokens, M modalities, D width, B users, L history length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from transrec.data.ragged import Ragged
from transrec.data.times import UNKNOWN_TIME
from transrec.errors import ExportError
from transrec.items.encoder import ModalityEncoder, Prepared
from transrec.items.fusion import Fusion
from transrec.items.projection import Projection
from transrec.items.text import TextEncoder
from transrec.items.tower import ItemEncoder
from transrec.settings import Settings
from transrec.users.encoder import UserEncoder


class Port(Settings):
    """An input or output of a graph. Outputs are called as no operation of PyTorch is, whose names stand in the file too."""

    name: str
    """What it is called."""
    type: str
    """Of its numbers: float32, int64, uint8, bool, ..."""
    shape: tuple[int | str, ...]
    """The size of each axis; a text where it may be any, the same for all axes of that name."""


class Graph(nn.Module, ABC):
    """A function from tensors with names to one tensor, whose first axis they share.

    Attributes:
        inputs: what ``forward`` takes, in its order.
        output: what it returns.
    """

    inputs: tuple[Port, ...]
    output: Port

    @abstractmethod
    def draw(self, count: int, length: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Inputs at random.

        Args:
            count: size of the first axis.
            length: size of the second, where that may be any; what is above the longest is taken as the longest.
            generator: of the draws.
        """


@final
class TextGraph(Graph):
    """Padded token ids to the view of an item: backbone, pooling, projection with the platform's mean.

    Args:
        encoder: of texts.
        projection: onto the tower's width.
        platform: whose mean is taken off.
    """

    def __init__(self, encoder: TextEncoder, projection: Projection, platform: int = 0) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = projection
        self.platform = platform
        self.longest = encoder.settings.max_length
        tokens = self.longest if encoder.attends_padding else "tokens"
        self.inputs = tuple(Port(name=n, type="int64", shape=("items", tokens)) for n in ("input_ids", "attention_mask"))
        self.output = _vectors("item_view", projection.linear.out_features)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Views (N, D)."""
        return _projected(self.projection, self.encoder.padded(input_ids, attention_mask.bool()), self.platform)

    def draw(self, count: int, length: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        length = self.longest if self.encoder.attends_padding else min(length, self.longest)
        mask_NT = _filled(count, length, generator, least=1)
        words = min(int(self.encoder.backbone.config.vocab_size), len(self.encoder.tokenizer))
        ids_NT = torch.randint(0, words, (count, length), generator=generator)
        padding = int(self.encoder.tokenizer.pad_token_id)
        ids_NT = torch.where(mask_NT & (ids_NT != padding), ids_NT, padding)
        return ids_NT, mask_NT.long()

    def of_prepared(self, prepared: Prepared) -> tuple[Tensor, ...]:
        """The inputs for content that the encoder prepared."""
        tokens: Ragged = prepared["tokens"]
        longest = self.longest if self.encoder.attends_padding else tokens.longest
        tokens = Ragged(tokens.values.long(), tokens.lengths_n, longest)
        return tokens.padded(int(self.encoder.tokenizer.pad_token_id)), tokens.mask().long()


@final
class ContentGraph(Graph):
    """Prepared content of fixed shapes to the view of an item: any encoder, then its projection with the platform's mean.

    Args:
        encoder: of any modality but texts.
        projection: onto the tower's width; an identity for a table of ids.
        sample: content of some items, as the encoder prepared it; inputs that are drawn are drawn from it.
        width: D.
        platform: whose mean is taken off.

    Raises:
        ExportError: what the encoder prepares has no fixed shape.
    """

    def __init__(
        self, encoder: ModalityEncoder, projection: nn.Module, sample: Prepared, *, width: int, platform: int = 0
    ) -> None:
        super().__init__()
        ragged = [name for name, values in sample.items() if not isinstance(values, Tensor)]
        if ragged:
            raise ExportError(f"it prepares {', '.join(ragged)} of another length for every item", where=encoder.modality)
        self.encoder = encoder
        self.projection = projection
        self.platform = platform
        self.sample: Mapping[str, Tensor] = dict(sample)
        self.inputs = tuple(
            Port(name=name, type=type_of(values), shape=("items", *values.shape[1:])) for name, values in sample.items()
        )
        self.output = _vectors("item_view", width)

    def forward(self, *content: Tensor) -> Tensor:
        """Views (N, D)."""
        prepared = {port.name: values for port, values in zip(self.inputs, content, strict=True)}
        return _projected(self.projection, self.encoder(prepared), self.platform)

    def draw(self, count: int, length: int, generator: torch.Generator) -> tuple[Tensor, ...]:  # noqa: ARG002
        return tuple(values[torch.randint(0, len(values), (count,), generator=generator)] for values in self.sample.values())

    def of_prepared(self, prepared: Prepared) -> tuple[Tensor, ...]:
        """The inputs for content that the encoder prepared."""
        return tuple(prepared[port.name] for port in self.inputs)


@final
class FusionGraph(Graph):
    """The views of items, and which of them there are, to one vector.

    Args:
        fusion: of the views.
        modalities: in the order of the axis M.
        width: D.
    """

    def __init__(self, fusion: Fusion, modalities: tuple[str, ...], width: int) -> None:
        super().__init__()
        self.fusion = fusion
        self.modalities = modalities
        self.width = width
        many = len(modalities)
        self.inputs = (
            Port(name="views", type="float32", shape=("items", many, width)),
            Port(name="present", type="bool", shape=("items", many)),
        )
        self.output = _vectors("item_vector", width)

    def forward(self, views: Tensor, present: Tensor) -> Tensor:
        """Vectors (N, D) from views (N, M, D) and presence (N, M)."""
        each = {name: views[:, place] for place, name in enumerate(self.modalities)}
        there = {name: present[:, place] for place, name in enumerate(self.modalities)}
        fused_ND: Tensor = self.fusion(each, there)
        return fused_ND

    def draw(self, count: int, length: int, generator: torch.Generator) -> tuple[Tensor, ...]:  # noqa: ARG002
        views_NMD = torch.randn(count, len(self.modalities), self.width, generator=generator)
        present_NM = torch.rand(count, len(self.modalities), generator=generator) < 0.7
        return views_NMD, present_NM


@final
class UserGraph(Graph):
    """Item vectors of histories, and for some also times, to a user's state: the user tower, its last state taken.

    Args:
        users: the user tower.
    """

    def __init__(self, users: UserEncoder) -> None:
        super().__init__()
        self.users = users
        self.inputs = (
            Port(name="items", type="float32", shape=("users", "history", users.width)),
            Port(name="mask", type="bool", shape=("users", "history")),
            *([Port(name="times", type="int64", shape=("users", "history"))] if users.reads_times else []),
        )
        states = users.gives == "states"
        shape: tuple[int | str, ...] = ("users", users.width) if states else ("users", "interests", users.width)
        self.output = Port(name="user_state" if states else "user_interests", type="float32", shape=shape)

    def forward(self, items: Tensor, mask: Tensor, times: Tensor | None = None) -> Tensor:
        """States (B, D), or interests (B, K, D)."""
        scored: Tensor = self.users(items, mask, times).scored
        return scored

    def draw(self, count: int, length: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        length = min(length, self.users.window)
        mask_BL = _filled(count, length, generator, least=0)
        items_BLD = torch.randn(count, length, self.users.width, generator=generator)
        if not self.users.reads_times:
            return items_BLD, mask_BL
        apart_BL = (torch.rand(count, length, generator=generator, dtype=torch.float64) * 24).exp2().long()
        unknown_BL = ~mask_BL | (torch.rand(count, length, generator=generator) < 0.1)
        return items_BLD, mask_BL, apart_BL.cumsum(dim=1).masked_fill(unknown_BL, UNKNOWN_TIME)


ItemGraph = TextGraph | ContentGraph


def item_graph(tower: ItemEncoder, name: str, sample: Prepared, platform: int = 0) -> ItemGraph:
    """The graph of one modality.

    Args:
        tower: the item tower.
        name: of the modality.
        sample: content of some items, as its encoder prepared it.
        platform: whose mean is taken off.

    Raises:
        ExportError: what the encoder prepares has no fixed shape.
    """
    encoder, projection = tower.preparers()[name], tower.projections[name]
    if isinstance(encoder, TextEncoder) and isinstance(projection, Projection):
        return TextGraph(encoder, projection, platform)
    return ContentGraph(encoder, projection, sample, width=tower.width, platform=platform)


def type_of(values: Tensor) -> str:
    """The name of a tensor's type, as NumPy has it too: ``float32``, ``int64``, ..."""
    return str(values.dtype).removeprefix("torch.")


def _projected(projection: nn.Module, vectors: Tensor, platform: int) -> Tensor:
    projected_ND: Tensor = projection(vectors, platform) if isinstance(projection, Projection) else projection(vectors)
    return projected_ND


def _vectors(name: str, width: int) -> Port:
    return Port(name=name, type="float32", shape=("items", width))


def _filled(count: int, length: int, generator: torch.Generator, *, least: int) -> Tensor:
    """Masks of random lengths, the first of them full."""
    lengths = torch.randint(least, length + 1, (count,), generator=generator)
    lengths[0] = length
    return torch.arange(length) < lengths[:, None]
