from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from cases import SETTINGS, platform
from rich.console import Console
from torch import Tensor

from transrec.data.catalog import Item
from transrec.data.splits import split_of
from transrec.data.store import ContentStore
from transrec.errors import DataError
from transrec.items.identity import IdentityEncoder
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train
from transrec.retrieval.encoding import encode_items
from transrec.rules import measured_names, without
from transrec.testing import ModalityEncoderContract

IDS = ["b", "a", "\N{SNOWMAN}", "d"]


def test_reads_known_ids_only():
    encoder = IdentityEncoder(IDS, 8)
    assert encoder.reads(Item("a", text="x"))
    assert not encoder.reads(Item("new", text="x"))
    with pytest.raises(DataError, match="'new' is not among the 4"):
        encoder.prepare([Item("new", text="x")])


def test_rows_follow_the_ids():
    encoder = IdentityEncoder(IDS, 8)
    found = encoder(encoder.prepare([Item("\N{SNOWMAN}", text="x"), Item("b", text="x")]))
    assert torch.equal(found, encoder.table.weight[[2, 0]])


def test_the_table_starts_small():
    weights = IdentityEncoder([str(n) for n in range(2000)], 32).table.weight
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)


def test_the_key_follows_the_ids():
    assert IdentityEncoder(IDS, 8).preparation_key() == IdentityEncoder(IDS, 16).preparation_key()
    assert IdentityEncoder(IDS, 8).preparation_key() != IdentityEncoder(IDS[::-1], 8).preparation_key()


class TestIdentityEncoder(ModalityEncoderContract):
    def make(self):
        return IdentityEncoder(IDS, 8)

    def items(self):
        return [Item(item_id, text="x") for item_id in IDS]


class TestShrunk(ModalityEncoderContract):
    def make(self):
        encoder = IdentityEncoder(IDS, 8, shrinkage=2.0)
        encoder.count(IDS, np.array([1, 2, 6, 30]))
        return encoder

    def items(self):
        return [Item(item_id, text="x") for item_id in IDS]


# ---- shrinkage --------------------------------------------------------------------------------------------------------


def vectors(encoder: IdentityEncoder) -> Tensor:
    return encoder(encoder.prepare([Item(item_id, text="x") for item_id in encoder.ids])).detach()


def test_a_vector_counts_as_many_events_have_taught_it() -> None:
    encoder = IdentityEncoder(IDS, 8, shrinkage=2.0)
    table = encoder.table.weight.detach()
    assert torch.equal(vectors(encoder), table), "nothing has been counted"
    encoder.count(["d", "b", "unknown"], np.array([6, 2, 100]))
    torch.testing.assert_close(vectors(encoder), table * torch.tensor([0.5, 0.0, 0.0, 0.75])[:, None])
    encoder.count(["b", "a"], np.array([1, 2]))
    assert encoder.events.tolist() == [2, 2, 0, 6], "what was known before stands"
    whole = IdentityEncoder(IDS, 8)
    whole.count(IDS, np.array([0, 1, 2, 3]))
    assert torch.equal(vectors(whole), whole.table.weight)


def test_a_table_that_grows_keeps_what_was_counted() -> None:
    encoder = IdentityEncoder(IDS, 8, shrinkage=2.0)
    encoder.count(IDS, np.array([1, 2, 3, 4]))
    grown = encoder.grown(["a", "new"])
    assert grown.ids == (*IDS, "new") and grown.events.tolist() == [1, 2, 3, 4, 0] and grown.shrinkage == 2.0
    assert torch.equal(vectors(grown)[:4], vectors(encoder)) and not vectors(grown)[4].any()


def test_it_is_kept_with_the_run_and_runs_from_before_count_whole(tmp_path: Path) -> None:
    encoder = IdentityEncoder(IDS, 8, shrinkage=2.0)
    encoder.count(IDS, np.array([1, 2, 3, 4]))
    encoder.save_assets(tmp_path)
    again = IdentityEncoder.from_assets(tmp_path)
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(vectors(again), vectors(encoder))
    old = {"table.weight": encoder.table.weight}
    again.load_state_dict(old)
    assert torch.equal(vectors(again), encoder.table.weight) and list(old) == ["table.weight"]


def test_training_counts_the_events_that_train_and_new_items_stand_on_their_content() -> None:
    dataset = platform()
    read = {"width": 16, "modalities": ["given", "identity"]}
    chosen = {"epochs": 1, "device": "cpu", "tensorboard": False, "estimate": False}
    form = {**SETTINGS.model_dump(mode="json"), "items": read}
    settings = TrainSettings.from_mapping({"model": form, "training": chosen, "tune": "full"})
    model, _ = train([dataset], settings, console=Console(quiet=True))
    encoder = model.items.preparers()["identity"]
    assert isinstance(encoder, IdentityEncoder) and encoder.shrinkage == 30.0
    assert measured_names(model) >= {"items.encoders.identity.events"}, "it stays behind when the run moves"
    counted = split_of(dataset.interactions, settings.split).train_counts(len(dataset.catalog))
    assert encoder.events.tolist() == counted.tolist() and 0 < counted.sum() < len(dataset.interactions.rows)
    encoder.events[:2] = torch.tensor([0.0, 1e9])
    found = encode_items(model, ContentStore.prepare(dataset.catalog, model.items.preparers()))[:, :16]
    content = without(model, ["identity"])
    alone = encode_items(content, ContentStore.prepare(dataset.catalog, content.items.preparers()))[:, :16]
    cosines = torch.cosine_similarity(found, alone)
    assert cosines[0] > 1 - 1e-6, "an item without events points where its content does"
    assert cosines[1] < 1 - 1e-4


def test_by_itself_a_table_is_never_shrunk() -> None:
    catalog = platform().catalog
    built = TransRec.build(SETTINGS.updated({"items": {"modalities": ["identity"]}}), [catalog])
    both = TransRec.build(SETTINGS.updated({"items": {"modalities": ["auto", "identity"]}}), [catalog])
    left = without(both, ["given"]).fresh_for(catalog)
    for model, expected in ((built, 0.0), (both, 30.0), (left, 0.0), (both.fresh_for(catalog), 30.0)):
        encoder = model.items.encoders["identity"]
        assert isinstance(encoder, IdentityEncoder) and encoder.shrinkage == expected


def test_a_run_from_before_there_was_shrinkage_stays_as_it_is_and_says_so(tmp_path: Path) -> None:
    catalog = platform().catalog
    asked = SETTINGS.updated({"items": {"modalities": ["given", "identity"], "identity": {"shrinkage": 0.0}}})
    TransRec.build(asked, [catalog]).save(tmp_path)
    settings, assets = tmp_path / "settings.yaml", tmp_path / "encoders" / "identity" / "identity.json"
    document, kept = yaml.safe_load(settings.read_text()), json.loads(assets.read_text())
    del document["model"]["items"]["identity"], kept["shrinkage"]
    settings.write_text(yaml.safe_dump(document))
    assets.write_text(json.dumps(kept))
    model = TransRec.load(tmp_path)
    encoder = model.items.encoders["identity"]
    assert isinstance(encoder, IdentityEncoder)
    assert encoder.shrinkage == 0.0 == model.settings.items.identity.shrinkage == model.items.settings.identity.shrinkage
