"""TextEncoder: an item's text through any text backbone of ``transformers``.

Axes: N items, T tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from transrec.data.catalog import Item
from transrec.errors import BackboneError, DataError, SettingsError
from transrec.items.backbones import (
    empty_backbone,
    load_backbone,
    load_tokenizer,
    save_backbone_config,
    tower_of,
    transformer_blocks,
)
from transrec.items.encoder import ModalityEncoder, Prepared
from transrec.items.pooling import PoolingKind, build_pooling
from transrec.settings import Settings

VERSION = 1


class TextSettings(Settings):
    """The text encoder."""

    backbone: str = "sentence-transformers/all-MiniLM-L6-v2"
    """A text network of transformers, by hub name or folder: BERT, MiniLM, RoBERTa, XLM-R; text towers of CLIP, SigLIP."""
    pooling: PoolingKind = "mean"
    """From tokens to one vector: their mean, the first (class) token, or the attention pooling of the paper (80 wide)."""
    max_length: int = Field(default=64, ge=2)
    """Longest text read, in tokens, special ones included; what is longer is cut off. The paper has 32 (titles)."""


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
        _check_length(self.backbone, tokenizer, settings.max_length)
        if settings.pooling == "first" and tokenizer.cls_token_id is None:
            raise SettingsError(
                f"{type(self.backbone).__name__} has no class token, so its first token does not stand for the text",
                where="model.items.text.pooling",
                remedy="choose mean or attention",
            )
        self.pooling = build_pooling(settings.pooling, self.backbone.config.hidden_size)
        self.width = self.pooling.width

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
        encoded = self.tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=self.settings.max_length,
            padding_side="right",
            return_attention_mask=True,
            return_tensors="pt",
        )
        mask_NT = encoded["attention_mask"].to(torch.uint8)
        mask_NT[:, 0] = 1  # without special tokens an empty text would be no token at all, and nothing to take a mean of
        return {"input_ids": encoded["input_ids"].to(torch.int32), "mask": mask_NT}

    def forward(self, prepared: Prepared) -> Tensor:
        mask_NT = prepared["mask"].bool()
        longest = int(mask_NT.sum(dim=1).max())  # a sync point, and worth it: most texts are far below the maximum
        mask_NT = mask_NT[:, :longest]
        # RoBERTa gathers its positions with indices made from these, which must be int64
        ids_NT = prepared["input_ids"][:, :longest].long()
        tokens_NTC: Tensor = self.backbone(input_ids=ids_NT, attention_mask=mask_NT.long()).last_hidden_state
        pooled: Tensor = self.pooling(tokens_NTC, mask_NT)
        return pooled

    def preparation_key(self) -> str:
        return f"text:{VERSION}:{self.settings.max_length}:{_tokenizer_digest(self.tokenizer)}"

    def blocks(self) -> Sequence[nn.Module]:
        return transformer_blocks(self.backbone)

    def save_assets(self, folder: Path) -> None:
        save_backbone_config(self.backbone, folder)
        self.tokenizer.save_pretrained(folder)
        self.settings.to_yaml(folder / "encoder.yaml")

    @classmethod
    def from_assets(cls, folder: Path) -> Self:
        tokenizer = load_tokenizer(str(folder))
        return cls(empty_backbone(folder), tokenizer, TextSettings.from_yaml(folder / "encoder.yaml"))


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
