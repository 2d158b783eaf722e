"""What ``peft`` adds to backbones for a training, and how it is merged into their own weights afterwards."""

from __future__ import annotations

import copy
import math
import re
from typing import Literal

import torch
from torch import nn

from transrec.errors import ModelError, require_extra
from transrec.items.encoder import ModalityEncoder
from transrec.model import TransRec
from transrec.rules.sources import is_published

Mergeable = Literal["lora", "ia3"]

SCALE = 2
"""What the product of the two thin matrices of LoRA is multiplied by, whatever the rank."""

_READS_WEIGHTS_ITSELF = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
"""These compute with the weights of their linear layers without calling the layers."""

_ADDED = re.compile(r"\.(?:lora_[AB]|ia3_l)\..*$")


def add_mergeable(encoder: ModalityEncoder, name: str, kind: Mergeable, rank: int, generator: torch.Generator) -> None:
    """Add low-rank matrices or scaling vectors to the layers of an encoder's backbone.

    ``"lora"`` (arXiv 2106.09685) adds ``2 B A x`` to what a linear layer makes of x, with A of shape (rank, inputs) random
    and B of shape (outputs, rank) zero, so that training starts from the backbone as it was. ``"ia3"`` ((IA)^3, arXiv
    2205.05638) multiplies what the layer gives by a vector that starts as ones.

    All linear layers of the backbone get one. Published, (IA)^3 scales keys, values and the inside of the feed-forward part
    alone; networks name these too differently to find them in any backbone. A backbone without linear layers (ResNet) gets
    either on its convolutions; one with both (ConvNeXt, ViT) on the linear layers alone.

    Args:
        encoder: is changed in place. One without parameters, such as given vectors, is left as it is.
        name: under which it stands in the item tower.
        kind: which of the two.
        rank: of LoRA.
        generator: of the matrices A.

    Raises:
        MissingExtraError: ``peft`` is not installed.
        ModelError: the backbone has no such layers, or none whose calls can be changed.
    """
    published = any(is_published(encoder, name, own) for own, _ in encoder.named_parameters())
    if not published:
        return
    peft = require_extra("peft", extra="peft", purpose=f"--tune {kind}")
    pattern = "|".join(re.escape(path) for path in _layers(encoder, name, kind))
    config = (
        peft.LoraConfig(r=rank, lora_alpha=SCALE * rank, target_modules=pattern)
        if kind == "lora"
        else peft.IA3Config(target_modules=pattern, feedforward_modules=[])
    )
    with torch.random.fork_rng(devices=[]):  # its own start is replaced, and must not use up random numbers
        peft.inject_adapter_in_model(config, encoder)
    for path, parameter in encoder.named_parameters():
        if ".lora_A." in path:
            drawn = torch.empty_like(parameter, device="cpu")
            nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
            parameter.data.copy_(drawn)


def merge_encoder(encoder: ModalityEncoder) -> None:
    """Put what :func:`add_mergeable` added into the weights it belongs to: the encoder has its plain structure again."""
    if not hasattr(encoder, "peft_config"):
        return
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [(path, module) for path, module in encoder.named_modules() if isinstance(module, BaseTunerLayer)]
    for path, layer in layers:
        layer.merge()
        encoder.set_submodule(path, layer.get_base_layer())
    del encoder.peft_config


def merge(model: TransRec) -> None:
    """Merge every encoder of a model, in place; one to which nothing was added stays as it is."""
    for encoder in model.items.encoders.values():
        assert isinstance(encoder, ModalityEncoder)
        merge_encoder(encoder)


def merged_copy(model: TransRec) -> TransRec:
    """The model with everything merged, while this one stays as it is; the model itself when there is nothing to merge."""
    if not any(hasattr(encoder, "peft_config") for encoder in model.items.encoders.values()):
        return model
    plain = copy.deepcopy(model)
    merge(plain)
    return plain


def merged_into(name: str) -> str | None:
    """The name of the weight that a parameter is merged into after the training, or None when it stays one of its own."""
    return _ADDED.sub(".weight", name) if _ADDED.search(name) else None


def plain_name(name: str) -> str:
    """The name that a parameter has in the plain structure."""
    return name.replace(".base_layer.", ".")


def _layers(encoder: ModalityEncoder, name: str, kind: Mergeable) -> list[str]:
    """The paths of the layers that are added to: linear ones, or else convolutions."""
    modules = [
        (path, module)
        for path, module in encoder.named_modules()
        if any(is_published(encoder, name, f"{path}.{own}") for own, _ in module.named_parameters())
    ]
    closed = [module for _, module in modules if isinstance(module, _READS_WEIGHTS_ITSELF)]
    linear = [path for path, module in modules if isinstance(module, nn.Linear)]
    # a convolution in groups can be added to, but not merged
    convolutions = [path for path, module in modules if isinstance(module, nn.Conv2d) and module.groups == 1]
    if closed or not (linear or convolutions):
        reason = f"computes with {type(closed[0]).__name__}" if closed else "has neither linear layers nor convolutions"
        raise ModelError(
            f"the {name} encoder {reason}, so {kind} cannot be added to it",
            where="tune",
            remedy="choose bitfit, top:N or frozen",
        )
    return linear or convolutions
