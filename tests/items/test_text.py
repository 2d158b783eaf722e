import functools

import pytest
import torch
import transformers as hf

from transrec.data.catalog import Item
from transrec.errors import BackboneError, DataError, SettingsError
from transrec.items.buckets import length_buckets
from transrec.items.scratch import new_text_backbone
from transrec.items.text import TextEncoder, TextSettings
from transrec.testing import ModalityEncoderContract

FAMILIES = ["bert", "roberta", "xlm-roberta", "mpnet", "distilbert", "clip", "siglip"]
SETTINGS = TextSettings(max_length=16)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_vector_does_not_depend_on_the_padding(family, text_family, tokenizer, text_items):
    encoder = TextEncoder(text_family(family), tokenizer, SETTINGS).double().eval()
    with torch.no_grad():
        together = encoder(encoder.prepare(text_items))
        alone = torch.cat([encoder(encoder.prepare([item])) for item in text_items])
        # the same through the whole padded length, as the backbone itself would be used
        texts = [item.text for item in text_items]
        given = tokenizer(texts, padding="max_length", truncation=True, max_length=16, return_tensors="pt")
        ids, mask = given["input_ids"], given["attention_mask"]
        padded = encoder.pooling(encoder.backbone(input_ids=ids, attention_mask=mask).last_hidden_state, mask.bool())
    assert together.shape == (len(text_items), 16)
    torch.testing.assert_close(alone, together, atol=1e-10, rtol=0.0)
    torch.testing.assert_close(padded, together, atol=1e-10, rtol=0.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_layers_as_blocks_and_no_idle_parameter(family, text_family, tokenizer, text_items):
    encoder = TextEncoder(text_family(family), tokenizer, SETTINGS)
    blocks = encoder.blocks()
    assert len(blocks) == 3
    assert "Layer" in type(blocks[0]).__name__ or "Block" in type(blocks[0]).__name__
    vectors = encoder(encoder.prepare(text_items))
    (vectors * torch.linspace(0.5, 1.5, vectors.numel()).view_as(vectors)).sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_comes_back_from_its_assets(family, text_family, tokenizer, text_items, tmp_path):
    encoder = TextEncoder(text_family(family), tokenizer, SETTINGS).eval()
    encoder.save_assets(tmp_path)
    loaded = TextEncoder.from_assets(tmp_path).eval()
    loaded.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        assert torch.equal(loaded(loaded.prepare(text_items)), encoder(encoder.prepare(text_items)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\N{THINKING FACE}\N{ZERO WIDTH SPACE}", "word " * 300])
def test_any_text_gives_a_finite_vector(family, text, text_family, tokenizer):
    encoder = TextEncoder(text_family(family), tokenizer, TextSettings(max_length=37, pooling="attention")).eval()
    with torch.no_grad():
        vectors = encoder(encoder.prepare([Item("odd", text=text), Item("even", text="socks")]))
    assert vectors.shape == (2, 80)
    assert vectors.isfinite().all()


def test_the_empty_text_of_a_tokenizer_without_special_tokens(text_family, text_folder):
    tokenizer = hf.AutoTokenizer.from_pretrained(text_folder)
    tokenizer.backend_tokenizer.post_processor = None
    encoder = TextEncoder(text_family("bert"), tokenizer, SETTINGS).eval()
    prepared = encoder.prepare([Item("empty", text="")])
    assert prepared["tokens"].lengths_n.tolist() == [1]
    assert encoder(prepared).isfinite().all()


@pytest.mark.parametrize(("pooling", "expected"), [("mean", "mean"), ("first", "first")])
def test_pooling_agrees_with_the_backbone_used_by_hand(pooling, expected, text_folder, text_items):
    encoder = TextEncoder.from_settings(TextSettings(backbone=str(text_folder), pooling=pooling, max_length=16)).eval()
    model = hf.AutoModel.from_pretrained(text_folder).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(text_folder)
    with torch.no_grad():
        found = encoder(encoder.prepare(text_items))
        for place, item in enumerate(text_items):
            ids = tokenizer(item.text, return_tensors="pt", truncation=True, max_length=16)
            tokens = model(**ids).last_hidden_state[0]
            by_hand = tokens.mean(dim=0) if expected == "mean" else tokens[0]
            torch.testing.assert_close(found[place], by_hand, atol=1e-5, rtol=0.0)


def test_tokens_are_ragged_and_of_the_smallest_type(text_family, tokenizer, text_items, monkeypatch):
    encoder = TextEncoder(text_family("bert"), tokenizer, SETTINGS)
    tokens = encoder.prepare(text_items)["tokens"]
    expected = [tokenizer(item.text, truncation=True, max_length=16)["input_ids"] for item in text_items]
    assert [ids.tolist() for ids in tokens.each()] == expected
    assert tokens.values.dtype == torch.uint16
    monkeypatch.setattr(type(tokenizer), "get_vocab", lambda _: {"far": 1 << 16})
    large = TextEncoder(text_family("bert"), tokenizer, SETTINGS)
    assert large.prepare(text_items)["tokens"].values.dtype == torch.int32


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("below", [1, 2, 3])
def test_every_family_runs_in_two_halves(family, below, text_family, tokenizer, text_items):
    encoder = TextEncoder(text_family(family), tokenizer, SETTINGS).double().eval()
    with torch.no_grad():
        lowered = encoder.lower(encoder.prepare(text_items), below)
        assert lowered["states"].values.shape == (encoder.prepare(text_items)["tokens"].lengths_n.sum(), 16)
        found, expected = encoder.upper(lowered, below), encoder(encoder.prepare(text_items))
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0.0)


@pytest.mark.parametrize("family", ["mpnet", "deberta"])
def test_what_all_layers_use_is_before_them(family, text_family, tokenizer):
    """Else it would learn with the top layers, and no layer below would be fixed."""
    if family == "mpnet":
        network, shared = text_family("mpnet"), "relative_attention_bias"
    else:
        shape = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
        network, shared = hf.DebertaV2Model(hf.DebertaV2Config(**shape, relative_attention=True)), "rel_embeddings"
    encoder = TextEncoder(network, tokenizer, SETTINGS)
    order = [module for module, _ in encoder.backbone.encoder.named_children()]
    assert order.index(shared) < order.index("layer")


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_buckets_change_no_number(pooling, text_family, tokenizer, monkeypatch):
    encoder = TextEncoder(text_family("bert"), tokenizer, TextSettings(max_length=30, pooling=pooling, batching="buckets"))
    encoder = encoder.double().eval()
    items = [Item(str(count), text="socks " * count) for count in (9, 1, 25, 3, 1, 14, 0, 25)]
    sizes = []
    encoder.backbone.register_forward_pre_hook(
        lambda _, __, named: sizes.append(tuple(named["input_ids"].shape)), with_kwargs=True
    )
    found = {}
    for cost in (0, 10**6):
        monkeypatch.setattr("transrec.items.text.length_buckets", functools.partial(length_buckets, cost=cost))
        encoder.zero_grad()
        vectors = encoder(encoder.prepare(items))
        (vectors * torch.linspace(0.5, 1.5, vectors.numel()).view_as(vectors)).sum().backward()
        found[cost] = [vectors.detach(), *(p.grad.clone() for p in encoder.parameters())]
    assert len(sizes) == 6 + 1 and sizes[-1] == (8, 28)
    torch.testing.assert_close(found[0], found[10**6], atol=1e-10, rtol=0.0)


def test_a_folder_written_before_there_was_batching_can_be_read(text_family, tokenizer, text_items, tmp_path):
    encoder = TextEncoder(text_family("bert"), tokenizer, SETTINGS).eval()
    encoder.save_assets(tmp_path)
    path = tmp_path / "encoder.yaml"
    assert "batching: auto\n" in path.read_text()
    path.write_text(path.read_text().replace("batching: auto\n", ""))
    assert TextEncoder.from_assets(tmp_path).settings == SETTINGS


def test_the_first_token_needs_a_class_token(text_family, tokenizer):
    without = hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, pad_token="[PAD]")
    with pytest.raises(SettingsError, match="no class token"):
        TextEncoder(text_family("clip"), without, TextSettings(pooling="first", max_length=16))


@pytest.mark.parametrize(("family", "limit"), [("bert", 40), ("roberta", 39), ("clip", 40)])
def test_longer_than_the_backbone_reads_is_an_error_at_once(family, limit, text_family, tokenizer):
    longest = TextEncoder(text_family(family), tokenizer, TextSettings(max_length=limit)).eval()
    with torch.no_grad():
        assert longest(longest.prepare([Item("long", text="socks " * 100)])).isfinite().all()
    with pytest.raises(SettingsError, match=f"at most {limit} tokens"):
        TextEncoder(text_family(family), tokenizer, TextSettings(max_length=limit + 1))


def test_a_vision_network_is_not_taken_for_text(image_family, tokenizer):
    with pytest.raises(BackboneError, match="does not read text"):
        TextEncoder(image_family("resnet"), tokenizer, SETTINGS)


def test_the_key_follows_tokenizer_and_length(text_family, tokenizer, tmp_path):
    key = TextEncoder(text_family("bert"), tokenizer, SETTINGS).preparation_key()
    other = hf.AutoTokenizer.from_pretrained(new_text_backbone(["quite other words"], tmp_path, width=16, heads=2))
    assert TextEncoder(text_family("bert"), tokenizer, TextSettings(max_length=17)).preparation_key() != key
    assert TextEncoder(text_family("bert"), other, SETTINGS).preparation_key() != key
    assert TextEncoder(text_family("roberta"), tokenizer, SETTINGS).preparation_key() == key


def test_an_item_without_text_is_named(text_family, tokenizer):
    with pytest.raises(DataError, match="'mute' has no text"):
        TextEncoder(text_family("bert"), tokenizer, SETTINGS).prepare([Item("mute", image=b"x")])


class TestTextEncoder(ModalityEncoderContract):
    @pytest.fixture(autouse=True)
    def _parts(self, text_folder, text_items):
        self.folder, self.texts = text_folder, text_items

    def make(self):
        return TextEncoder.from_settings(TextSettings(backbone=str(self.folder), max_length=24, pooling="mean"))

    def items(self):
        return self.texts


class TestTextEncoderWithAttentionPooling(ModalityEncoderContract):
    @pytest.fixture(autouse=True)
    def _parts(self, text_folder, text_items):
        self.folder, self.texts = text_folder, text_items

    def make(self):
        return TextEncoder.from_settings(TextSettings(backbone=str(self.folder), max_length=24, pooling="attention"))

    def items(self):
        return self.texts
