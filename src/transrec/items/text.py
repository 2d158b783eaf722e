"""TextEncoder: an item's text through any text backbone of ``transformers``.

Axes: N items, T tokens.
"""

from __future__ import annotations

import hashlib
import json
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
    save_backbone_config,
    tower_of,
    transformer_blocks,
)
from transrec.items.buckets import length_buckets
from transrec.items.encoder import STATES, ModalityEncoder, Prepared
from transrec.items.pooling import PoolingKind, build_pooling
from transrec.settings import Settings

VERSION = 2


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
        return self._whole(tokens) if self._attends_padding else _in_buckets(tokens, self._whole)

    def lower(self, prepared: Prepared, below: int) -> Prepared:
        if self._attends_padding:
            return super().lower(prepared, below)  # the activations of padding count, and where it begins does too
        tokens = _tokens(prepared)
        states_NTC = self.cut(below).lower(lambda: self._whole(tokens))
        # all that upper needs of the tokens is how many there are
        return {STATES: Ragged.from_padded(states_NTC, tokens.lengths_n, tokens.longest)}

    def upper(self, lowered: Prepared, below: int) -> Tensor:
        if self._attends_padding:
            return super().upper(lowered, below)
        return _in_buckets(lowered[STATES], lambda states: self._from_states(states, below))

    def _whole(self, tokens: Ragged) -> Tensor:
        """Vectors from tokens (int64), as one padded batch."""
        if self._attends_padding:
            tokens = Ragged(tokens.values, tokens.lengths_n, self.settings.max_length)
        mask_NT = tokens.mask()
        ids_NT = tokens.padded(self.tokenizer.pad_token_id)
        tokens_NTC: Tensor = self.backbone(input_ids=ids_NT, attention_mask=mask_NT.long()).last_hidden_state
        pooled: Tensor = self.pooling(tokens_NTC, torch.ones_like(mask_NT) if self._attends_padding else mask_NT)
        return pooled

    @property
    def _attends_padding(self) -> bool:
        return self.settings.padding == "attended"

    def _from_states(self, states: Ragged, below: int) -> Tensor:
        """Vectors from the activations that enter a block, as one padded batch."""
        anything = torch.zeros(len(states.values), dtype=torch.int64, device=states.values.device)
        stand_in = Ragged(anything, states.lengths_n, states.longest)  # for the masks; its embeddings are thrown away
        cut = self.cut(below)
        if not cut.known:
            cut.lower(lambda: self._whole(stand_in))
        return cut.upper(lambda: self._whole(stand_in), states.padded())

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

    @classmethod
    def from_assets(cls, folder: Path) -> Self:
        tokenizer = load_tokenizer(str(folder))
        return cls(empty_backbone(folder), tokenizer, TextSettings.from_yaml(folder / "encoder.yaml"))


def _tokens(prepared: Prepared) -> Ragged:
    tokens: Ragged = prepared["tokens"]
    # RoBERTa gathers its positions with indices made from these, which must be int64
    return Ragged(tokens.values.long(), tokens.lengths_n, tokens.longest)


def _in_buckets(content: Ragged, run: Callable[[Ragged], Tensor]) -> Tensor:
    """Run something over items, on the CPU in buckets of about one length, so that little padding is computed.

    An accelerator gets one batch: it is faster than several small ones.
    """
    if content.values.device.type != "cpu":
        return run(content)
    buckets = length_buckets(content.lengths_n)
    if len(buckets) == 1:
        return run(content)
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
        table = next((m for n, m in backbone.named_modules() if n.endswith("position_embeddings")), None)
        offset = getattr(table, "padding_idx", None)  # RoBERTa's positions begin after its padding token
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
