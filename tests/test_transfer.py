"""Transfer rules: what is copied, what starts fresh, what learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from torch import nn

from transrec.data.catalog import Catalog, Item
from transrec.data.store import ContentStore
from transrec.data.worlds import World
from transrec.errors import ModelError, SettingsError
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.model import ModelSettings, TransRec
from transrec.transfer import (
    SourceRule,
    Tuning,
    apply_tuning,
    copy_parameters,
    fates,
    initial_sources,
    summarised,
)


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(np.random.default_rng(0), topics=4)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, world: World) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("backbones")
    texts = world.platform("source", users=2, items=60, generator=np.random.default_rng(1), modalities="text").catalog
    new_text_backbone(texts.column("text").to_list(), folder / "text", width=16, layers=3, heads=2)
    new_image_backbone(folder / "image", side=32, width=16, layers=1)
    # a ResNet, because of its BatchNorm
    network = hf.ResNetModel(
        hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], layer_type="basic")
    )
    network.save_pretrained(folder / "image")
    return folder / "text", folder / "image"


def settings(folders: tuple[Path, Path], **items: object) -> ModelSettings:
    text, image = folders
    return ModelSettings.from_mapping(
        {
            "items": {
                "width": 16,
                "text": {"backbone": str(text), "max_length": 16, "pooling": items.pop("pooling", "mean")},
                "image": {"backbone": str(image)},
                **items,
            },
            "users": {"window": 6, "layers": 2, "heads": 2, "feedforward": 16},
        }
    )


def platform(world: World, seed: int, *, items: int = 40, users: int = 5) -> Catalog:
    return world.platform(f"p{seed}", users=users, items=items, generator=np.random.default_rng(seed)).catalog


def learning(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_a_source_loads_into_a_platform_with_other_users_and_items_without_a_mismatch(
    world: World, folders: tuple[Path, Path]
) -> None:
    source = TransRec.build(settings(folders), [platform(world, 1, items=60)], seed=1)
    target = source.fresh_for(platform(world, 2, items=37), seed=2)
    found = copy_parameters(target, source.state_dict())
    assert set(found.values()) == {"copy"}
    assert set(found) == set(source.state_dict()) == set(target.state_dict())
    assert all(tensor.equal(target.state_dict()[name]) for name, tensor in source.state_dict().items())
    assert not [name for name in found if "identity" in name]


def test_an_identity_table_starts_fresh_and_the_rest_is_copied(world: World, folders: tuple[Path, Path]) -> None:
    both = settings(folders, modalities=["text", "image", "identity"])
    source = TransRec.build(both, [platform(world, 1, items=60)], seed=1)
    target = source.fresh_for(platform(world, 2, items=37), seed=2)
    table = "items.encoders.identity.table.weight"
    before = target.state_dict()[table].clone()
    with pytest.raises(ModelError, match=r"identity.*\(37, 16\), the source run has shape \(60, 16\)"):
        copy_parameters(target, source.state_dict())
    found = copy_parameters(target, source.state_dict(), [SourceRule.parse("items.encoders.identity.*=fresh")])
    assert found[table] == "fresh" and target.state_dict()[table].equal(before)
    assert [name for name, fate in found.items() if fate == "fresh"] == [table]


def test_rules_start_parts_fresh_and_the_first_match_counts(world: World, folders: tuple[Path, Path]) -> None:
    source = TransRec.build(settings(folders), [platform(world, 1)], seed=1)
    target = source.fresh_for(platform(world, 2), seed=2)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    rules = [SourceRule.parse("users.positions.*=copy"), SourceRule.parse("users.*=fresh")]
    found = copy_parameters(target, source.state_dict(), rules)
    for name, tensor in target.state_dict().items():
        fresh = name.startswith("users.") and not name.startswith("users.positions.")
        assert found[name] == ("fresh" if fresh else "copy")
        assert tensor.equal(before[name] if fresh else source.state_dict()[name])
    weight = "users.blocks.0.query_key_value.weight"
    assert not before[weight].equal(source.state_dict()[weight])


def test_rules_are_strict(world: World, folders: tuple[Path, Path]) -> None:
    source = TransRec.build(settings(folders), [platform(world, 1)], seed=1)
    target = source.fresh_for(platform(world, 2), seed=2)
    with pytest.raises(SettingsError, match=r"rule user\.\*=fresh matches no parameter"):
        copy_parameters(target, source.state_dict(), [SourceRule.parse("user.*=fresh")])
    for wrong in ("users.*", "users.*=new", "=copy=x"):
        with pytest.raises(SettingsError, match="is not a rule"):
            SourceRule.parse(wrong)
    with pytest.raises(ModelError, match="came with a backbone"):
        copy_parameters(target, source.state_dict(), [SourceRule.parse("items.encoders.text.*=fresh")])


@pytest.mark.parametrize("text", ["full", "frozen", "top:1", "top:12"])
def test_tuning_is_written_as_it_is_read(text: str) -> None:
    assert str(Tuning.parse(text)) == text


@pytest.mark.parametrize("text", ["", "top", "top:0", "top:-1", "half", "top:two"])
def test_other_tuning_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a tuning rule"):
        Tuning.parse(text)


def test_top_blocks_have_gradients_and_frozen_batchnorm_stands_still(world: World, folders: tuple[Path, Path]) -> None:
    catalog = platform(world, 1)
    model = TransRec.build(settings(folders), [catalog], seed=1)
    apply_tuning(model, Tuning.parse("top:2"))
    store = ContentStore.prepare(catalog, model.items.preparers())
    before = {name: tensor.clone() for name, tensor in model.named_buffers()}
    assert any("running_mean" in name for name in before)
    model.train()
    model.items(store.gather(np.arange(20))).fused_UD.square().sum().backward()
    moved = {name for name, p in model.items.named_parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)}
    text, image = "encoders.text.backbone.", "encoders.image.backbone."
    assert any(name.startswith(text + "encoder.layer.1.") for name in moved)
    assert any(name.startswith(text + "encoder.layer.2.") for name in moved)
    assert any(name.startswith(image + "encoder.stages.2.") for name in moved)
    assert any(name.startswith(image + "encoder.stages.3.") for name in moved)
    allowed = (text + "encoder.layer.1.", text + "encoder.layer.2.", text + "pooler", image + "encoder.stages.2.")
    allowed = (*allowed, image + "encoder.stages.3.", "projections.", "fusion.")
    assert all(name.startswith(allowed) for name in moved)
    assert learning(model.items) >= moved
    assert all(name.startswith(allowed) for name in learning(model.items))
    assert learning(model.users) == {name for name, _ in model.users.named_parameters()}
    assert all(tensor.equal(before[name]) for name, tensor in model.named_buffers())


def test_frozen_and_full(world: World, folders: tuple[Path, Path]) -> None:
    model = TransRec.build(settings(folders, pooling="attention", modalities=["text", "identity"]), [platform(world, 1)])
    apply_tuning(model, Tuning.parse("frozen"))
    still = {name for name, _ in model.named_parameters()} - learning(model)
    assert still == {n for n, _ in model.named_parameters() if n.startswith("items.encoders.text.backbone.")}
    apply_tuning(model, Tuning.parse("full"))
    assert learning(model) == {name for name, _ in model.named_parameters()}


def test_more_blocks_than_there_are_is_said(world: World, folders: tuple[Path, Path]) -> None:
    model = TransRec.build(settings(folders), [platform(world, 1)])
    with pytest.raises(ModelError, match="the text encoder has 3 blocks, top:4 asks for more"):
        apply_tuning(model, Tuning.parse("top:4"))


def test_an_encoder_without_blocks_says_so() -> None:
    class Blockless(nn.Module):
        pass

    catalog = Catalog.from_items([Item(id="a", vectors={"given": np.ones(3)})])
    model = TransRec.build(
        ModelSettings.from_mapping({"items": {"width": 4, "modalities": ["identity"]}, "users": {"heads": 2}}), [catalog]
    )
    encoder = model.items.encoders["identity"]
    object.__setattr__(encoder, "modality", "other")
    model.items.encoders = nn.ModuleDict({"other": encoder})
    with pytest.raises(ModelError, match="the other encoder does not say what its blocks are"):
        apply_tuning(model, Tuning.parse("top:1"))


def test_fates_name_every_parameter_once_and_add_up(world: World, folders: tuple[Path, Path]) -> None:
    model = TransRec.build(settings(folders), [platform(world, 1)])
    apply_tuning(model, Tuning.parse("frozen"))
    found = fates(model, initial_sources(model))
    assert [fate.name for fate in found] == [name for name, _ in model.named_parameters()]
    for fate in found:
        assert fate.source == ("backbone" if ".backbone." in fate.name else "fresh")
        assert fate.learns != (".backbone." in fate.name)
    rows = summarised(found)
    assert sum(row.total for row in rows) == sum(p.numel() for p in model.parameters())
    assert sum(row.learning for row in rows) == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert [row.part for row in rows][:2] == ["items.encoders.text", "items.encoders.image"]


def test_a_saved_run_gives_the_same_vectors(tmp_path: Path, world: World, folders: tuple[Path, Path]) -> None:
    catalog = platform(world, 1)
    model = TransRec.build(settings(folders), [catalog], seed=4).eval()
    model.save(tmp_path / "run")
    loaded = TransRec.load(tmp_path / "run")
    assert loaded.settings == model.settings
    with torch.no_grad():
        vectors = [
            m.items(ContentStore.prepare(catalog, m.items.preparers()).gather(np.arange(len(catalog)))).fused_UD
            for m in (model, loaded)
        ]
    assert vectors[0].equal(vectors[1])
    assert not [path for path in (tmp_path / "run").rglob("*") if path.suffix in {".pkl", ".pickle", ".bin", ".pt"}]
