"""Tiny untrained networks of every family that is named in the docs, with a tokenizer and processors to go with them."""

import io

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from transrec.data.catalog import Item
from transrec.items.scratch import new_image_backbone, new_text_backbone

TEXTS = [
    "red running shoes for women",
    "a blue woollen hat",
    "socks",
    "the complete history of the bicycle, with many pictures and a map of every road in the country",
    "green running socks, pack of three",
]
SHAPE = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
TWO_TOWERS = {**SHAPE, "projection_dim": 8}
VISION = {"image_size": 16, "patch_size": 8}


def _text_family(family, vocabulary):
    common = {"vocab_size": vocabulary, "max_position_embeddings": 40, "pad_token_id": 0}
    if family == "bert":
        return hf.BertModel(hf.BertConfig(**common, **SHAPE))
    if family == "roberta":
        return hf.RobertaModel(hf.RobertaConfig(**common, **SHAPE, type_vocab_size=1))
    if family == "xlm-roberta":
        return hf.XLMRobertaModel(hf.XLMRobertaConfig(**common, **SHAPE, type_vocab_size=1))
    if family == "mpnet":
        return hf.MPNetModel(hf.MPNetConfig(**common, **SHAPE))
    if family == "distilbert":
        shape = {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32}
        return hf.DistilBertModel(hf.DistilBertConfig(**common, **shape))
    kind, config = (hf.CLIPModel, hf.CLIPConfig) if family == "clip" else (hf.SiglipModel, hf.SiglipConfig)
    text = {**common, **SHAPE, "projection_dim": 8} if family == "clip" else {**common, **SHAPE}
    return kind(config(text_config=text, vision_config={**SHAPE, **VISION}))


def _image_family(family):
    if family == "resnet":
        return hf.ResNetModel(hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic"))
    if family == "convnext":
        return hf.ConvNextModel(hf.ConvNextConfig(num_stages=2, hidden_sizes=[8, 16], depths=[1, 2]))
    if family == "swin":
        return hf.SwinModel(
            hf.SwinConfig(image_size=16, patch_size=2, embed_dim=8, depths=[1, 2], num_heads=[2, 2], window_size=4)
        )
    if family == "vit":
        return hf.ViTModel(hf.ViTConfig(**SHAPE, **VISION))
    if family == "dinov2":
        return hf.Dinov2Model(hf.Dinov2Config(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, **VISION))
    return _text_family(family, 60)


def _picture(seed, size=(20, 30), mode="RGB", kind="PNG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, kind)
    return out.getvalue()


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory):
    return new_text_backbone(TEXTS, tmp_path_factory.mktemp("text-backbone"), width=16, layers=2, heads=2, max_length=48)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    return new_image_backbone(tmp_path_factory.mktemp("image-backbone"), side=16, width=16, layers=1)


@pytest.fixture(scope="session")
def tokenizer(text_folder):
    return hf.AutoTokenizer.from_pretrained(text_folder)


@pytest.fixture
def text_family(tokenizer):
    """Build a text network by family name; the weights are the same each time."""

    def build(family):
        with torch.random.fork_rng():
            torch.set_rng_state(torch.Generator().manual_seed(3).get_state())
            return _text_family(family, len(tokenizer)).eval()

    return build


@pytest.fixture
def image_family():
    """Build a vision network by family name; the weights are the same each time."""

    def build(family):
        with torch.random.fork_rng():
            torch.set_rng_state(torch.Generator().manual_seed(3).get_state())
            return _image_family(family).eval()

    return build


@pytest.fixture
def processor():
    return ViTImageProcessorPil(size={"height": 16, "width": 16})


@pytest.fixture
def picture():
    """Make an encoded picture of noise from a seed."""
    return _picture


@pytest.fixture
def text_items():
    return [Item(f"t{place}", text=text) for place, text in enumerate(TEXTS)]


@pytest.fixture
def image_items():
    return [Item(f"p{seed}", image=_picture(seed)) for seed in range(4)]
