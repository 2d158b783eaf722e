"""Frozen blocks run once, change no number, and run anew when, and only when, something that they depend on changed."""

from __future__ import annotations

import functools
import importlib
import io
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import transformers as hf
from PIL import Image
from torch import nn
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from transrec.data import preparation
from transrec.data.batches import SequenceBatches
from transrec.data.catalog import Catalog, Item
from transrec.data.columns import RaggedColumn
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.data.ragged import Ragged
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.items.scratch import new_text_backbone
from transrec.model import ModelSettings, TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.retrieval import prefix
from transrec.retrieval.index import CatalogIndex
from transrec.retrieval.prefix import Keeping, resting_blocks, why_not, with_states
from transrec.rules import Tuning, apply_tuning

WORDS = ["red", "blue", "green", "hat", "shoe", "sock", "scarf", "of", "for", "with", "wool", "silk", "long", "short"]
COUNT = 30


def dataset() -> Dataset:
    """Items with a text and a picture, of which two are the same."""
    generator = np.random.default_rng(0)
    items = []
    for n in range(COUNT):
        picture = io.BytesIO()
        Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(picture, "PNG")
        text = " ".join(generator.choice(WORDS, size=generator.integers(1, 12)))
        items.append(Item(f"i{n}", text=text, image=picture.getvalue()))
    items[7] = Item("i7", text=items[3].text, image=items[3].image)
    lengths = generator.integers(4, 9, size=12)
    events = pl.DataFrame(
        {
            "user": np.repeat(np.arange(12), lengths).astype(str),
            "row": generator.integers(COUNT, size=lengths.sum()),
            "time": np.concatenate([np.arange(n, dtype=float) for n in lengths]),
        }
    )
    return Dataset(Catalog.from_items(items), Interactions.from_columns(events))


def backbone(kind: str, folder: Path) -> str:
    """A folder with a tiny untrained network of four blocks."""
    if kind == "bert":
        return str(new_text_backbone(WORDS, folder, width=16, layers=4, heads=2))
    network: hf.PreTrainedModel
    if kind == "resnet":
        shape = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
        network = hf.ResNetModel(hf.ResNetConfig(**shape, layer_type="basic"))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):  # statistics that are not where they began
                module.running_mean.normal_(generator=torch.Generator().manual_seed(1))
    else:
        shape = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
        network = hf.ViTModel(hf.ViTConfig(**shape, image_size=16, patch_size=8))
    network.save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    return str(folder)


def model_of(kind: str, folder: Path, *, tune: str = "top:2", **settings: object) -> TransRec:
    """A model over such a network without any dropout."""
    modality = "text" if kind == "bert" else "image"
    if not folder.exists():
        backbone(kind, folder)
    built = ModelSettings.from_mapping(
        {
            "items": {"width": 16, "modalities": [modality], modality: {"backbone": str(folder), **settings}},
            "users": {"window": 6, "layers": 1, "heads": 2, "feedforward": 16, "dropout": 0.0},
        }
    )
    model = TransRec.build(built, [dataset().catalog], seed=3)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    apply_tuning(model, Tuning.parse(tune))
    return model


def stores(model: TransRec, folder: Path | None = None) -> tuple[ContentStore, ContentStore]:
    """The content as it was prepared, and with the frozen blocks run."""
    prepared = ContentStore.prepare(dataset().catalog, model.items.preparers(), folder)
    return prepared, with_states(model, prepared, Keeping(folder))


def step(model: TransRec, store: ContentStore) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of one training step."""
    objective = build_objective(ObjectiveSettings(), model)
    batches = SequenceBatches(leave_one_out(dataset().interactions), store, objective.plan, batch_size=8, seed=1)
    model.train()
    model.zero_grad()
    batch = batches.batch(0)
    loss = objective(model, model(batch), batch).total
    loss.backward()
    return float(loss.detach()), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


class Running:
    """Counts what goes through some blocks."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        self.calls = [0] * len(blocks)
        for place, block in enumerate(blocks):
            block.register_forward_hook(functools.partial(self._count, place))

    def _count(self, place: int, *_: object) -> None:
        self.calls[place] += 1


