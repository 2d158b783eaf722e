"""What must hold under the paper's preset: what learns, what moves, what an item's vector depends on, and what transfers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from transrec.data.batches import ItemPart, SequenceBatches
from transrec.data.catalog import Item
from transrec.data.dataset import Dataset
from transrec.data.splits import leave_one_out, split_of
from transrec.data.store import ContentStore
from transrec.data.worlds import World
from transrec.items.image import ImageEncoder
from transrec.items.text import TextEncoder
from transrec.model import TransRec
from transrec.objectives import build_objective
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.platform import Platform
from transrec.recipes.train import train
from transrec.rules import Tuning, apply_tuning
from transrec.testing import ModalityEncoderContract

OURS = {"model": {"items": {"text": {"padding": "masked", "frozen_dropout": False}, "image": {"batchnorm": "frozen"}}}}
"""The switches of the item encoders as they stand by default."""


def built(settings: TrainSettings, data: Dataset, tune: str) -> tuple[TransRec, ContentStore]:
    model = TransRec.build(settings.model, [data.catalog])
    apply_tuning(model, Tuning.parse(tune))
    return model, ContentStore.prepare(data.catalog, model.items.preparers())


def stepped(settings: TrainSettings, data: Dataset, tune: str) -> tuple[TransRec, dict[str, Tensor]]:
    """A model after one forward and backward pass in training mode, and its buffers before it."""
    model, store = built(settings, data, tune)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    objective = build_objective(settings.objective, model)
    batch = SequenceBatches(leave_one_out(data.interactions), store, objective.plan, batch_size=16, seed=0).batch(0)
    model.train()
    objective(model, model(batch), batch).total.backward()
    return model, before


def statistics(model: TransRec, before: dict[str, Tensor]) -> dict[str, bool]:
    """By BatchNorm, whether its running mean has moved."""
    own = dict(model.named_buffers())
    return {name: not own[name].equal(before[name]) for name in before if name.endswith("running_mean")}


def learns(name: str) -> bool:
    """Whether the published code lets a parameter of this name learn: the two top blocks of three, and all above."""
    text, image = "items.encoders.text.backbone.", "items.encoders.image.backbone."
    if name.startswith(text):
        return name.startswith((f"{text}encoder.layer.1.", f"{text}encoder.layer.2."))
    if name.startswith(image):
        return name.startswith((f"{image}encoder.stages.1.", f"{image}encoder.stages.2."))
    return True


def test_gradients_reach_exactly_what_the_published_code_tunes(tiny: TrainSettings, source: Dataset) -> None:
    model, _ = stepped(tiny, source, tiny.tune)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == learns(name), name
        if name == "users.mask_token":
            assert parameter.grad is None, "the first stage moves it, and nothing later"
        elif learns(name):
            assert parameter.grad is not None and parameter.grad.any(), name
        else:
            assert parameter.grad is None, name


def test_statistics_move_everywhere_as_published_and_nowhere_by_default(tiny: TrainSettings, source: Dataset) -> None:
    moved = statistics(*stepped(tiny, source, tiny.tune))
    assert moved and all(moved.values()), "those of frozen blocks too"
    moved = statistics(*stepped(tiny.updated(OURS), source, tiny.tune))
    assert moved and not any(moved.values())


def test_the_first_stage_keeps_the_item_encoders_as_they_are(tiny: TrainSettings, source: Dataset) -> None:
    (first,) = tiny.stages
    moved = statistics(*stepped(tiny, source, first.tune))
    assert moved and not any(moved.values())


@pytest.mark.parametrize("own", [True, False])
def test_frozen_blocks_drop_activations_as_published_and_not_by_default(
    tiny: TrainSettings, source: Dataset, own: bool
) -> None:
    settings = tiny.updated(OURS) if own else tiny
    model, _ = built(settings, source, tiny.tune)
    encoder = model.train().items.encoders["text"]
    assert isinstance(encoder, TextEncoder)
    frozen = [encoder.backbone.get_submodule("embeddings"), encoder.blocks()[0]]
    dropouts = [m for part in frozen for m in part.modules() if isinstance(m, nn.Dropout)]
    assert dropouts and all(dropout.training != own for dropout in dropouts)
    apply_tuning(model, Tuning.parse("frozen"))
    model.train()
    assert not any(dropout.training for dropout in dropouts), "a network of which nothing learns is fixed in either case"
    assert encoder.pooling.training


@torch.no_grad()
def test_an_item_has_the_same_vector_alone_and_in_any_batch(tiny: TrainSettings, source: Dataset) -> None:
    """Texts and pictures are encoded in one call each and put back into their places."""
    model, store = built(tiny, source, tiny.tune)
    model.double().eval()
    items = source.catalog.items(range(12))
    assert all(item.has("text") != item.has("image") for item in items), "each has one modality"
    assert {item.has("text") for item in items} == {True, False}
    alone = torch.cat([model.items(store.gather(np.array([row]))).fused_UD for row in range(12)])
    generator = np.random.default_rng(0)
    for _ in range(3):
        order = generator.permutation(12)
        together = model.items(store.gather(order)).fused_UD
        torch.testing.assert_close(together, alone[order], atol=1e-10, rtol=0.0)


def test_what_frozen_blocks_make_is_kept_only_while_it_is_fixed(tiny: TrainSettings, source: Dataset) -> None:
    """In the first stage every item passes the networks once; with the published switches they then run at every step."""
    model, _ = built(tiny, source, "frozen")
    quiet = Console(quiet=True)
    platform = Platform.ready(source, split_of(source.interactions, tiny.split), model, console=quiet)

    def parts() -> Mapping[str, ItemPart]:
        ready = platform.encoded(model, "float32", device=torch.device("cpu"), console=quiet)
        return ready.store.gather(np.arange(12)).parts

    first = parts()
    assert first["text"].below == 3, "behind the last block, for the pooling learns"
    assert isinstance(first["image"].content, Tensor)
    apply_tuning(model, Tuning.parse(tiny.tune))
    assert [part.below for part in parts().values()] == [0, 0], "not even the lower blocks are kept"
    steady = TransRec.build(tiny.updated(OURS).model, [source.catalog])
    apply_tuning(steady, Tuning.parse(tiny.tune))
    assert all(encoder.varies for encoder in model.items.preparers().values())
    assert not any(encoder.varies for encoder in steady.items.preparers().values())


@torch.no_grad()
def test_a_network_that_attends_to_padding_runs_in_two_halves(tiny: TrainSettings, source: Dataset) -> None:
    encoder = TextEncoder.from_settings(tiny.model.items.text).eval()
    items = [item for item in source.catalog.items(range(20)) if item.has("text")]
    prepared = encoder.prepare(items)
    for below in (1, 2, 3):
        torch.testing.assert_close(
            encoder.upper(encoder.lower(prepared, below), below), encoder(prepared), atol=1e-6, rtol=0.0
        )


def test_a_run_loads_for_another_platform_without_one_mismatch(
    tiny: TrainSettings, source: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = tmp_path_factory.mktemp("run") / "paper"
    train([source], tiny.updated({"training": {"max_steps": 1}}), run, console=Console(quiet=True))
    target = World.make(np.random.default_rng(5), topics=3).platform(
        "target", users=27, items=45, generator=np.random.default_rng(6)
    )
    assert not set(source.catalog.ids) & set(target.catalog.ids)
    model = TransRec.load(run)
    report = model.fresh_for(target.catalog).load_state_dict(model.state_dict(), strict=True)
    assert not report.missing_keys and not report.unexpected_keys
    sizes = {len(source.catalog), len(target.catalog), len(source.interactions.users), len(target.interactions.users)}
    assert not [name for name, p in model.named_parameters() if sizes & set(p.shape)], "nothing is as long as a catalog"


class _Contract(ModalityEncoderContract):
    """The contract of encoders, for the published switches."""

    settings: TrainSettings
    data: Dataset

    @pytest.fixture(autouse=True)
    def _parts(self, tiny: TrainSettings, source: Dataset) -> None:
        self.settings, self.data = tiny, source

    def _holding(self, modality: str) -> list[Item]:
        return [item for item in self.data.catalog.items(range(20)) if item.has(modality)][:4]


class TestTextEncoderAsPublished(_Contract):
    def make(self) -> TextEncoder:
        return TextEncoder.from_settings(self.settings.model.items.text)

    def items(self) -> list[Item]:
        return self._holding("text")


class TestImageEncoderAsPublished(_Contract):
    def make(self) -> ImageEncoder:
        return ImageEncoder.from_settings(self.settings.model.items.image)

    def items(self) -> list[Item]:
        return self._holding("image")
