import filecmp

import pytest
import torch
import transformers as hf

from transrec.data.catalog import Item
from transrec.errors import DataError
from transrec.items.image import ImageEncoder, ImageSettings
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.items.text import TextEncoder, TextSettings

TEXTS = ["a small red lantern", "a large blue lantern", "the lantern festival"]


def _same(one, other):
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    return [name for name in names if not filecmp.cmp(one / name, other / name, shallow=False)]


def test_a_text_backbone_loads_as_any_does(tmp_path):
    folder = new_text_backbone(TEXTS, tmp_path, width=24, layers=3, heads=2, max_length=20)
    network, tokenizer = hf.AutoModel.from_pretrained(folder), hf.AutoTokenizer.from_pretrained(folder)
    assert (network.config.hidden_size, network.config.num_hidden_layers) == (24, 3)
    ids = tokenizer("A SMALL lantern")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "\u0120a", "\u0120small", "\u0120lantern", "[SEP]"]
    assert tokenizer.decode(tokenizer("\N{SNOWMAN}")["input_ids"], skip_special_tokens=True).strip() == "\N{SNOWMAN}"
    encoder = TextEncoder.from_settings(TextSettings(backbone=str(folder), max_length=20, pooling="first"))
    assert encoder(encoder.prepare([Item("a", text=TEXTS[0])])).shape == (1, 24)
    assert not [path for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]


@pytest.mark.parametrize("kind", ["convnext", "vit"])
def test_an_image_backbone_loads_as_any_does(kind, tmp_path, picture):
    folder = new_image_backbone(tmp_path, kind=kind, side=24, width=32, layers=1)
    encoder = ImageEncoder.from_settings(ImageSettings(backbone=str(folder))).eval()
    assert (encoder.side, encoder.width) == (24, 32)
    with torch.no_grad():
        vectors = encoder(encoder.prepare([Item("a", image=picture(1)), Item("b", image=picture(2))]))
    assert not torch.allclose(vectors[0], vectors[1], atol=1e-3)
    assert not any("batchnorm" in type(module).__name__.lower() for module in encoder.modules())


def test_the_seed_says_all(tmp_path):
    before = torch.get_rng_state()
    one = new_text_backbone(TEXTS, tmp_path / "one", width=16, heads=2)
    same = new_text_backbone(TEXTS, tmp_path / "same", width=16, heads=2)
    other = new_text_backbone(TEXTS, tmp_path / "other", width=16, heads=2, seed=1)
    assert _same(one, same) == []
    assert _same(one, other) == ["model.safetensors"]
    pictures = [new_image_backbone(tmp_path / f"image-{n}", side=16, width=16, seed=n // 2) for n in range(3)]
    assert _same(pictures[0], pictures[1]) == []
    assert _same(pictures[0], pictures[2]) == ["model.safetensors"]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("texts", [[], ["", "  "]])
def test_there_must_be_a_text(texts, tmp_path):
    with pytest.raises(DataError, match="no text"):
        new_text_backbone(texts, tmp_path)
