import io
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from transrec.data.batches import ItemBatch, ItemPart
from transrec.data.catalog import Catalog, Item
from transrec.errors import BackboneError, DataError, ModelError, RunError, SettingsError
from transrec.finding import class_at
from transrec.items.encoder import ModalityEncoder
from transrec.items.features import FeatureEncoder
from transrec.items.identity import IdentityEncoder
from transrec.items.image import ImageEncoder, ImageSettings
from transrec.items.settings import ItemSettings
from transrec.items.text import TextEncoder, TextSettings
from transrec.items.tower import ItemEncoder, build_items

KINDS = ("text", "image", "audio", "all", "text+audio")
FUSIONS = ["mean", "gated", "concat"]


def batch_of(tower, items):
    """The items of one batch, routed as the store routes them."""
    parts = {}
    for name, encoder in tower.encoders.items():
        index = [place for place, item in enumerate(items) if encoder.reads(item)]
        if index:
            parts[name] = ItemPart(torch.tensor(index), encoder.prepare([items[place] for place in index]))
    return ItemBatch(len(items), parts)


@pytest.fixture(scope="module")
def make_tower(text_folder, image_folder):
    def make(**options):
        encoders = {
            "text": TextEncoder.from_settings(TextSettings(backbone=str(text_folder), max_length=24, pooling="attention")),
            "image": ImageEncoder.from_settings(ImageSettings(backbone=str(image_folder))),
            "audio": FeatureEncoder("audio", 3, mean=torch.ones(3)),
        }
        return ItemEncoder(encoders, ItemSettings(width=12, modalities=tuple(encoders), **options))

    return make


@pytest.fixture(scope="module")
def towers(make_tower):
    return {kind: make_tower(fusion=kind).double().eval() for kind in FUSIONS}


@pytest.fixture(scope="module")
def pool():
    """A few items of every kind."""
    random = np.random.default_rng(0)
    items = []
    for place in range(10):
        out = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (18, 25, 3), dtype=np.uint8)).save(out, "PNG")
        text, image = " ".join(["red", "hat", "socks"][: 1 + place % 3] * (1 + place)), out.getvalue()
        audio = {"audio": random.normal(size=3).astype(np.float32)}
        kind = KINDS[place % len(KINDS)]
        items.append(
            {
                "text": Item(f"i{place}", text=text),
                "image": Item(f"i{place}", image=image),
                "audio": Item(f"i{place}", vectors=audio),
                "all": Item(f"i{place}", text=text, image=image, vectors=audio),
                "text+audio": Item(f"i{place}", text=text, vectors=audio),
            }[kind]
        )
    return items


@pytest.mark.parametrize("fusion", FUSIONS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.integers(0, 9), min_size=1, max_size=10, unique=True))
def test_scatter_identity(fusion, order, towers, pool):
    """Encoding a mixed batch equals encoding each item alone and placing it, for any interleaving."""
    tower = towers[fusion]
    items = [pool[place] for place in order]
    with torch.no_grad():
        together = tower(batch_of(tower, items))
        for place, item in enumerate(items):
            alone = tower(batch_of(tower, [item]))
            assert float((together.fused_UD[place] - alone.fused_UD[0]).abs().max()) < 1e-10
            for name in tower.encoders:
                assert bool(together.present[name][place]) is item.has(name) is bool(alone.present[name][0])
                assert float((together.views[name][place] - alone.views[name][0]).abs().max()) < 1e-10
                if not item.has(name):
                    assert (together.views[name][place] == 0).all()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_one_modality_is_its_encoder_and_projection(fusion, towers, pool):
    tower = towers[fusion]
    item = pool[0]
    with torch.no_grad():
        expected = tower.projections["text"](tower.encoders["text"](tower.encoders["text"].prepare([item])))[0]
        found = tower(batch_of(tower, [item]))
    torch.testing.assert_close(found.views["text"][0], expected)
    if fusion != "concat":
        torch.testing.assert_close(found.fused_UD[0], expected)


def test_slots_without_anything_are_exact_zeros(towers):
    tower = towers["gated"]
    with torch.no_grad():
        audio = ItemPart(torch.tensor([2]), {"vector": torch.ones(1, 3)})
        found = tower(ItemBatch(4, {"audio": audio}))
        nothing = tower(ItemBatch(2, {"audio": ItemPart(torch.zeros(0, dtype=torch.int64), {"vector": torch.zeros(0, 3)})}))
    assert (found.fused_UD[[0, 1, 3]] == 0).all()
    assert found.fused_UD[2].abs().sum() > 0
    assert found.present["audio"].tolist() == [False, False, True, False]
    assert set(found.views) == {"text", "image", "audio"}
    assert (nothing.fused_UD == 0).all()


