"""LoRA and (IA)^3: added to any backbone, and merged into its own weights without a trace."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from transrec.data.catalog import Catalog, Item
from transrec.errors import MissingExtraError, ModelError
from transrec.items.backbones import tower_of
from transrec.items.encoder import ModalityEncoder
from transrec.model import ModelSettings, TransRec
from transrec.rules import Tuning, apply_tuning, merge, merged_copy
from transrec.rules.mergeable import add_mergeable, merge_encoder

Platform = Callable[..., Catalog]
Settings = Callable[..., ModelSettings]
Vectors = Callable[[TransRec, Catalog], Tensor]


def disturb(model: nn.Module, added: set[str]) -> None:
    """As if they had learned much."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if name in added:
            parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)


@pytest.mark.parametrize("rule", ["lora", "lora:1", "ia3"])
@pytest.mark.parametrize("image", ["resnet", "convnext", "vit"])
def test_merging_changes_the_structure_and_not_the_vectors(
    rule: str, image: str, platform: Platform, settings: Settings, vectors: Vectors, tmp_path: Path
) -> None:
    catalog = platform(1)
    model = TransRec.build(settings(image=image), [catalog], seed=1)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    untouched = vectors(model, catalog)
    added = apply_tuning(model, Tuning.parse(rule))
    assert added and (vectors(model, catalog) - untouched).abs().max() < 1e-6, "it starts from the backbone as it is"
    disturb(model, set(added))
    learned = vectors(model, catalog)
    assert (learned - untouched).abs().max() > 0.01
    merge(model)
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == shapes
    assert (vectors(model, catalog) - learned).abs().max() < 1e-5
    model.save(tmp_path / "run")
    assert vectors(TransRec.load(tmp_path / "run"), catalog).equal(vectors(model, catalog))


def test_a_run_is_loaded_without_peft(
    platform: Platform, settings: Settings, vectors: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TransRec.build(settings(), [platform(1)], seed=1)
    apply_tuning(model, Tuning.parse("lora"))
    merged_copy(model).save(tmp_path / "run")
    for name in [name for name in sys.modules if name.partition(".")[0] == "peft"]:
        monkeypatch.setitem(sys.modules, name, None)
    loaded = TransRec.load(tmp_path / "run")
    merge(loaded)
    apply_tuning(loaded, Tuning.parse("bitfit"))
    with pytest.raises(MissingExtraError, match=r"transrec\[peft\]"):
        apply_tuning(loaded, Tuning.parse("lora"))


def test_a_merged_copy_leaves_the_model_in_training(platform: Platform, settings: Settings, vectors: Vectors) -> None:
    catalog = platform(1)
    model = TransRec.build(settings(), [catalog], seed=1)
    assert merged_copy(model) is model, "nothing to merge"
    added = apply_tuning(model, Tuning.parse("ia3"))
    disturb(model, set(added))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plain = merged_copy(model)
    assert not any("ia3" in name for name in plain.state_dict())
    assert (vectors(plain, catalog) - vectors(model, catalog)).abs().max() < 1e-5
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())
    assert set(before) == set(model.state_dict())


def test_merged_layers_can_be_tuned_again(platform: Platform, settings: Settings, vectors: Vectors) -> None:
    catalog = platform(1)
    model = TransRec.build(settings(), [catalog], seed=1)
    for rule in ("lora:2", "ia3", "lora:4"):
        before = vectors(model, catalog)
        added = apply_tuning(model, Tuning.parse(rule))
        assert (vectors(model, catalog) - before).abs().max() < 1e-6
        disturb(model, set(added))
        merge(model)


def test_every_linear_layer_gets_one_and_convolutions_only_where_there_is_none(
    platform: Platform, settings: Settings
) -> None:
    for image, kind in (("resnet", nn.Conv2d), ("convnext", nn.Linear), ("vit", nn.Linear)):
        model = TransRec.build(settings(image=image), [platform(1)])
        encoder = model.items.encoders["image"]
        wanted = {f"items.encoders.image.{path}.weight" for path, m in encoder.named_modules() if isinstance(m, kind)}
        added = apply_tuning(model, Tuning.parse("lora"))
        found = {name.partition(".lora_")[0] + ".weight" for name in added if ".image." in name}
        assert found == wanted


