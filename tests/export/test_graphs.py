import pytest
import torch
import transformers as hf
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from transrec.data.batches import ItemBatch, ItemPart
from transrec.data.item import Item
from transrec.data.ragged import Ragged
from transrec.data.times import UNKNOWN_TIME
from transrec.errors import ExportError
from transrec.export.graphs import ContentGraph, FusionGraph, TextGraph, UserGraph, item_graph
from transrec.export.onnx import OnnxFile, write_graph
from transrec.export.parity import measured
from transrec.items.features import FeatureEncoder
from transrec.items.fusion import GatedFusion
from transrec.items.image import ImageEncoder, ImageSettings
from transrec.items.projection import Projection
from transrec.items.scratch import new_text_backbone
from transrec.items.settings import ItemSettings
from transrec.items.text import TextEncoder, TextSettings
from transrec.items.tower import ItemEncoder
from transrec.nesting import Nesting
from transrec.users.settings import UserSettings
from transrec.users.tower import build_users

TEXTS = ["red running shoes for women", "socks", "the complete history of the bicycle, with many pictures"]


def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory):
    return new_text_backbone(TEXTS, tmp_path_factory.mktemp("text"), width=16, layers=1, heads=2, max_length=32)


def users(**chosen):
    nested = chosen.pop("nested", ())
    settings = {"window": 6, "layers": 1, "heads": 2, "feedforward": 16, **chosen}
    encoder = build_users(16, UserSettings.from_mapping(settings), nested).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator()))
    return encoder


def tower(encoders, **chosen):
    return ItemEncoder(encoders, ItemSettings.from_mapping({"width": 16, "modalities": list(encoders), **chosen})).eval()


def test_the_platforms_own_mean_is_in_the_graph():
    items = tower({"given": FeatureEncoder("given", 8)}, platforms=2)
    items.projections["given"].means.copy_(torch.arange(16.0).view(2, 8))
    vectors = torch.randn(5, 8, generator=generator())
    graph = item_graph(items, "given", {"vector": vectors}, platform=1)
    batch = ItemBatch(5, {"given": ItemPart(torch.arange(5), {"vector": vectors})}, platform=1)
    assert torch.equal(graph(vectors), items(batch).views["given"])
    assert not torch.equal(graph(vectors), item_graph(items, "given", {"vector": vectors}, platform=0)(vectors))


@pytest.mark.parametrize("padding", ["masked", "attended"])
def test_text_graphs_take_what_the_encoder_prepared(text_folder, padding):
    encoder = TextEncoder.from_settings(TextSettings(backbone=str(text_folder), max_length=12, padding=padding)).eval()
    items = tower({"text": encoder})
    prepared = encoder.prepare([Item(f"t{n}", text=text) for n, text in enumerate(TEXTS)])
    graph = item_graph(items, "text", prepared)
    assert isinstance(graph, TextGraph)
    batch = ItemBatch(3, {"text": ItemPart(torch.arange(3), prepared)})
    inputs = graph.of_prepared(prepared)
    torch.testing.assert_close(graph(*inputs), items(batch).views["text"], atol=1e-5, rtol=1e-5)
    drawn = graph.draw(4, 99, generator())
    assert drawn[0].shape == (4, 12)
    assert graph.inputs[0].shape == ("items", 12 if padding == "attended" else "tokens")
    assert ((drawn[0] == encoder.tokenizer.pad_token_id) == (drawn[1] == 0)).all()


def test_content_without_a_fixed_shape_is_refused():
    ragged = {"frames": Ragged.of([torch.zeros(2), torch.zeros(3)])}
    with pytest.raises(ExportError, match="it prepares frames of another length for every item"):
        ContentGraph(FeatureEncoder("clip", 8), Projection(8, 16), ragged, width=16)


def test_histories_are_drawn_as_they_may_come():
    graph = UserGraph(users(kind="gated"))
    items, mask, times = graph.draw(50, 99, generator())
    assert items.shape == (50, 6, 16) and mask[0].all() and not mask.any(dim=1).all()
    assert (times[~mask] == UNKNOWN_TIME).all() and (times[mask] == UNKNOWN_TIME).any()
    assert [port.name for port in graph.inputs] == ["items", "mask", "times"]
    assert [port.name for port in UserGraph(users()).inputs] == ["items", "mask"]


def test_an_item_without_any_view_has_a_zero_vector():
    graph = FusionGraph(GatedFusion(("a", "b"), Nesting.of(4)), ("a", "b"), 4)
    assert not graph(torch.randn(1, 2, 4, generator=generator()), torch.zeros(1, 2, dtype=torch.bool)).any()


# ---- every kind against PyTorch, other shapes than the traced one; translating takes seconds each ----------------------


def parity(graph, folder):
    write_graph(graph, folder / "graph.onnx")
    found = measured(graph.eval(), OnnxFile(folder / "graph.onnx"))
    assert found.compared == 8 and 0 < found.relative < 1e-5
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen",
    [
        {"attention": "bidirectional", "norm": "post", "start": "fresh"},
        {"start": "fresh", "mask_token": True, "adapter": 4},
        {"kind": "gated", "attention": "bidirectional", "gated": {"time_bias": False}},
        {"kind": "gated", "start": "fresh"},
        {"kind": "lru", "start": "fresh", "lru": {"ring": 0.6}},
        {"kind": "lru", "nested": (8, 16)},
        {"interests": {"count": 3, "adaptive": True}},
        {"kind": "gated", "interests": {"count": 2, "seeds": "queries", "rounds": 0}},
    ],
    ids=["published", "causal", "gated-without-times", "gated", "lru", "lru-nested", "interests", "asked interests"],
)
def test_user_towers(chosen, tmp_path):
    parity(UserGraph(users(**chosen)), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone",
    [
        hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"),
        hf.ConvNextConfig(num_stages=2, hidden_sizes=[8, 16], depths=[1, 1], image_size=16),
        hf.Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=24, patch_size=8),
    ],
    ids=["resnet", "convnext", "dinov2-stretched"],
)
def test_pictures(backbone, tmp_path):
    network = hf.AutoModel.from_config(backbone).eval()
    encoder = ImageEncoder(network, ViTImageProcessorPil(size={"height": 16, "width": 16}), ImageSettings()).eval()
    pixels = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=generator())
    parity(item_graph(tower({"image": encoder}), "image", {"pixels": pixels}), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "chosen"), [("bert", {"pooling": "attention", "padding": "attended"}), ("roberta", {"pooling": "mean"})]
)
def test_texts(kind, chosen, text_folder, tmp_path):
    tokenizer = hf.AutoTokenizer.from_pretrained(text_folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    common = {"vocab_size": len(tokenizer), "max_position_embeddings": 40, "pad_token_id": 0, **shape}
    network = hf.AutoModel.from_config((hf.BertConfig if kind == "bert" else hf.RobertaConfig)(**common)).eval()
    encoder = TextEncoder(network, tokenizer, TextSettings(max_length=12, **chosen)).eval()
    parity(item_graph(tower({"text": encoder}), "text", encoder.prepare([Item("t", text="socks")])), tmp_path)
