"""What ``gpu.py`` measures on: users, texts of up to 64 tokens, and a BERT of any size that reads them, untrained."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from transrec.data.batches import SequenceBatches
from transrec.data.catalog import Catalog, Item
from transrec.data.counts import Counts
from transrec.data.interactions import Interactions
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.items.backbones import quiet_transformers
from transrec.items.text import TextEncoder
from transrec.model import ModelSettings, TransRec
from transrec.objectives import Objective, ObjectiveSettings, build_objective
from transrec.prior import CountPrior
from transrec.rules import Tuning, apply_tuning
from transrec.training.optimiser import adamw, optimiser_groups
from transrec.training.precision import rounds_to_bfloat16
from transrec.training.settings import TrainingSettings
from transrec.training.trainer import Task

EVENTS = 28
"""Of each user: 26 to train, one to validate, one to test."""
SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]")
READY = 4
"""Batches that are made beforehand and taken in turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large everything is; as it stands the network is MiniLM's."""

    users: int = 8192
    items: int = 10_000
    layers: int = 6
    width: int = 384
    heads: int = 12
    vocabulary: int = 30_522
    max_length: int = 64
    vectors: int = 256


class World:
    """Users whose items are drawn by Zipf's law, and a model that reads titles with descriptions.

    Args:
        size: of everything.
        device: where the model is.
    """

    def __init__(self, size: Size, device: torch.device) -> None:
        self.size, self.device = size, device
        generator = np.random.default_rng(0)
        texts = _texts(size, generator)
        self.catalog = Catalog.from_items([Item(str(row), text=text) for row, text in enumerate(texts)])
        shares = 1 / np.arange(1, size.items + 1)
        rows = generator.choice(size.items, size.users * EVENTS, p=shares / shares.sum())
        events = {
            "user": np.repeat(np.arange(size.users), EVENTS).astype(str),
            "row": rows,
            "time": np.tile(np.arange(EVENTS, dtype=float), size.users),
        }
        self.split = leave_one_out(Interactions.from_columns(pl.DataFrame(events)))
        self.lines = rows.reshape(size.users, EVENTS)[:, :-2].tolist()
        with tempfile.TemporaryDirectory() as folder:
            _backbone(size, Path(folder))
            text = {"backbone": folder, "max_length": size.max_length}
            settings = {"items": {"width": size.vectors, "modalities": ["text"], "text": text}, "prior": "none"}
            self._model = TransRec.build(ModelSettings.from_mapping(settings), [self.catalog])
        self.tokens = ContentStore.prepare(self.catalog, self._model.items.preparers())

    def model(self, tune: str, *, prior: bool = False) -> TransRec:
        """A copy of the model on the device, of which this learns."""
        model = copy.deepcopy(self._model)
        if prior:
            model = TransRec(
                model.items, model.users, model.scorer, model.settings.updated({"prior": "counts"}), CountPrior()
            )
        apply_tuning(model, Tuning.parse(tune))
        return model.to(self.device).train()

    def batches(
        self, objective: Objective, store: ContentStore, batch: int, counts: Counts | None = None
    ) -> SequenceBatches:
        """The training batches of so many users."""
        return SequenceBatches(self.split, store, objective.plan, batch_size=batch, seed=0, counts=counts)

    def counts(self) -> Counts:
        """The platform's counts."""
        return Counts.of(self.split, len(self.catalog))

    def padded(self) -> tuple[Tensor, Tensor]:
        """Token ids of all items on the device, filled up to the longest text that is allowed, and how many are real."""
        part = self.tokens.gather(np.arange(len(self.catalog))).parts["text"]
        assert not isinstance(part.content, Tensor)
        entry = torch.arange(len(self.catalog)) if part.inverse_n is None else part.inverse_n
        each = part.content["tokens"].take(entry)
        padded_VT = torch.zeros(len(self.catalog), self.size.max_length, dtype=torch.int64)
        padded_VT[:, : each.longest] = each.padded().long()
        return padded_VT.to(self.device), each.lengths_n.to(self.device)


