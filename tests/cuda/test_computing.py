"""One step on an accelerator is that of the CPU: losses and gradients of all cases, packed texts, chunks, lists."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cases import Case
from device_ground import DEVICE, ON_CUDA, ON_DEVICE, THERE, apart, assert_same_lists, in_memory, norm
from shared_ground import CASES, STEPS, built, ground, steps_of
from torch import Tensor

from transrec.data.catalog import Item
from transrec.data.histories import Histories
from transrec.data.splits import leave_one_out
from transrec.evaluation.lists import ListMeasureSettings, measure_lists
from transrec.evaluation.probing import ProbeSettings, probe
from transrec.evaluation.ranks import ModelRanker, rank_targets
from transrec.items import packed
from transrec.items.packed import has_kernel
from transrec.items.scratch import new_text_backbone
from transrec.items.text import TextEncoder, TextSettings
from transrec.retrieval.approximate import ApproximateSearch, _Asked, _Ground
from transrec.retrieval.blocks import ranks_in_blocks
from transrec.retrieval.index import CatalogIndex, encode_histories
from transrec.retrieval.queries import served_counts
from transrec.training.trainer import Task

pytestmark = ON_DEVICE

WORDS = ("socks", "wool", "red", "lamp", "table", "oak", "green tea", "a very long kettle")
LENGTHS = (9, 1, 12, 3, 1, 7, 0, 12, 5, 2, 12, 4)
MOST_WAITS = 12
"""How often a step may wait for the device; a mask that chooses positions is one wait."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ground")
    ground(folder)
    return folder


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose heads are as wide as the kernel for texts of different lengths wants them."""
    texts = [" ".join(WORDS)]
    return new_text_backbone(texts, tmp_path_factory.mktemp("text") / "bert", width=64, layers=2, heads=4, max_length=64)


def encoder_of(backbone: Path, batching: str) -> TextEncoder:
    settings = TextSettings(backbone=str(backbone), max_length=40, batching=batching)
    return TextEncoder.from_settings(settings).eval()


def texts() -> list[Item]:
    return [Item(str(n), text=" ".join(WORDS[(n + k) % len(WORDS)] for k in range(size))) for n, size in enumerate(LENGTHS)]


def vectors_and_gradients(encoder: TextEncoder, device: str, *, rounded: bool = False) -> dict[str, Tensor]:
    """What an encoder makes of the texts, and where a sum of it would move the weights."""
    prepared = {name: values.to(torch.device(device)) for name, values in encoder.prepare(texts()).items()}
    encoder.to(device).zero_grad()
    with torch.autocast(device, torch.bfloat16, enabled=rounded):
        vectors = encoder(prepared).float()
    weights = torch.linspace(0.5, 1.5, vectors.numel(), device=device).view_as(vectors)
    (vectors * weights).square().sum().backward()
    gradients = {name: p.grad.cpu().clone() for name, p in encoder.named_parameters() if p.grad is not None}
    return {"vectors": vectors.detach().cpu(), **gradients}


def assert_alike(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert apart({"": found["vectors"]}, {"": expected["vectors"]}) < tolerance
    assert apart(found, expected) < 2 * tolerance


# ---- steps ------------------------------------------------------------------------------------------------------------


def test_products_are_not_rounded_unless_asked() -> None:
    left, right = torch.randn(2, 256, 256, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind()
    product = (left.float().to(THERE) @ right.float().to(THERE)).cpu()
    torch.testing.assert_close(product.double(), left @ right, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_those_of_the_cpu(folder: Path, case: str) -> None:
    here, there = steps_of(folder, case), steps_of(folder, case, device=DEVICE)
    for step in range(STEPS):
        torch.testing.assert_close(there[f"{step} loss"], here[f"{step} loss"], rtol=1e-4, atol=1e-5)
        assert apart(gradients_of(there, step), gradients_of(here, step)) < 1e-3


@pytest.mark.parametrize("case", CASES)
def test_in_bfloat16_they_are_nearly_those_of_float32(folder: Path, case: str) -> None:
    exact, rounded = steps_of(folder, case, device=DEVICE), steps_of(folder, case, device=DEVICE, rounded=True)
    for step in range(STEPS):
        torch.testing.assert_close(rounded[f"{step} loss"], exact[f"{step} loss"], rtol=0.05, atol=0.02)
        assert not rounded[f"{step} loss"].equal(exact[f"{step} loss"]), "nothing was rounded"
        ours, theirs = gradients_of(rounded, step), gradients_of(exact, step)
        assert apart(ours, theirs) < 0.5
        felt = 1e-4 * norm(theirs.values())
        lacking = [name for name, own in theirs.items() if norm([own]) > felt and not ours[name].any()]
        assert not lacking, "autocast remembered weights that have no gradient"


def gradients_of(found: dict[str, Tensor], step: int) -> dict[str, Tensor]:
    return {name: own for name, own in found.items() if name.startswith(f"{step} ") and not name.endswith(" loss")}


@pytest.mark.parametrize("at_once", [3, 8])
def test_chunks_of_items_give_the_same_step(folder: Path, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = steps_of(folder, "softmax", device=DEVICE)
    chunks: list[int] = []
    build = Task.__init__

    def chunked(self: Task, model: Any, *rest: Any) -> None:
        build(self, model, *rest)
        model.items.at_once = at_once
        block = model.items.preparers()["text"].blocks()[0]
        block.register_forward_hook(lambda _, __, output: chunks.append(len(output)))

    monkeypatch.setattr(Task, "__init__", chunked)
    parts = steps_of(folder, "softmax", device=DEVICE)
    assert len(chunks) >= 4 * STEPS, "nothing was cut into chunks"
    assert apart({n: parts[n] for n in parts if n != "encoded"}, {n: whole[n] for n in whole if n != "encoded"}) < 1e-3


@ON_CUDA
def test_a_step_seldom_waits_for_the_device() -> None:
    case = Case(objective="softmax", shared_negatives=5)
    task = Task(case.model.to(THERE), case.objective.to(THERE)).train()
    for step in range(2):
        task(case.batches.batch(step).to(THERE)).total.backward()
    batch = case.batches.batch(2)
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            task(batch.to(THERE)).total.backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = [f"{Path(one.filename).name}:{one.lineno}" for one in told if "called a synchronizing" in str(one.message)]
    print(f"\nwaits of a step: {waits}")
    assert len(waits) <= MOST_WAITS, waits


# ---- texts ------------------------------------------------------------------------------------------------------------


def test_packed_texts_are_those_of_the_cpu_in_float32(backbone: Path) -> None:
    encoder = encoder_of(backbone, "packed")
    expected = vectors_and_gradients(encoder_of(backbone, "padded"), "cpu")
    found = vectors_and_gradients(encoder, DEVICE)
    assert encoder.why_not_packed(DEVICE) is None
    assert_alike(found, expected, 1e-4)


def test_packed_texts_are_nearly_those_in_bfloat16(backbone: Path) -> None:
    line, padded = (encoder_of(backbone, batching) for batching in ("packed", "padded"))
    exact = vectors_and_gradients(copy.deepcopy(padded), DEVICE)
    found, expected = (vectors_and_gradients(encoder, DEVICE, rounded=True) for encoder in (line, padded))
    with torch.autocast(DEVICE, torch.bfloat16):
        assert line.why_not_packed(DEVICE) is None
    assert found.keys() == exact.keys(), "the first step of all has gradients for all weights"
    assert not found["vectors"].equal(exact["vectors"]), "nothing was rounded"
    assert_alike(found, expected, 0.03)
    assert_alike(found, exact, 0.03)


@ON_CUDA
def test_the_kernel_of_torch_is_used_in_bfloat16_and_nowhere_else(backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[torch.dtype, int]] = []
    kernel: Callable[..., Any] = packed.varlen_attn

    def counted(query: Tensor, *rest: Any, **more: Any) -> Any:
        calls.append((query.dtype, query.shape[0]))
        return kernel(query, *rest, **more)

    monkeypatch.setattr(packed, "varlen_attn", counted)
    encoder = encoder_of(backbone, "auto")
    vectors_and_gradients(encoder, DEVICE)
    assert not calls
    vectors_and_gradients(encoder, DEVICE, rounded=True)  # tries
    calls.clear()
    vectors_and_gradients(encoder, DEVICE, rounded=True)
    tokens = int(encoder.prepare(texts())["tokens"].lengths_n.sum())
    assert calls == [(torch.bfloat16, tokens)] * 2, encoder.why_not_packed(DEVICE)
    assert has_kernel(torch.empty(1, 4, 10, 16, dtype=torch.bfloat16, device=THERE))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [4, 2])
def test_all_ways_of_attending_agree(causal: bool, heads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([1, 3, 3, 7, 2])
    query = torch.randn(1, 4, 16, 8, generator=generator)
    key, value = torch.randn(2, 1, heads, 16, 8, generator=generator).unbind()
    choices = {"is_causal": causal, "scale": 0.2, "enable_gqa": heads != 4}

    def layout(device: str) -> packed.Layout:
        return packed.Layout(packed.Ragged(torch.zeros(16, device=device), lengths.to(device)))

    expected = packed._of_one_length(query, key, value, layout("cpu"), dropout_p=0.0, **choices)
    there = [tensor.to(THERE) for tensor in (query, key, value)]
    found = packed._in_one_block(*there, layout(DEVICE), dropout_p=0.0, **choices)
    torch.testing.assert_close(found.cpu(), expected, rtol=0.0, atol=1e-5)
    if DEVICE == "cuda":
        found = packed.by_kernel(*(tensor.bfloat16() for tensor in there), layout(DEVICE), **choices)
        torch.testing.assert_close(found.float().cpu(), expected, rtol=0.0, atol=0.03)


# ---- lists ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_lists_and_ranks_are_those_of_the_cpu(folder: Path, case: str) -> None:
    dataset, here = built(folder, case)
    dataset, there = in_memory(folder / "data"), copy.deepcopy(here).to(THERE)
    split = leave_one_out(dataset.interactions)
    found = []
    for model in (there.eval(), here.eval()):
        index = CatalogIndex.of(model, dataset, served_counts(model, dataset), place=None)
        events = dataset.interactions
        histories = Histories(events.rows, events.offsets)
        queries = encode_histories(model, index, histories)
        lists = index.search(queries, 10, histories.last(2))
        ranked = rank_targets(ModelRanker.of(model, dataset, split), split, split.test)
        targets = events.rows[split.test.positions]
        before = Histories.before(events, split.test)
        blocks = ranks_in_blocks(index, encode_histories(model, index, before), targets, before)
        found.append((lists, ranked.ranks, index.rank(encode_histories(model, index, before), targets, before), blocks))
    (ours, our_ranks, our_whole, our_blocks), (theirs, their_ranks, their_whole, their_blocks) = found
    assert_same_lists(ours, theirs)
    for own, other in ((our_ranks, their_ranks), (our_whole, their_whole), (our_blocks.ranks, their_blocks.ranks)):
        assert len(np.unique(other)) > 5, "else this shows nothing"
        assert np.mean(own == other) > 0.8
        np.testing.assert_allclose(own.mean(), other.mean(), rtol=0.02)


def test_candidates_of_approximate_search_are_scored_where_the_model_is() -> None:
    """What is done besides the lists of faiss, which only a CPU keeps."""
    case = Case()
    with torch.no_grad():
        for parameter in case.model.prior.parameters() if case.model.prior else ():
            parameter.add_(0.3)
    case.model.to(THERE).eval()
    index = CatalogIndex.of(case.model, case.dataset, case.counts)
    events = case.dataset.interactions
    queries = encode_histories(case.model, index, Histories(events.rows, events.offsets))
    search = ApproximateSearch(None, len(index), 1, 1.0, 10)
    ground = _Ground.of(index, len(index))
    asked = _Asked(search, ground, index, queries)
    rows = np.array([1, 7, 30])
    exact = index.scores(queries).cpu().numpy()
    assert exact.std() > 0.1
    for user in range(5):
        np.testing.assert_allclose(asked.scores(user, rows), exact[user, rows], rtol=0, atol=1e-4)
    assert set(ground.always) <= set(range(len(index))) and len(ground.always)


@pytest.mark.parametrize("labels", [20])
def test_probes_tell_what_they_tell_on_the_cpu(labels: int) -> None:
    case = Case()
    split = leave_one_out(case.dataset.interactions)
    found = []
    for device in (DEVICE, "cpu"):
        ranker = ModelRanker.of(case.model.to(device).eval(), case.dataset, split)
        probed = probe(ranker, split, case.dataset.catalog, ProbeSettings(column="title", labels=(labels,), draws=3))
        found.append([probed.accuracy[name][labels] for name in ("users", "items")])
        lists = measure_lists(ranker, split, case.dataset.catalog, ListMeasureSettings(length=5))
        found[-1].append([lists.spread.value, lists.shown])
    assert found[0][2][0] > 0
    np.testing.assert_allclose(np.concatenate(found[0]), np.concatenate(found[1]), rtol=0.02, atol=0.06)
