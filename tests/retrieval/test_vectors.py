"""Fixed encoders run once, and their vectors change no number."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import SETTINGS, platform
from PIL import Image

from transrec.data.catalog import Catalog, Item
from transrec.data.store import ContentStore
from transrec.items.encoder import Prepared
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.items.text import TextEncoder, TextSettings
from transrec.model import ModelSettings, TransRec
from transrec.retrieval.vectors import assets_digest, weights_digest, with_vectors


@pytest.fixture
def model() -> TransRec:
    return TransRec.build(SETTINGS, [platform().catalog], seed=3)


def test_vectors_give_the_same_items(model: TransRec, tmp_path: Path) -> None:
    store = ContentStore.prepare(platform().catalog, model.items.preparers())
    rows = np.array([4, 49, 0])
    model.eval()
    expected = model.items(store.gather(rows)).fused_UD
    for folder in (None, tmp_path):
        replaced = with_vectors(model, store, folder)
        part = replaced.gather(rows).parts["given"]
        assert isinstance(part.content, torch.Tensor)
        assert model.items(replaced.gather(rows)).fused_UD.equal(expected)


def test_encoders_run_once_for_the_same_weights(model: TransRec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = model.items.encoders["given"]
    calls = []
    forward = encoder.forward

    def counted(prepared: Prepared) -> torch.Tensor:
        calls.append(len(prepared["vector"]))
        return forward(prepared)

    monkeypatch.setattr(encoder, "forward", counted)
    store = ContentStore.prepare(platform().catalog, model.items.preparers(), tmp_path)
    with_vectors(model, store, tmp_path)
    with_vectors(model, store, tmp_path)
    assert sum(calls) == 50
    before = weights_digest(encoder)
    encoder.mean.add_(1.0)
    assert weights_digest(encoder) != before
    with_vectors(model, store, tmp_path)
    assert sum(calls) == 100


def test_encoders_that_learn_are_left_out_in_training(model: TransRec) -> None:
    store = ContentStore.prepare(platform().catalog, model.items.preparers())
    encoder = model.items.encoders["given"]
    encoder.register_parameter("scale", torch.nn.Parameter(torch.ones(1)))
    assert with_vectors(model, store, None, training=True).parts["given"] is store.parts["given"]
    encoder.scale.requires_grad_(requires_grad=False)
    assert with_vectors(model, store, None, training=True).parts["given"] is not store.parts["given"]


def test_encoders_with_the_same_weights_and_other_settings_do_not_share_vectors(tmp_path: Path) -> None:
    texts = ["a red hat", "two blue socks and a scarf", "shoes"]
    folder = new_text_backbone(texts, tmp_path / "backbone", width=16, layers=1, heads=2)
    catalog = Catalog.from_items([Item(id=text, text=text) for text in texts])
    found = {}
    for pooling in ("mean", "first"):
        text = {"backbone": str(folder), "max_length": 12, "pooling": pooling}
        settings = ModelSettings.from_mapping({"items": {"width": 16, "text": text}, "users": {"heads": 2}})
        model = TransRec.build(settings, [catalog], seed=1)
        store = ContentStore.prepare(catalog, model.items.preparers(), tmp_path / "store")
        stored = with_vectors(model, store, tmp_path / "store").gather(np.arange(3)).parts["text"].content
        with torch.no_grad():
            direct = model.items.encoders["text"].eval()(store.gather(np.arange(3)).parts["text"].content)
        assert torch.allclose(stored, direct, atol=1e-6)
        found[pooling] = stored
    assert not torch.allclose(found["mean"], found["first"])


def test_a_loaded_run_finds_the_vectors_of_the_one_that_was_saved(tmp_path: Path) -> None:
    texts = ["a red hat", "two blue socks and a scarf", "shoes"]
    folder = new_text_backbone(texts, tmp_path / "backbone", width=16, layers=1, heads=2)
    new_image_backbone(tmp_path / "image", side=16, width=16, layers=1)
    settings = ModelSettings.from_mapping(
        {
            "items": {
                "width": 16,
                "modalities": ["text", "image"],
                "text": {"backbone": str(folder), "max_length": 12},
                "image": {"backbone": str(tmp_path / "image")},
            },
            "users": {"heads": 2},
        }
    )
    picture = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(picture, "PNG")
    catalog = Catalog.from_items([Item(id="a", text="a red hat"), Item(id="b", image=picture.getvalue())])
    model = TransRec.build(settings, [catalog], seed=1)
    model.save(tmp_path / "run")
    for name, encoder in TransRec.load(tmp_path / "run").items.encoders.items():
        original = model.items.encoders[name]
        assert assets_digest(encoder) == assets_digest(original)
        assert weights_digest(encoder) == weights_digest(original)


def test_how_texts_are_laid_out_is_no_part_of_what_an_encoder_is(tmp_path: Path) -> None:
    """What is kept of items stays valid; the choice itself is saved all the same."""
    folder = str(new_text_backbone(["a red hat"], tmp_path / "backbone", width=16, layers=1, heads=2))
    made = {
        name: TextEncoder.from_settings(TextSettings.from_mapping({"backbone": folder, "max_length": 12, **more}))
        for name, more in {
            "auto": {},
            "packed": {"batching": "packed"},
            "padded": {"batching": "padded"},
            "other": {"pooling": "first"},
        }.items()
    }
    digests = {name: assets_digest(encoder) for name, encoder in made.items()}
    assert digests["auto"] == digests["packed"] == digests["padded"] != digests["other"]
    made["packed"].save_assets(tmp_path / "assets")
    assert TextEncoder.from_assets(tmp_path / "assets").settings.batching == "packed"
    made["packed"].save_identity(tmp_path / "identity")
    assert "batching" not in (tmp_path / "identity" / "encoder.yaml").read_text(), (
        "keys of older versions are those of today"
    )
