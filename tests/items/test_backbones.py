import json
import shutil
import socket
import time

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from torch import nn

from transrec.errors import BackboneError
from transrec.items import backbones
from transrec.items.backbones import (
    empty_backbone,
    load_backbone,
    load_image_processor,
    load_tokenizer,
    save_backbone_config,
    tower_of,
    transformer_blocks,
)


def test_loads_a_folder(text_folder):
    network = load_backbone(str(text_folder), "text")
    stored = load_file(text_folder / "model.safetensors")
    assert isinstance(network, hf.BertModel)
    assert set(stored) == set(dict(network.named_parameters()))
    assert torch.equal(network.embeddings.word_embeddings.weight, stored["embeddings.word_embeddings.weight"])


@pytest.mark.parametrize(
    ("role", "option"), [("text", "model.items.text.backbone"), ("image", "model.items.image.backbone")]
)
def test_a_missing_folder(role, option):
    with pytest.raises(BackboneError, match=r"there is no folder \./nowhere") as caught:
        load_backbone("./nowhere", role)
    assert option in str(caught.value)


def test_offline_says_so_at_once_and_names_the_folder_option():
    started = time.perf_counter()
    with pytest.raises(BackboneError, match="HF_HUB_OFFLINE is set") as caught:
        load_backbone("some-owner/some-model", "text")
    assert time.perf_counter() - started < 5
    assert "--model.items.text.backbone FOLDER" in str(caught.value)
    for load in (load_tokenizer, load_image_processor):
        with pytest.raises(BackboneError, match="FOLDER"):
            load("some-owner/some-model")


def test_without_a_connection_the_hub_is_not_tried(monkeypatch):
    monkeypatch.setattr(backbones.constants, "HF_HUB_OFFLINE", False)
    for key in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(key, raising=False)

    def refuse(address, timeout):
        assert timeout <= 5
        raise OSError("no route")

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(BackboneError, match="cannot be reached"):
        load_backbone("some-owner/some-model", "image")


def test_a_folder_that_holds_no_network(tmp_path):
    with pytest.raises(BackboneError, match="cannot be used as a text encoder"):
        load_backbone(str(tmp_path), "text")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "never-heard-of"}))
    with pytest.raises(BackboneError, match="cannot be used as an image encoder"):
        load_backbone(str(tmp_path), "image")


def test_weights_only_as_pickle_are_not_read(text_folder, tmp_path):
    folder = shutil.copytree(text_folder, tmp_path / "pickled")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BackboneError, match="cannot be used"):
        load_backbone(str(folder), "text")


def test_a_network_with_missing_weights_is_refused(text_folder, tmp_path):
    folder = shutil.copytree(text_folder, tmp_path / "lacking")
    weights = load_file(folder / "model.safetensors")
    lost = "encoder.layer.1.output.dense.weight"
    save_file({n: w for n, w in weights.items() if n != lost}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=f"lacks 1 of the weights.*{lost}"):
        load_backbone(str(folder), "text")


def test_a_pooler_that_is_missing_does_not_matter(text_folder):
    assert load_backbone(str(text_folder), "text").pooler is None


@pytest.mark.parametrize(("role", "kind"), [("text", hf.CLIPTextModel), ("image", hf.CLIPVisionModel)])
def test_of_two_towers_the_one_of_the_role_is_taken(role, kind, text_family, tmp_path):
    text_family("clip").save_pretrained(tmp_path)
    network = load_backbone(str(tmp_path), role)
    assert type(network) is kind
    expected = text_family("clip").state_dict()
    prefix = "text_model." if role == "text" else "vision_model."
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[prefix + name])


def test_encoder_decoders_are_refused():
    shape = {"vocab_size": 20, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    with pytest.raises(BackboneError, match="T5Model is not an encoder"):
        tower_of(hf.T5Model(hf.T5Config(**shape)), "text")


def test_a_tokenizer_that_cannot_pad(tokenizer, tmp_path):
    hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer).save_pretrained(tmp_path)
    with pytest.raises(BackboneError, match="no padding token"):
        load_tokenizer(str(tmp_path))


def test_an_empty_backbone_uses_up_no_random_numbers(text_family, tmp_path):
    save_backbone_config(text_family("bert"), tmp_path)
    before = torch.get_rng_state()
    empty_backbone(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("named", ["AutoModel", "Trainer", "nothing"])
def test_a_description_cannot_name_just_any_class(named, text_family, tmp_path):
    save_backbone_config(text_family("bert"), tmp_path)
    (tmp_path / "backbone.json").write_text(json.dumps({"format": 1, "class": named}))
    with pytest.raises(BackboneError, match="no network"):
        empty_backbone(tmp_path)


def test_blocks_are_the_outermost_repeated_layers():
    inner = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    outer = nn.ModuleList([nn.ModuleDict({"layers": inner}), nn.Linear(9, 9)])
    adapters = nn.ModuleList([nn.Linear(1, 1)])
    network = nn.ModuleDict({"adapters": adapters, "stages": outer, "norms": nn.ModuleList([nn.Dropout(), nn.Dropout()])})
    assert transformer_blocks(network) == tuple(outer)
    assert transformer_blocks(nn.Linear(2, 2)) == ()
