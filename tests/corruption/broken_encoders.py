"""Encoders that cannot be had, and vectors of another width than the model reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.torch
from corruption.broken import TRAIN, Refused, both, cut_short, nothing, with_instead, with_text, without

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.item import Item

HUB = TRAIN + " --model.items.text.backbone somebody/no-such-encoder"
TEXT, IMAGE = "[model.items.text.backbone]", "[model.items.image.backbone]"


def _without_layer(folder: Path) -> None:
    path = folder / "text" / "model.safetensors"
    kept = {name: tensor for name, tensor in safetensors.torch.load_file(path).items() if "attention" not in name}
    safetensors.torch.save_file(kept, path, {"format": "pt"})


def other_platform(folder: Path, width: int = 7, **vectors: object) -> None:
    """A dataset whose vectors have another width."""
    data = Dataset.open(folder / "data")
    items = [Item(id=own, vectors={"given": np.ones(width)}) for own in data.catalog.ids]
    Dataset(Catalog.from_items(items), data.interactions, "other").save(folder / "other")


def _texts_only(folder: Path) -> None:
    data = Dataset.open(folder / "data")
    items = [Item(id=own, vectors={"colours": np.ones(3)}) for own in data.catalog.ids]
    Dataset(Catalog.from_items(items), data.interactions, "other").save(folder / "other")


REFUSED = (
    Refused(
        "no folder of an encoder", without("text"), TRAIN, ("no folder", "text", "model.items.text.backbone", "config.json")
    ),
    Refused("no config.json", without("text/config.json"), TRAIN, ("text", TEXT, "config.json")),
    Refused(
        "config.json cut short",
        cut_short("text/config.json"),
        TRAIN,
        ("text", TEXT, "give a folder"),
    ),
    Refused("config.json is a list", with_text("text/config.json", "[]"), TRAIN, ("text", TEXT)),
    Refused(
        "unknown architecture",
        with_text("text/config.json", '{"model_type": "oracle"}'),
        TRAIN,
        ("text", TEXT, "oracle"),
    ),
    Refused(
        "no weights of an encoder",
        without("text/model.safetensors"),
        TRAIN,
        ("text", TEXT, "model.safetensors"),
    ),
    Refused(
        "weights of an encoder cut short",
        cut_short("text/model.safetensors"),
        TRAIN,
        ("text", TEXT, "give a folder"),
    ),
    Refused("encoder that lacks weights", _without_layer, TRAIN, ("text lacks", TEXT, "partly random")),
    Refused(
        "encoder of another shape",
        with_instead("text/config.json", '"hidden_size": 16', '"hidden_size": 8'),
        TRAIN,
        ("text", TEXT),
    ),
    Refused("no tokenizer", both(without("text/tokenizer.json")), TRAIN, ("text", TEXT, "tokenizer")),
    Refused(
        "tokenizer of an encoder cut short",
        cut_short("text/tokenizer.json"),
        TRAIN,
        ("text", TEXT, "tokenizer"),
    ),
    Refused(
        "tokenizer without padding",
        with_instead("text/tokenizer_config.json", '"pad_token"', '"bad_token"'),
        TRAIN,
        ("text", TEXT, "pad_token"),
    ),
    Refused(
        "no processor of pictures",
        without("image/preprocessor_config.json"),
        TRAIN,
        ("image", IMAGE, "processor"),
    ),
    Refused(
        "processor cut short",
        cut_short("image/preprocessor_config.json"),
        TRAIN,
        ("image", IMAGE, "processor"),
    ),
    Refused(
        "encoder of pictures for texts",
        nothing,
        TRAIN + " --model.items.text.backbone image",
        ("image", TEXT),
    ),
    Refused(
        "hub name without network",
        nothing,
        HUB,
        ("'somebody/no-such-encoder'", "HF_HUB_OFFLINE", "hf download", TEXT),
    ),
    Refused(
        "run of the hub without network",
        nothing,
        "recommend somebody/no-such-run --data data --history i1",
        ("somebody/no-such-run", "transrec train"),
    ),
    Refused(
        "encoder of one's own is not there",
        nothing,
        TRAIN + " --model.items.custom.mine nowhere:Encoder",
        ("nowhere", "[model.items.custom.mine]"),
    ),
    Refused(
        "vectors of another width",
        other_platform,
        "recommend run --data other --history i1",
        ("given", "7", "4"),
        "other/store",
    ),
    Refused(
        "vectors of another width, in transfer",
        other_platform,
        "transfer run other --out new --training.device cpu",
        ("given", "7", "4"),
        "other/store",
    ),
    Refused(
        "vectors of another width, in evaluate",
        other_platform,
        "evaluate run --data other --no-baselines --device cpu",
        ("given", "7", "4"),
        "other/store",
    ),
    Refused(
        "nothing that the run reads",
        _texts_only,
        "recommend run --data other --history i1",
        ("text, image, given", "no item of other"),
        "other/store",
    ),
    Refused(
        "nothing that the run reads, in transfer",
        _texts_only,
        "transfer run other --out new --training.device cpu",
        ("text, image, given", "no item of other"),
        "other/store",
    ),
)
