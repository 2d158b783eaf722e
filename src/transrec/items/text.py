"""TextEncoder: an item's text through any text backbone of ``transformers``.

Axes: N items, T tokens.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from transrec.data.catalog import Item
from transrec.data.ragged import Ragged
from transrec.errors import BackboneError, DataError, SettingsError
from transrec.items.backbones import (
    empty_backbone,
    load_backbone,
    load_tokenizer,
    position_padding,
    save_backbone_config,
    tower_of,
    transformer_blocks,
)
from transrec.items.buckets import length_buckets
from transrec.items.encoder import STATES, ModalityEncoder, Prepared
from transrec.items.packed import by_length, packed_states, why_not_packed
from transrec.items.pooling import PoolingKind, build_pooling
from transrec.settings import Settings

VERSION = 2
_Run = Callable[[Ragged], Tensor]


class TextSettings(Settings):
    """The text encoder."""

    backbone: str = "sentence-transformers/all-MiniLM-L6-v2"
    """A text network of transformers, by hub name or folder: BERT, MiniLM, RoBERTa, XLM-R; text towers of CLIP, SigLIP."""
    pooling: PoolingKind = "mean"
    """From tokens to one vector: their mean, the first (class) token, or the attention pooling of the paper (80 wide)."""
    max_length: int = Field(default=64, ge=2)
    """Longest text read, in tokens, special ones included; what is longer is cut off. The paper has 32 (titles)."""
    padding: Literal["masked", "attended"] = "masked"
    """Whether pooling leaves padding out, so that a vector depends on the text alone and short texts cost less; or (as
    published) takes it in, up to max_length, like words. The backbone itself leaves it out in either case."""
    frozen_dropout: bool = False
    """Whether blocks that learn nothing drop activations in training all the same, as published. What they make of a text
    then changes from step to step and cannot be kept."""
    batching: Literal["auto", "packed", "buckets", "padded"] = "auto"
    """How the texts of a batch are laid out, which changes the time and no number but by rounding: packed one after the
    other, without any padding; in buckets of about one length; or padded to the longest. auto packs them on an accelerator
    where the backbone allows it, pads them there where it does not, and takes buckets on a CPU."""


class TextEncoder(ModalityEncoder):
    """Tokens through a backbone, pooled to one vector.

    :meth:`from_settings` loads the parts by name.

    Args:
        backbone: a text network, or one with a text tower; heads that are not used are taken off it.
        tokenizer: the one that belongs to it.
        settings: pooling and length; ``settings.backbone`` is not looked at.

    Raises:
        SettingsError: texts are to be longer than the backbone can read, or the first token means nothing to it.
        BackboneError: the network does not read text.
    """

    modality = "text"

    def __init__(self, backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: TextSettings) -> None:
        super().__init__()
        self.backbone = tower_of(backbone, "text")
        self.tokenizer = tokenizer
        self.settings = settings
        self.steady = not settings.frozen_dropout
        _check_length(self.backbone, tokenizer, settings.max_length)
        if settings.pooling == "first" and tokenizer.cls_token_id is None:
            raise SettingsError(
                f"{type(self.backbone).__name__} has no class token, so its first token does not stand for the text",
                where="model.items.text.pooling",
                remedy="choose mean or attention",
            )
        self.pooling = build_pooling(settings.pooling, self.backbone.config.hidden_size)
        self.width = self.pooling.width
        greatest = max(tokenizer.get_vocab().values())
        self._stored_type = np.uint16 if greatest < 1 << 16 else np.int32

    @classmethod
    def from_settings(cls, settings: TextSettings) -> Self:
        """The encoder with a backbone and tokenizer loaded by hub name or folder.

        Raises:
            BackboneError: they cannot be found or read.
        """
        return cls(load_backbone(settings.backbone, "text"), load_tokenizer(settings.backbone), settings)

    def prepare(self, items: Sequence[Item]) -> Prepared:
        texts = []
        for item in items:
            if item.text is None:
                raise DataError(f"item {item.id!r} has no text")
            texts.append(item.text)
        ids = self.tokenizer(texts, truncation=True, max_length=self.settings.max_length)["input_ids"]
        # without special tokens an empty text would be no token at all, and nothing to take a mean of
        ids = [own or [self.tokenizer.pad_token_id] for own in ids]
        flat = np.fromiter((token for own in ids for token in own), self._stored_type)
        return {"tokens": Ragged(torch.from_numpy(flat), torch.tensor([len(own) for own in ids]))}

    def forward(self, prepared: Prepared) -> Tensor:
        tokens = _tokens(prepared)
        return self._whole(tokens) if self.attends_padding else self._laid_out(tokens, self._whole, self._line)

    def lower(self, prepared: Prepared, below: int) -> Prepared:
        if self.attends_padding:
            return super().lower(prepared, below)  # the activations of padding count, and where it begins does too
        tokens = _tokens(prepared)
        # all that upper needs of the tokens is how many there are
        if self._layout(tokens) == "packed":
            tokens, back = by_length(tokens)
            states_1PC = self.cut(below).lower(lambda: self._line(tokens))
            states = Ragged(states_1PC[0], tokens.lengths_n, tokens.longest)
            return {STATES: states if back is None else states.take(back)}
        states_NTC = self.cut(below).lower(lambda: self._whole(tokens))
        return {STATES: Ragged.from_padded(states_NTC, tokens.lengths_n, tokens.longest)}

    def upper(self, lowered: Prepared, below: int) -> Tensor:
        if self.attends_padding:
            return super().upper(lowered, below)
        return self._laid_out(
            lowered[STATES],
            lambda states: self._from_states(states, states.padded(), self._whole, below),
            lambda states: self._from_states(states, states.values[None], self._line, below),
        )

    def _whole(self, tokens: Ragged) -> Tensor:
        """Vectors from tokens (int64), as one padded batch."""
        if self.attends_padding:
            tokens = Ragged(tokens.values, tokens.lengths_n, self.settings.max_length)
        return self.padded(tokens.padded(self.tokenizer.pad_token_id), tokens.mask())

    def padded(self, ids_NT: Tensor, mask_NT: Tensor) -> Tensor:
        """Vectors of shape (N, width), as :meth:`forward` makes them, from token ids as one rectangle.

        Args:
            ids_NT: int64, the tokenizer's padding token where there is none; with ``attends_padding`` T is ``max_length``.
            mask_NT: which tokens are real, bool.
        """
        tokens_NTC: Tensor = self.backbone(input_ids=ids_NT, attention_mask=mask_NT.long()).last_hidden_state
        pooled: Tensor = self.pooling(tokens_NTC, torch.ones_like(mask_NT) if self.attends_padding else mask_NT)
        return pooled

    def _line(self, tokens: Ragged) -> Tensor:
        """Vectors from tokens (int64), as one line without padding."""
        states = packed_states(self.backbone, tokens)
        # what pools is padded, which is little work; on the CPU little padding, too
        return _in_buckets(states, self._pooled) if states.values.device.type == "cpu" else self._pooled(states)

    def _pooled(self, states: Ragged) -> Tensor:
        pooled: Tensor = self.pooling(states.padded(), states.mask())
        return pooled

    def _laid_out(self, content: Ragged, padded: _Run, packed: _Run) -> Tensor:
        """Run one of these over texts, as often and in the order that their layout asks for."""
        layout = self._layout(content)
        if layout == "padded":
            return padded(content)
        if layout == "buckets":
            return _in_buckets(content, padded)
        content, back = by_length(content)
        vectors = packed(content)
        return vectors if back is None else vectors[back]

    def _layout(self, content: Ragged) -> Literal["packed", "buckets", "padded"]:
        """What the setting comes to on the device that content is on."""
        chosen, device = self.settings.batching, content.values.device.type
        if chosen in ("buckets", "padded"):
            return chosen
        if (chosen == "packed" or device != "cpu") and self.why_not_packed(device) is None:
            return "packed"
        return "buckets" if device == "cpu" else "padded"

    def why_not_packed(self, device: str) -> str | None:
        """Why the backbone cannot be given packed texts; None when it can. It is tried once, on first use.

        Args:
            device: the type of the device that it is on.
        """
        tried: dict[tuple[str, bool], str | None] = self.__dict__.setdefault("_tried", {})
        here = (device, torch.is_autocast_enabled(device))
        if here not in tried:
            tried[here] = why_not_packed(self.backbone, self.settings.max_length)
            if tried[here] and self.settings.batching == "packed":
                name = type(self.backbone).__name__
                warnings.warn(f"texts are not packed for {name}: {tried[here]}", stacklevel=2)
        return tried[here]

    @property
    def attends_padding(self) -> bool:
        """Whether pooling takes padding in, up to ``max_length``."""
        return self.settings.padding == "attended"

    def _from_states(self, states: Ragged, laid_out: Tensor, run: _Run, below: int) -> Tensor:
        """Vectors from the activations that enter a block, laid out as the network is run on tokens."""
        anything = torch.zeros(len(states.values), dtype=torch.int64, device=states.values.device)
        stand_in = Ragged(anything, states.lengths_n, states.longest)  # for the masks; its embeddings are thrown away
        cut = self.cut(below)
        if not cut.known:
            cut.lower(lambda: run(stand_in))
        return cut.upper(lambda: run(stand_in), laid_out)

    def preparation_key(self) -> str:
        return f"text:{VERSION}:{self.settings.max_length}:{_tokenizer_digest(self.tokenizer)}"

    def blocks(self) -> Sequence[nn.Module]:
        return transformer_blocks(self.backbone)

    def save_assets(self, folder: Path) -> None:
        save_backbone_config(self.backbone, folder)
        backend: Any = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is not None:  # the last call's truncation and padding stay behind in it, and would be saved as its own
            backend.no_truncation()
            backend.no_padding()
        self.tokenizer.save_pretrained(folder)
        self.settings.to_yaml(folder / "encoder.yaml")

    def save_identity(self, folder: Path) -> None:
        self.save_assets(folder)
        self.settings.to_yaml(folder / "encoder.yaml", without={"batching"})  # which changes no number but by rounding

    @classmethod
    def from_assets(cls, folder: Path) -> Self:
        tokenizer = load_tokenizer(str(folder))
        return cls(empty_backbone(folder), tokenizer, TextSettings.from_yaml(folder / "encoder.yaml"))


def _tokens(prepared: Prepared) -> Ragged:
    tokens: Ragged = prepared["tokens"]
    # RoBERTa gathers its positions with indices made from these, which must be int64
    return Ragged(tokens.values.long(), tokens.lengths_n, tokens.longest)


def _in_buckets(content: Ragged, run: _Run) -> Tensor:
    """Run something over texts in buckets of about one length, so that little padding is computed."""
    buckets = length_buckets(content.lengths_n.cpu())
    if len(buckets) == 1:
        return run(content)
    buckets = [bucket.to(content.lengths_n.device) for bucket in buckets]
    vectors = torch.cat([run(content.take(bucket)) for bucket in buckets])
    return vectors[torch.argsort(torch.cat(buckets))]


def _check_length(backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, wanted: int) -> None:
    """Fail now rather than with an index error at the first long text."""
    positions = getattr(backbone.config, "max_position_embeddings", None)
    if positions is None and not hasattr(backbone.config, "vocab_size"):
        raise BackboneError(
            f"{type(backbone).__name__} does not read text", where="model.items.text.backbone", remedy="name a text encoder"
        )
    limits = [tokenizer.model_max_length]
    if positions is not None:
        offset = position_padding(backbone)
        limits.append(positions - (0 if offset is None else offset + 1))
    if wanted > min(limits):
        raise SettingsError(
            f"{type(backbone).__name__} reads at most {min(limits)} tokens, {wanted} are asked for",
            where="model.items.text.max_length",
            remedy=f"choose {min(limits)} or fewer",
        )


def _tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """Changes whenever the tokenizer would split some text differently."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    state: Mapping[str, Any]
    if backend is None:
        state = {"class": type(tokenizer).__name__, "vocabulary": tokenizer.get_vocab()}
    else:
        # the last call's truncation and padding stay behind in the tokenizer; they are ours, not its own
        state = {k: v for k, v in json.loads(backend.to_str()).items() if k not in ("truncation", "padding")}
    text = json.dumps([state, tokenizer.special_tokens_map], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