def test_vectors_made_beforehand_give_the_same(make_tower, pool):
    tower = make_tower().eval()
    batch = batch_of(tower, pool)
    with torch.no_grad():
        stored = {n: ItemPart(part.index_n, tower.encoders[n](part.content).float()) for n, part in batch.parts.items()}
        torch.testing.assert_close(tower(ItemBatch(batch.size, stored)).fused_UD, tower(batch).fused_UD)


def test_a_batch_with_an_unknown_modality_is_an_error(towers):
    with pytest.raises(ModelError, match=r"\['video'\]"):
        towers["mean"](ItemBatch(1, {"video": ItemPart(torch.tensor([0]), torch.ones(1, 3))}))


def test_gradients_reach_every_parameter(make_tower, pool):
    for fusion in FUSIONS:
        tower = make_tower(fusion=fusion, projection="norm").train()
        fused = tower(batch_of(tower, pool)).fused_UD
        (fused * torch.randn_like(fused)).sum().backward()
        assert [name for name, p in tower.named_parameters() if p.grad is None] == []


def test_modality_dropout_in_training_only(make_tower, pool):
    tower = make_tower(modality_dropout=0.9)
    batch = batch_of(tower, pool)
    with torch.no_grad():
        whole = tower.eval()(batch)
        dropped = tower.train()(batch)
    lost = 0
    for place, item in enumerate(pool):
        left = [bool(dropped.present[n][place]) for n in tower.encoders]
        had = [bool(whole.present[n][place]) for n in tower.encoders]
        assert had == [item.has(n) for n in tower.encoders]
        assert any(left)
        lost += sum(had) - sum(left)
        for name, there in zip(tower.encoders, left, strict=True):
            assert there or (dropped.views[name][place] == 0).all()
    assert lost > 0


def test_under_autocast_the_views_agree_in_type(make_tower, pool):
    tower = make_tower(fusion="concat").eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = tower(batch_of(tower, pool))
    assert found.fused_UD.isfinite().all()


def test_norm_projection_gives_unit_variance(make_tower, pool):
    tower = make_tower(projection="norm").eval()
    with torch.no_grad():
        view = tower(batch_of(tower, pool[:1])).views["text"]
    assert float(view.std(correction=0)) == pytest.approx(1.0, abs=1e-3)


# ---- disk -------------------------------------------------------------------------------------------------------------


def test_assets_and_weights_are_the_tower(make_tower, pool, tmp_path):
    tower = make_tower(fusion="gated").eval()
    tower.save_assets(tmp_path)
    loaded = ItemEncoder.from_assets(tmp_path, tower.settings).eval()
    loaded.load_state_dict(tower.state_dict())
    assert [name for name, _ in loaded.named_parameters()] == [name for name, _ in tower.named_parameters()]
    with torch.no_grad():
        assert torch.equal(loaded(batch_of(loaded, pool)).fused_UD, tower(batch_of(tower, pool)).fused_UD)


def test_a_folder_that_is_not_whole(make_tower, tmp_path):
    tower = make_tower()
    with pytest.raises(RunError, match="no encoders"):
        ItemEncoder.from_assets(tmp_path, tower.settings)
    tower.save_assets(tmp_path)
    with pytest.raises(RunError, match="the settings name"):
        ItemEncoder.from_assets(tmp_path, tower.settings.updated({"modalities": ["text"]}))
    manifest = tmp_path / "text" / "encoder.json"
    manifest.write_text(json.dumps({"format": 99, "class": "x:Y", "place": 0}))
    with pytest.raises(RunError, match="format 99"):
        ItemEncoder.from_assets(tmp_path, tower.settings)
    manifest.write_text("{")
    with pytest.raises(RunError, match="damaged"):
        ItemEncoder.from_assets(tmp_path, tower.settings)


# ---- building ---------------------------------------------------------------------------------------------------------


class OptionsEncoder(IdentityEncoder):
    """Stands for an encoder of one's own."""

    modality = "audio"

    @classmethod
    def from_options(cls, options):
        return cls(options["ids"].split(","), int(options["width"]))


@pytest.fixture
def parts(text_folder, image_folder):
    return {"width": 12, "text": {"backbone": str(text_folder), "max_length": 24}, "image": {"backbone": str(image_folder)}}


def test_auto_takes_what_the_catalogs_have(parts, pool):
    tower = build_items(ItemSettings(**parts), [Catalog.from_items(pool)])
    assert list(tower.encoders) == ["text", "image", "audio"] == list(tower.settings.modalities)
    texts, images = ([item for item in pool if item.has(kind)] for kind in ("text", "image"))
    only = [
        Catalog.from_items([Item(i.id, text=i.text) for i in texts]),
        Catalog.from_items([Item("p", image=images[0].image)]),
    ]
    assert list(build_items(ItemSettings(**parts), only[:1]).encoders) == ["text"]
    assert list(build_items(ItemSettings(**parts), only).encoders) == ["text", "image"]


