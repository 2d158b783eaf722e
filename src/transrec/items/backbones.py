"""Backbones: pre-trained networks of ``transformers`` by hub name or folder, their input processing and their blocks."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import torch
import transformers
from huggingface_hub import constants
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    BaseImageProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from transrec.errors import BackboneError

Role = Literal["text", "image"]

CONNECT_SECONDS = 3.0
"""How long to wait for the hub to answer at all before saying that there is no connection."""

_OF_ALL_LAYERS = ("relative_attention_bias", "rel_embeddings")
_TOWER = {"text": "text_model", "image": "vision_model"}
_UNUSABLE = (OSError, ValueError, ImportError, RuntimeError, SafetensorError)
"""What transformers raises where files are missing, damaged, or do not fit each other."""
_FILES = "a folder as save_pretrained writes it: config.json, model.safetensors, and the tokenizer or processor files"


def load_backbone(name: str, role: Role) -> PreTrainedModel:
    """A pre-trained network, float32; of a model with two towers (CLIP, SigLIP) the tower of the role.

    Weights are read from safetensors only, and no code that comes with a repository is run.

    Args:
        name: a folder, or a repository on the Hugging Face hub; what is in the hub's cache already is used without asking.
        role: what it is to read.

    Raises:
        BackboneError: it is not there, cannot be downloaded, or is not such a network.
    """

    def load(**where: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
        # where peft is installed, adapters are looked for too, on the hub unless told otherwise
        adapters = {"local_files_only": where.get("local_files_only", False)}
        loaded: tuple[PreTrainedModel, dict[str, Any]] = AutoModel.from_pretrained(
            name, dtype=torch.float32, use_safetensors=True, output_loading_info=True, adapter_kwargs=adapters, **where
        )
        return loaded

    model, report = _load(name, role, load)
    tower = tower_of(model, role)
    inside = {id(p): own for own, p in tower.named_parameters()}
    missing = set(report["missing_keys"])
    unread = [inside[id(p)] for full, p in model.named_parameters() if full in missing and id(p) in inside]
    if unread:
        raise BackboneError(
            f"{name} lacks {len(unread)} of the weights of {type(tower).__name__}, for example {unread[0]}",
            where=_option(role),
            remedy="give a network with all of its weights; one cannot be used that is partly random",
        )
    return tower


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a backbone, by folder or hub name.

    Raises:
        BackboneError: there is none, or it cannot pad.
    """
    tokenizer: PreTrainedTokenizerBase = _load(name, "text", lambda **where: AutoTokenizer.from_pretrained(name, **where))
    if tokenizer.pad_token_id is None:
        raise BackboneError(
            f"the tokenizer of {name} has no padding token",
            where=_option("text"),
            remedy="choose a text encoder (BERT, MiniLM, RoBERTa, XLM-R, ...) or set pad_token in its tokenizer_config.json",
        )
    return tokenizer


def load_image_processor(name: str) -> BaseImageProcessor:
    """The image processor of a backbone, by folder or hub name, with its Pillow implementation.

    Raises:
        BackboneError: there is none.
    """
    processor: BaseImageProcessor = _load(
        name, "image", lambda **where: AutoImageProcessor.from_pretrained(name, backend="pil", **where)
    )
    return processor


def tower_of(model: PreTrainedModel, role: Role) -> PreTrainedModel:
    """The part of a network that reads text or pictures, without parts that nothing here uses.

    Pooling heads and mask tokens belong to the tasks that a backbone was pre-trained on. Left in, they would be parameters
    that are saved and shown as learning, yet never get a gradient.

    Args:
        model: is changed in place.
        role: what the tower is to read.

    Raises:
        BackboneError: the network is not an encoder of that kind.
    """
    tower: Any = getattr(model, _TOWER[role], model)
    if not isinstance(tower, PreTrainedModel) or tower.config.is_encoder_decoder:
        raise BackboneError(
            f"{type(model).__name__} is not an encoder with one output for each token or patch",
            where=_option(role),
            remedy="choose an encoder: BERT, MiniLM, RoBERTa, XLM-R for text; ResNet, ConvNeXt, ViT, DINOv2 for pictures",
        )
    pooler = getattr(tower, "pooler", None)
    if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
        tower.pooler = None  # type: ignore[assignment]
    if isinstance(tower, transformers.SiglipVisionModel) and tower.use_head:
        tower.use_head = False
        del tower.head
    if isinstance(tower, transformers.SiglipTextModel):
        tower.head = nn.Identity()  # type: ignore[assignment]
    for module in tower.modules():
        if isinstance(getattr(module, "mask_token", None), nn.Parameter):
            module.mask_token = None
        # MPNet and DeBERTa register what all their layers use behind them, and order says what learns with the top
        if "layer" in module._modules and any(shared in module._modules for shared in _OF_ALL_LAYERS):
            module._modules["layer"] = module._modules.pop("layer")
    return cast("PreTrainedModel", tower)