@pytest.mark.parametrize("kind", ["bert", "resnet", "vit"])
@pytest.mark.parametrize("on_disk", [True, False])
def test_loss_and_gradients_are_those_of_the_whole(kind: str, on_disk: bool, tmp_path: Path) -> None:
    model = model_of(kind, tmp_path / "backbone")
    prepared, stored = stores(model, tmp_path / "store" if on_disk else None)
    assert [part.below for part in stored.parts.values()] == [2]
    expected, expected_gradients = step(model, prepared)
    largest = max(float(gradient.abs().max()) for gradient in expected_gradients.values())
    for store, at_once in ((stored, None), (stored, 3), (prepared, 3)):
        model.items.at_once = at_once
        found, gradients = step(model, store)
        assert found == pytest.approx(expected, rel=1e-5)
        assert set(gradients) == set(expected_gradients)
        for name, gradient in gradients.items():
            assert float((gradient - expected_gradients[name]).abs().max()) < 1e-5 * largest, name


@pytest.mark.parametrize("kind", ["bert", "resnet", "vit"])
def test_frozen_blocks_do_not_run_in_training_nor_move_their_statistics(kind: str, tmp_path: Path) -> None:
    model = model_of(kind, tmp_path / "backbone")
    _, stored = stores(model)
    blocks = next(iter(model.items.preparers().values())).blocks()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    inner = [next(module for module in block.modules() if isinstance(module, nn.Linear | nn.Conv2d)) for block in blocks]
    running = Running(inner)
    step(model, stored)
    assert running.calls[:2] == [0, 0] and min(running.calls[2:]) > 0
    for name, buffer in model.named_buffers():
        assert buffer.equal(before[name]), name


def test_the_catalog_is_encoded_from_the_states(tmp_path: Path) -> None:
    model = model_of("bert", tmp_path / "backbone")
    prepared, stored = stores(model, tmp_path / "store")
    expected, found = (CatalogIndex.encode(model, store).vectors_VD for store in (prepared, stored))
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-5)
    assert found[3].equal(found[7]), "the same content is the same vector"


def test_only_real_tokens_are_stored(tmp_path: Path) -> None:
    model = model_of("bert", tmp_path / "backbone")
    prepared, stored = stores(model, tmp_path / "store")
    tokens, states = prepared.parts["text"].columns["tokens"], stored.parts["text"].columns["states"]
    slots = np.arange(len(prepared.parts["text"]))
    assert len(slots) == COUNT - 1, "two items have the same text"
    kept = states.take(slots)
    assert isinstance(kept, Ragged)
    assert kept.values.shape == (tokens.sizes(slots).sum(), 16) and kept.values.dtype == torch.float32
    assert set(stored.parts["text"].columns) == {"states"}


# ---- when it is made anew ---------------------------------------------------------------------------------------------


def made(model: TransRec, folder: Path, **keeping: Any) -> bool:
    """Whether anything had to be run."""
    prepared = ContentStore.prepare(dataset().catalog, model.items.preparers(), folder)
    told: list[str] = []
    with_states(model, prepared, Keeping(folder, progress=lambda what, *_: told.append(what), **keeping))
    return bool(told)