class Wrapped(ModalityEncoder):
    """Any network as an encoder."""

    modality, width = "any", 16

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, prepared: Mapping[str, Tensor]) -> Tensor:
        output = self.backbone(**prepared)
        return output.last_hidden_state.mean(dim=1) if hasattr(output, "last_hidden_state") else output

    def prepare(self, items: Sequence[Item]) -> Mapping[str, Tensor]:
        raise NotImplementedError

    def preparation_key(self) -> str:
        return "any"

    def save_assets(self, folder: Path) -> None:
        raise NotImplementedError

    @classmethod
    def from_assets(cls, folder: Path) -> Self:
        raise NotImplementedError


SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WORDS = {"vocab_size": 40, "max_position_embeddings": 20, "pad_token_id": 0}
PICTURES = {"image_size": 16, "patch_size": 8}
FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "roberta": lambda: hf.RobertaModel(hf.RobertaConfig(**WORDS, **SHAPE), add_pooling_layer=False),
    "mpnet": lambda: hf.MPNetModel(hf.MPNetConfig(**WORDS, **SHAPE), add_pooling_layer=False),
    "distilbert": lambda: hf.DistilBertModel(hf.DistilBertConfig(**WORDS, dim=16, n_layers=2, n_heads=2, hidden_dim=32)),
    "clip-text": lambda: hf.CLIPTextModel(hf.CLIPTextConfig(**WORDS, **SHAPE)),
    "clip-vision": lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(**SHAPE, **PICTURES)),
    "siglip-vision": lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**SHAPE, **PICTURES)),
    "dinov2": lambda: hf.Dinov2Model(
        hf.Dinov2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, **PICTURES)
    ),
    "swin": lambda: hf.SwinModel(
        hf.SwinConfig(image_size=16, patch_size=2, embed_dim=8, depths=[1, 2], num_heads=[2, 2], window_size=4)
    ),
}


@pytest.mark.parametrize("kind", ["lora", "ia3"])
@pytest.mark.parametrize("family", FAMILIES)
def test_networks_of_every_family(family: str, kind: Literal["lora", "ia3"]) -> None:
    generator = torch.Generator().manual_seed(1)
    given = {"pixel_values": torch.randn(3, 3, 16, 16, generator=generator)}
    network = FAMILIES[family]()
    if family in ("roberta", "mpnet", "distilbert", "clip-text"):
        given = {"input_ids": torch.randint(3, 40, (3, 7), generator=generator)}
    encoder = Wrapped(tower_of(network, "image" if "pixel_values" in given else "text")).eval()
    plain = set(encoder.state_dict())
    add_mergeable(encoder, "any", kind, 4, generator)
    added = {name for name, _ in encoder.named_parameters() if name not in plain and "base_layer" not in name}
    disturb(encoder, added)
    output = encoder(given)
    (output * torch.linspace(0.5, 1.5, output.numel()).view_as(output)).sum().backward()
    assert not [name for name, p in encoder.named_parameters() if name in added and (p.grad is None or not p.grad.any())]
    merge_encoder(encoder)
    assert set(encoder.state_dict()) == plain
    assert (encoder(given) - output).abs().max() < 1e-5


def test_a_network_that_nothing_can_be_added_to_says_so() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    for network, reason in (
        (nn.Sequential(nn.Linear(4, 16), layer), "the any encoder computes with TransformerEncoderLayer"),
        (nn.Sequential(nn.Embedding(4, 16), nn.LayerNorm(16)), "has neither linear layers nor convolutions"),
    ):
        with pytest.raises(ModelError, match=reason):
            add_mergeable(Wrapped(network), "any", "lora", 4, torch.Generator())