def transformer_blocks(backbone: nn.Module) -> Sequence[nn.Module]:
    """The repeated layers or stages of a network from input to output; empty when it has none.

    They are the outermost ``nn.ModuleList`` whose members all hold parameters; of several, the one that holds most.
    """
    outermost: list[tuple[str, nn.ModuleList]] = []
    for name, module in backbone.named_modules():
        inside = any(name.startswith(outer + ".") for outer, _ in outermost)
        if isinstance(module, nn.ModuleList) and len(module) and not inside and all(map(_size, module)):
            outermost.append((name, module))
    lists: list[nn.ModuleList] = [blocks for _, blocks in outermost]
    if not lists:
        return ()
    sizes = [_size(blocks) for blocks in lists]
    return tuple(lists[sizes.index(max(sizes))])


def position_padding(backbone: nn.Module) -> int | None:
    """The padding token's place in a table of positions, behind which RoBERTa's positions begin; None in other tables."""
    table = next((module for name, module in backbone.named_modules() if name.endswith("position_embeddings")), None)
    place: int | None = getattr(table, "padding_idx", None)
    return place


def save_backbone_config(backbone: PreTrainedModel, folder: Path) -> None:
    """Write what :func:`empty_backbone` needs: the configuration and which class it configures."""
    folder.mkdir(parents=True, exist_ok=True)
    backbone.config.save_pretrained(folder)
    (folder / "backbone.json").write_text(json.dumps({"format": 1, "class": type(backbone).__name__}))


def empty_backbone(folder: Path) -> PreTrainedModel:
    """The network that :func:`save_backbone_config` described, with weights that mean nothing yet.

    Raises:
        BackboneError: the folder does not describe a network that this version of ``transformers`` knows.
    """
    try:
        name = json.loads((folder / "backbone.json").read_text())["class"]
        kind = getattr(transformers, name, None)
        if not (isinstance(kind, type) and issubclass(kind, PreTrainedModel)):
            raise ValueError(f"transformers {transformers.__version__} has no network {name!r}")
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        with torch.random.fork_rng(devices=[]):  # weights that are overwritten next must not use up random numbers
            return cast("PreTrainedModel", kind._from_config(config, dtype=torch.float32))
    except (OSError, ValueError, KeyError) as error:
        raise BackboneError(
            f"the encoder's description cannot be used: {error}", where=str(folder), remedy="copy the run folder again"
        ) from None


# ---- finding ----------------------------------------------------------------------------------------------------------


def _load(name: str, role: Role, load: Callable[..., Any]) -> Any:
    """From a folder; else from the hub's cache; else from the hub, if it can be reached."""
    with quiet_transformers():
        if Path(name).expanduser().is_dir():
            return _attempt(name, role, load)
        if _looks_like_a_path(name):
            raise BackboneError(f"there is no folder {name}", where=_option(role), remedy=f"give {_FILES}")
        try:
            return load(local_files_only=True, trust_remote_code=False)
        except _UNUSABLE:
            pass  # not in the cache, or not all of it
        if constants.HF_HUB_OFFLINE:
            raise _absent(name, role, "it is not in the hub's cache, and HF_HUB_OFFLINE is set")
        if not _hub_answers():
            raise _absent(name, role, f"it is not in the hub's cache, and {constants.ENDPOINT} cannot be reached")
        try:
            return load(trust_remote_code=False)
        except _UNUSABLE as error:
            raise _absent(name, role, _first_line(error)) from None


def _attempt(folder: str, role: Role, load: Callable[..., Any]) -> Any:
    try:
        return load(local_files_only=True, trust_remote_code=False)
    except _UNUSABLE as error:
        raise BackboneError(
            f"the folder {folder} cannot be used as {_article(role)} encoder: {_first_line(error)}",
            where=_option(role),
            remedy=f"give {_FILES}",
        ) from None


def _absent(name: str, role: Role, reason: str) -> BackboneError:
    return BackboneError(
        f"the {role} encoder {name!r} cannot be loaded: {reason}",
        where=_option(role),
        remedy=f"on a machine with internet run `hf download {name} --local-dir FOLDER`, bring FOLDER here, and pass it: "
        f"--{_option(role)} FOLDER; or leave the modality out with --model.items.modalities",
    )


def _hub_answers() -> bool:
    """Whether a connection to the hub opens at once; the hub's client would try for minutes before it gives up."""
    if any(os.environ.get(key) for key in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True  # the proxy knows; names may not resolve on this side of it
    address = urlsplit(constants.ENDPOINT)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        with socket.create_connection((address.hostname or "", port), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _looks_like_a_path(name: str) -> bool:
    return name.startswith((".", "/", "~", "\\")) or name.count("/") > 1 or "\\" in name


def _option(role: Role) -> str:
    return f"model.items.{role}.backbone"


def _article(role: Role) -> str:
    return "a text" if role == "text" else "an image"


def _first_line(error: BaseException) -> str:
    if "ignore_mismatched_sizes" in str(error):
        return "its weights have other shapes than its config.json says"
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without the table of unused weights (we check for missing ones ourselves) and the bars over the shards of weights."""
    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