def test_states_are_found_again_and_made_anew_when_the_frozen_part_changed(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    model = model_of("bert", tmp_path / "backbone")
    encoder = model.items.preparers()["text"]
    assert made(model, folder)
    assert not made(model, folder)
    with torch.no_grad():
        for block in encoder.blocks()[2:]:
            for parameter in block.parameters():
                parameter.add_(1e-3)
        model.items.projections["text"].linear.weight.add_(1.0)
    assert not made(model, folder), "what is above the cut makes no difference"
    assert made(model, folder, type="bfloat16"), "another type"
    with torch.no_grad():
        next(encoder.blocks()[1].parameters()).add_(1e-3)
    assert made(model, folder), "a frozen block"
    with torch.no_grad():
        encoder.get_parameter("backbone.embeddings.word_embeddings.weight").add_(1e-3)
    assert made(model, folder), "embeddings"
    assert made(model_of("bert", tmp_path / "backbone", max_length=20), folder), "another length"
    assert made(model_of("bert", tmp_path / "backbone", tune="top:1"), folder), "another cut"


def test_another_process_finds_the_states(tmp_path: Path) -> None:
    """There the tokenizer has never been used, because the content that it made was found too."""
    assert made(model_of("bert", tmp_path / "backbone"), tmp_path / "store")
    assert not made(model_of("bert", tmp_path / "backbone"), tmp_path / "store")


def test_states_are_made_anew_for_another_tokenizer_or_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "store"
    assert made(model_of("bert", tmp_path / "backbone"), folder)
    changed = tmp_path / "changed"
    shutil.copytree(tmp_path / "backbone", changed)
    tokenizer = json.loads((changed / "tokenizer.json").read_text())
    tokenizer["normalizer"] = {"type": "NFC"}
    (changed / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert made(model_of("bert", changed), folder)
    more = Catalog.from_items([*dataset().catalog.items(np.arange(COUNT)), Item("new", text="a hat")])
    bigger = Dataset(more, dataset().interactions)
    monkeypatch.setattr(sys.modules[__name__], "dataset", lambda: bigger)
    assert made(model_of("bert", tmp_path / "backbone"), folder)


def test_running_statistics_are_a_part_of_the_frozen_part(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    model = model_of("resnet", tmp_path / "backbone")
    blocks = model.items.preparers()["image"].blocks()
    assert made(model, folder)
    for place, again in ((3, False), (0, True)):
        norm = next(module for module in blocks[place].modules() if isinstance(module, nn.BatchNorm2d))
        assert norm.running_mean is not None
        norm.running_mean.add_(0.1)
        assert made(model, folder) == again


def test_an_interrupted_run_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "CHUNK", 4)
    monkeypatch.setattr(preparation, "SORTED_TOGETHER", 2)
    model = model_of("bert", tmp_path / "backbone")
    prepared = ContentStore.prepare(dataset().catalog, model.items.preparers(), tmp_path / "store")
    done: list[int] = []

    def interrupt(what: str, at: int, total: int) -> None:
        done.append(at)
        if len(done) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        with_states(model, prepared, Keeping(tmp_path / "store", progress=interrupt))
    whole = with_states(model, prepared, Keeping()).gather(np.arange(COUNT)).parts["text"]
    stored = with_states(model, prepared, Keeping(tmp_path / "store", progress=interrupt))
    assert done == [8, 16, 24, COUNT - 1]
    found = stored.gather(np.arange(COUNT)).parts["text"]
    assert isinstance(found.content, Mapping) and isinstance(whole.content, Mapping)
    torch.testing.assert_close(found.content["states"].values, whole.content["states"].values, rtol=0.0, atol=1e-6)


# ---- what is said, and what is left whole -----------------------------------------------------------------------------


def test_the_size_is_said_before(tmp_path: Path) -> None:
    model = model_of("bert", tmp_path / "backbone")
    prepared = ContentStore.prepare(dataset().catalog, model.items.preparers(), tmp_path / "store")
    said: list[str] = []
    stored = with_states(model, prepared, Keeping(tmp_path / "store", say=said.append))
    column = stored.parts["text"].columns["states"]
    assert isinstance(column, RaggedColumn)
    assert said == [f"keeping what 2 frozen blocks make of 29 text contents: {column.values.nbytes / 1024:,.0f} KiB"]
    with_states(model, prepared, Keeping(tmp_path / "store", say=said.append))
    assert len(said) == 1, "what is there already needs no room"


def test_half_is_half_and_approximate(tmp_path: Path) -> None:
    model = model_of("bert", tmp_path / "backbone")
    prepared = ContentStore.prepare(dataset().catalog, model.items.preparers(), tmp_path / "store")
    exact = CatalogIndex.encode(model, with_states(model, prepared, Keeping())).vectors_VD
    for kind in ("bfloat16", "float16"):
        for folder in (None, tmp_path / "store"):
            stored = with_states(model, prepared, Keeping(folder, type=kind))
            part = stored.gather(np.arange(3)).parts["text"]
            assert isinstance(part.content, Mapping) and part.content["states"].values.dtype == getattr(torch, kind)
            gap = (CatalogIndex.encode(model, stored).vectors_VD - exact).abs().max()
            assert 0 < gap < 0.05 * exact.abs().max()


def test_no_room_is_said_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("bert", tmp_path / "backbone")
    prepared = ContentStore.prepare(dataset().catalog, model.items.preparers(), tmp_path / "store")
    said: list[str] = []
    monkeypatch.setattr(prefix, "SPARE", 1 << 60)
    assert with_states(model, prepared, Keeping(tmp_path / "store", say=said.append)) is prepared
    monkeypatch.setattr(prefix, "IN_MEMORY", 1)
    assert with_states(model, prepared, Keeping(say=said.append)) is prepared
    assert len(said) == 2 and all("run at every step" in line and "takes" in line for line in said)


def test_what_learns_below_keeps_the_encoder_whole(tmp_path: Path) -> None:
    model = model_of("bert", tmp_path / "backbone")
    model.items.preparers()["text"].get_parameter("backbone.embeddings.LayerNorm.weight").requires_grad_(requires_grad=True)
    said: list[str] = []
    prepared = ContentStore.prepare(dataset().catalog, model.items.preparers())
    assert with_states(model, prepared, Keeping(say=said.append)) is prepared
    assert "backbone.embeddings.LayerNorm.weight learns" in said[0]


def test_an_encoder_that_cannot_be_cut_runs_whole_and_says_why(tmp_path: Path) -> None:
    model = model_of("bert", tmp_path / "backbone")
    encoder = model.items.preparers()["text"]
    forward = encoder.blocks()[0].forward
    encoder.blocks()[0].forward = lambda *given, **named: {"hidden": forward(*given, **named)}  # type: ignore[method-assign]
    encoder.blocks()[1].forward = lambda given, *_, **__: given["hidden"]  # type: ignore[method-assign]
    said: list[str] = []
    prepared = ContentStore.prepare(dataset().catalog, model.items.preparers())
    assert with_states(model, prepared, Keeping(say=said.append)) is prepared
    assert "returns a dict, not activations" in said[0]


@pytest.mark.parametrize(("tune", "expected"), [("full", 0), ("top:1", 3), ("top:4", 0), ("frozen", 0)])
def test_what_rests(tune: str, expected: int, tmp_path: Path) -> None:
    model = model_of("bert", tmp_path / "backbone", tune=tune)
    assert resting_blocks(model.items.preparers()["text"]) == expected


def test_a_frozen_network_under_a_pooling_that_learns_is_kept_whole(tmp_path: Path) -> None:
    model = model_of("bert", tmp_path / "backbone", tune="frozen", pooling="attention")
    prepared, stored = stores(model)
    assert stored.parts["text"].below == 4
    expected, expected_gradients = step(model, prepared)
    found, gradients = step(model, stored)
    assert found == pytest.approx(expected, rel=1e-5)
    assert "items.encoders.text.pooling.query.weight" in gradients
    torch.testing.assert_close(gradients, expected_gradients, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("by_default", [True, False])
def test_an_encoder_of_ones_own_needs_nothing_but_blocks(by_default: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    kind = importlib.import_module("experiments.squeezenet").SqueezeNetEncoder
    if by_default:
        monkeypatch.delattr(kind, "lower")
        monkeypatch.delattr(kind, "upper")
    encoder = kind().eval()
    pictures = ContentStore.prepare(dataset().catalog, {"image": encoder}).parts["image"].take(np.arange(3))
    for below in (1, 3, 7):
        encoder.requires_grad_(requires_grad=False)
        for block in encoder.blocks()[below:]:
            block.requires_grad_(requires_grad=True)
        assert resting_blocks(encoder) == below
        with torch.no_grad():
            assert why_not(encoder, pictures, below, torch.device("cpu")) is None
            assert ("pixels" in encoder.lower(pictures, below)) == by_default


def test_a_network_that_is_not_steady_is_left_alone(tmp_path: Path) -> None:
    model = model_of("bert", tmp_path / "backbone", frozen_dropout=True)
    assert resting_blocks(model.items.preparers()["text"]) == 0