class Stepper:
    """Training steps as the library's loop does them: to the device, forward, backward, clip, move.

    Args:
        model: on its device.
        loss: of the step of this number, on the device.
        fused: whether the optimiser moves all weights in one kernel where the library does; else as torch likes it.
    """

    def __init__(self, model: TransRec, loss: Callable[[int], Tensor], *, fused: bool = True) -> None:
        self.model, self.loss = model, loss
        groups = optimiser_groups(model, TrainingSettings(), total=1000)
        for group in groups:
            group["lr"] = 1e-6  # so that a long measurement does not lead anywhere
        self.optimiser = adamw(groups, model.device) if fused else torch.optim.AdamW(groups)

    @classmethod
    def of(
        cls, world: World, model: TransRec, store: ContentStore, *, batch: int, objective: ObjectiveSettings | None = None
    ) -> Stepper:
        """Steps of an objective on batches that are ready."""
        built = build_objective(objective or ObjectiveSettings(), model)
        task, batches = Task(model, built, None), world.batches(built, store, batch)
        ready = [batches.batch(step) for step in range(min(READY, batches.steps_per_epoch))]

        def loss(step: int) -> Tensor:
            total: Tensor = task(ready[step % len(ready)].to(world.device)).total
            return total

        return cls(model, loss)

    def __call__(self, step: int, precision: Literal["float32", "bfloat16"] | None = None) -> None:
        """One step; without a precision it is that of the library on the device."""
        device = self.model.device.type
        precision = precision or ("bfloat16" if rounds_to_bfloat16("auto", self.model.device) else "float32")
        self.model.train()
        try:
            with torch.autocast(device, torch.bfloat16) if precision == "bfloat16" else nullcontext():
                loss = self.loss(step)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
        finally:
            self.optimiser.zero_grad()


def text_encoder(model: TransRec) -> TextEncoder:
    """The text encoder of a model."""
    encoder = model.items.preparers()["text"]
    assert isinstance(encoder, TextEncoder)
    return encoder


def laid_out(model: TransRec, batching: str, *, attention_dropout: bool) -> None:
    """Let the text encoder lay texts out like this, and drop weights of attention or not."""
    encoder = text_encoder(model)
    encoder.settings = encoder.settings.updated({"batching": batching})
    share = encoder.backbone.config.attention_probs_dropout_prob if attention_dropout else 0.0
    for name, module in encoder.backbone.named_modules():
        if name.endswith("attention.self.dropout"):
            assert isinstance(module, nn.Dropout)
            module.p = share


def compiled(model: TransRec) -> TransRec:
    """The model with the blocks of both its networks compiled, for any number of tokens and users."""
    blocks = [*text_encoder(model).blocks(), *model.users.get_submodule("blocks").children()]
    for block in blocks:
        block.compile(dynamic=True)
    return model


def _texts(size: Size, generator: np.random.Generator) -> list[str]:
    """Texts of 1 word to as many as fit, with a long tail."""
    most = size.max_length - 2  # two are special tokens
    lengths = np.clip(np.exp(generator.normal(3.0, 0.7, size.items)).astype(int), 1, most)
    return [" ".join(map(str, generator.integers(len(SPECIAL), size.vocabulary, length))) for length in lengths]


def _backbone(size: Size, folder: Path) -> None:
    """Write the network and a tokenizer whose words are numbers, each a token."""
    vocabulary = {**{word: place for place, word in enumerate(SPECIAL)}}
    vocabulary |= {str(place): place for place in range(len(SPECIAL), size.vocabulary)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    ends = [("[CLS]", 1), ("[SEP]", 2)]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=size.max_length,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.width,
        max_position_embeddings=512,
        pad_token_id=0,
    )
    with quiet_transformers():
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
