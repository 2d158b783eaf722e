"""New small backbones: folders with untrained networks, for languages and pictures that no published one fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.normalizers import NFKC, Lowercase
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    ConvNextConfig,
    ConvNextModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTModel,
)
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from transrec.errors import DataError
from transrec.items.backbones import quiet_transformers

SPECIAL_TOKENS = ("[PAD]", "[CLS]", "[SEP]")


def new_text_backbone(  # noqa: PLR0913 - the shape of a network has so many sides
    texts: Sequence[str],
    folder: str | Path,
    *,
    width: int = 64,
    layers: int = 2,
    heads: int = 4,
    vocabulary: int = 4000,
    max_length: int = 128,
    seed: int = 0,
) -> Path:
    """Write an untrained BERT with a tokenizer made from some texts.

    Texts are put into lower case and split into merged bytes, so that no letter of any script is unknown.

    Args:
        texts: what the vocabulary is taken from.
        folder: where to; loads as any backbone does.
        width: of the hidden states; a multiple of ``heads``.
        layers: transformer blocks.
        heads: attention heads.
        vocabulary: at most so many tokens; 259 of them are the bytes and three special ones.
        max_length: longest text that it can read, in tokens.
        seed: of the weights.

    Returns:
        the folder.

    Raises:
        DataError: there is no text to make a vocabulary from.
    """
    if not any(text.strip() for text in texts):
        raise DataError("there is no text to make a vocabulary from")
    tokenizer = _new_tokenizer(texts, vocabulary, max_length)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=max_length,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):  # its own start is replaced, and must not use up random numbers
        network = BertModel(config, add_pooling_layer=False)
    _write(network, folder, seed)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def new_image_backbone(
    folder: str | Path,
    *,
    side: int = 32,
    kind: Literal["convnext", "vit"] = "convnext",
    width: int = 64,
    layers: int = 2,
    seed: int = 0,
) -> Path:
    """Write an untrained small vision network with a processor that squeezes pictures into a square.

    Neither kind has batch normalisation, which small batches and frozen parts would upset.

    Args:
        folder: where to; loads as any backbone does.
        side: of the square, in pixels, a multiple of 8.
        kind: ``"convnext"``: two stages, the first of half the width; ``"vit"``: patches of a quarter of the side.
        width: of the features; a multiple of 8.
        layers: blocks in a stage, or transformer blocks.
        seed: of the weights.

    Returns:
        the folder.
    """
    with torch.random.fork_rng(devices=[]):  # its own start is replaced, and must not use up random numbers
        network: PreTrainedModel
        if kind == "convnext":
            # the published scale of 1e-6 would keep so small a network at its start for most of a short training
            network = ConvNextModel(
                ConvNextConfig(
                    image_size=side,
                    num_stages=2,
                    hidden_sizes=[width // 2, width],
                    depths=[layers, layers],
                    layer_scale_init_value=1.0,
                )
            )
        else:
            config = ViTConfig(
                image_size=side,
                patch_size=max(1, side // 4),
                hidden_size=width,
                num_hidden_layers=layers,
                num_attention_heads=4,
                intermediate_size=4 * width,
            )
            network = ViTModel(config, add_pooling_layer=False)
    _write(network, folder, seed)
    ViTImageProcessorPil(size={"height": side, "width": side}).save_pretrained(folder)
    return Path(folder)


def _new_tokenizer(texts: Sequence[str], vocabulary: int, max_length: int) -> PreTrainedTokenizerFast:
    padding, first, last = SPECIAL_TOKENS
    # not WordPiece: its trainer breaks ties by the order of a hash table, so that every process gets another vocabulary
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = Normalizers([NFKC(), Lowercase()])
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    tokenizer.post_processor = TemplateProcessing(single=f"{first} $A {last}", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        pad_token=padding,
        cls_token=first,
        sep_token=last,
    )


def _write(network: PreTrainedModel, folder: str | Path, seed: int) -> None:
    """Save the network with matrices drawn anew from the seed; biases and norms keep their constant start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            own = [p for p in module.parameters(recurse=False) if p.ndim > 1]
            for parameter in own:
                # LeCun's normal for maps, which keeps the size of what passes; 0.02 for tables and lone vectors, as in BERT
                maps = isinstance(module, nn.Linear | nn.Conv2d)
                deviation = parameter[0].numel() ** -0.5 if maps else 0.02
                parameter.normal_(std=deviation, generator=generator)
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx] = 0.0
    with quiet_transformers():
        network.save_pretrained(folder)