def test_ids_stand_beside_whatever_content_there_is(parts, pool):
    tower = build_items(ItemSettings(**parts, modalities=("identity", "auto", "text")), [Catalog.from_items(pool)])
    assert list(tower.encoders) == ["identity", "text", "image", "audio"] == list(tower.settings.modalities)
    assert tower.encoders["identity"].shrinkage == 30.0


def test_identity_is_built_when_named(parts, pool):
    tower = build_items(ItemSettings(**parts, modalities=("identity",)), [Catalog.from_items(pool)])
    with torch.no_grad():
        found = tower(batch_of(tower, pool[::-1])).fused_UD
    assert torch.equal(found, tower.encoders["identity"].table.weight.flip(0))


@pytest.mark.parametrize("modalities", [("text", "video"), ()])
def test_a_modality_that_no_catalog_has(modalities, parts, pool):
    with pytest.raises(SettingsError, match="choose among text, image, audio, identity"):
        build_items(ItemSettings(**parts, modalities=modalities), [Catalog.from_items(pool)])


def test_an_encoder_of_ones_own_takes_the_place_of_the_built_in_one(parts, pool, monkeypatch):
    monkeypatch.setattr("transrec.items.tower.class_at", lambda path, _, **__: {"mine:It": OptionsEncoder}[path])
    chosen = {"custom": {"audio": "mine:It"}, "custom_options": {"audio": {"ids": "a,b", "width": "12"}}}
    tower = build_items(ItemSettings(**parts, **chosen, modalities=("audio",)), [Catalog.from_items(pool)])
    assert isinstance(tower.encoders["audio"], OptionsEncoder)


def test_an_encoder_that_cannot_be_built_from_settings_says_so(parts, pool):
    chosen = ItemSettings(**parts, custom={"audio": "transrec.items.features:FeatureEncoder"}, modalities=("audio",))
    with pytest.raises(ModelError, match="FeatureEncoder cannot be built from settings"):
        build_items(chosen, [Catalog.from_items(pool)])


def test_a_backbone_that_is_not_there(pool):
    with pytest.raises(BackboneError, match=r"--model\.items\.text\.backbone FOLDER"):
        build_items(ItemSettings(modalities=("text",)), [Catalog.from_items(pool)])


@pytest.mark.parametrize("name", ["items", "type", "a.b", "", "../up", "training"])
def test_names_that_cannot_be_used(name):
    with pytest.raises(ModelError, match="cannot be called"):
        ItemEncoder({name: FeatureEncoder(name, 2)}, ItemSettings())


def test_encoders_that_do_not_fit():
    with pytest.raises(ModelError, match="no encoder"):
        ItemEncoder({}, ItemSettings())
    with pytest.raises(ModelError, match="is not a ModalityEncoder"):
        ItemEncoder({"text": nn.Linear(2, 2)}, ItemSettings())
    with pytest.raises(ModelError, match="reads 'audio' but stands under 'text'"):
        ItemEncoder({"text": FeatureEncoder("audio", 2)}, ItemSettings())
    with pytest.raises(ModelError, match="the identity table has the width 8"):
        ItemEncoder({"identity": IdentityEncoder(["a"], 8)}, ItemSettings(width=16))


def test_settings_are_strict():
    with pytest.raises(SettingsError, match="modality_dropout"):
        ItemSettings.from_mapping({"modality_dropout": 1.0})
    again = ItemSettings.from_mapping(json.loads(ItemSettings(modalities=("text",)).model_dump_json()))
    assert again.modalities == ("text",)


def test_bad_vectors_are_found_when_the_tower_is_built():
    bad = Catalog.from_items(
        [Item("ok", vectors={"audio": np.ones(2)}), Item("bad", vectors={"audio": np.array([1.0, math.nan])})]
    )
    with pytest.raises(DataError, match="'bad'"):
        build_items(ItemSettings(), [bad])


def test_every_encoder_is_the_contract():
    for kind in (TextEncoder, ImageEncoder, FeatureEncoder, IdentityEncoder):
        assert issubclass(kind, ModalityEncoder)
        assert class_at(f"{kind.__module__}:{kind.__qualname__}", ModalityEncoder) is kind


def test_one_identity_table_for_platforms_that_share_ids_is_refused():
    catalogs = [Catalog.from_items([Item(id="1", text=text)]) for text in ("a hat", "a book")]
    with pytest.raises(ModelError, match="1 item ids occur on more than one of the platforms"):
        build_items(ItemSettings(modalities=("identity",)), catalogs)
