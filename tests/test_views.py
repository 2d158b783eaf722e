"""What is kept of items for parts that read views: the same scores in training, in an index, on disk and when served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cases import SETTINGS, platform
from viewed_ground import viewed_model, viewed_platform

from transrec.data.batches import SequenceBatches
from transrec.data.catalog import Item
from transrec.data.counts import Counts
from transrec.data.histories import Histories
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.errors import ExportError, ModelError
from transrec.export.folder import require_vectors
from transrec.model import TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.retrieval.approximate import ApproximateSearch
from transrec.retrieval.blocks import ranks_in_blocks
from transrec.retrieval.index import CatalogIndex, encode_histories
from transrec.retrieval.kept import brought_up_to_date
from transrec.scoring import CosineScorer, FusedViewScorer
from transrec.serving.audience import audience_of
from transrec.serving.recommender import Recommender
from transrec.serving.request import Request
from transrec.views import ItemViews

DATASET = viewed_platform()
MODEL = viewed_model(DATASET)
HISTORIES = Histories.from_lists([[0, 1, 2], [4], [5, 6, 7, 9], []])


def views_of_all(model: TransRec = MODEL) -> ItemViews:
    store = ContentStore.prepare(DATASET.catalog, model.items.preparers())
    with torch.no_grad():
        return model.items(store.gather(np.arange(len(DATASET.catalog))))


def test_the_vector_comes_first_then_unit_views_and_exact_zeros() -> None:
    views = views_of_all()
    kept_UW = views.side_by_side
    assert torch.equal(kept_UW[:, :16], views.fused_UD)
    for place, name in enumerate(views.views):
        own_UD = kept_UW[:, 16 * (1 + place) : 16 * (2 + place)]
        assert torch.allclose(own_UD.norm(dim=1), views.present[name].float(), atol=1e-6)
        assert own_UD[~views.present[name]].eq(0).all()


def test_nothing_but_vectors_is_kept_where_nobody_reads_views() -> None:
    dataset = platform()
    index = CatalogIndex.of(TransRec.build(SETTINGS, [dataset.catalog]).eval(), dataset)
    assert index.vectors.kept_width == index.vectors.width == 16


def test_an_index_scores_what_the_scorer_says_and_reads_histories_as_vectors() -> None:
    index, views = CatalogIndex.of(MODEL, DATASET), views_of_all()
    assert (index.vectors.width, index.vectors.kept_width) == (16, 48)
    assert torch.allclose(index.vectors_VD, views.fused_UD, atol=1e-6)
    queries = encode_histories(MODEL, index, HISTORIES)
    rows_BL, mask_BL = (torch.from_numpy(array) for array in HISTORIES.padded())
    with torch.no_grad():
        states_BD = MODEL.users(views.fused_UD[rows_BL], mask_BL).last_BD
        expected = MODEL.scorer(states_BD, views.side_by_side)
    assert torch.allclose(queries.vectors, states_BD, atol=1e-6)
    assert torch.allclose(index.scores(queries), expected, atol=1e-5)
    assert torch.equal(
        index.search(queries, 5, HISTORIES).rows_BK[0],
        index.search(queries.block(0, 1), 5, HISTORIES.block(0, 1)).rows_BK[0],
    )


def test_ranks_in_blocks_are_those_of_whole_rows() -> None:
    index = CatalogIndex.of(MODEL, DATASET)
    targets, queries = np.array([3, 8, 11, 20]), encode_histories(MODEL, index, HISTORIES)
    found = ranks_in_blocks(index, queries, targets, HISTORIES)
    assert np.array_equal(found.ranks[~found.near], index.rank(queries, targets, HISTORIES)[~found.near])
    assert not found.near[:3].any()


@torch.no_grad()
def test_rounding_is_less_than_what_is_allowed_for_however_sharp_the_scorer() -> None:
    from transrec.retrieval.blocks import _Scores
    from transrec.retrieval.growing import ItemVectors
    from transrec.retrieval.queries import Queries

    generator = torch.Generator().manual_seed(0)
    for sharpness in (0.0, 3.0, 40.0):
        scorer = FusedViewScorer(("a", "b"))
        assert scorer.sharpness is not None
        scorer.sharpness.fill_(sharpness)
        users_BD = torch.randn(32, 64, generator=generator)
        units = torch.nn.functional.normalize(torch.randn(1000, 3, 64, generator=generator), dim=-1).flatten(1)
        index = CatalogIndex(ItemVectors(units, width=64), scorer)
        scores = _Scores(index, Queries(users_BD, Histories.from_lists([[]] * 32)), np.arange(32))
        low_B1, high_B1 = scores.within_rounding()
        errors_BV = scorer(users_BD, units).double() - scorer.double()(users_BD.double(), units.double())
        scorer.float()
        assert (errors_BV.abs().amax(dim=1) < (high_B1 - low_B1)[:, 0] / 4).all()


def test_nearest_items_go_by_vectors_alone() -> None:
    index = CatalogIndex.of(MODEL, DATASET)
    plain = CatalogIndex(index.vectors_VD, MODEL.scorer)
    assert torch.equal(index.similar(0, 5).rows_BK, plain.similar(0, 5).rows_BK)
    assert torch.allclose(index.similar(0, 5).scores_BK, plain.similar(0, 5).scores_BK)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_views_are_kept_on_disk_and_mapped(tmp_path: Path, precision: str) -> None:
    first = brought_up_to_date(MODEL, DATASET, tmp_path, precision=precision)
    again = brought_up_to_date(MODEL, DATASET, tmp_path, precision=precision)
    assert (first.encoded, again.encoded) == (24, 0)
    index, fresh = CatalogIndex(again.vectors, MODEL.scorer), CatalogIndex.of(MODEL, DATASET)
    queries = encode_histories(MODEL, fresh, HISTORIES)
    scores = index.scores(queries)
    assert torch.allclose(scores, fresh.scores(queries), atol=1e-5 if precision == "float32" else 0.05)
    # room behind what is kept has the same width
    assert len(again.vectors.with_versions(torch.ones(3, 48), np.arange(24, 27))) == 27


def test_vectors_of_a_model_that_reads_none_are_not_taken_for_views(tmp_path: Path) -> None:
    brought_up_to_date(viewed_model(DATASET, scorer="cosine"), DATASET, tmp_path)
    assert brought_up_to_date(MODEL, DATASET, tmp_path).vectors.kept_width == 48


def test_a_new_item_with_one_view_is_served_told_of_and_explained(tmp_path: Path) -> None:
    MODEL.save(tmp_path / "run")
    recommender = Recommender.of(TransRec.load(tmp_path / "run"), DATASET)
    fresh = Item("new", vectors={"words": np.linspace(-1, 1, 8)})
    assert 1 <= min(place for _, place in audience_of(recommender, DATASET, fresh).places) <= 25
    recommender.live.add([fresh])
    asked = Request(history=["i0", "i1", "new"], k=25, seen=True, explain=True)
    told = recommender.answer([asked])[0]
    found = {item.id: item for item in told.items}
    assert set(found) == {*DATASET.catalog.ids, "new"}
    reason = found["new"].reason
    assert reason is not None and reason.views == {"words": 1.0}
    assert reason.content + reason.counts == pytest.approx(found["new"].score, abs=1e-4)
    assert {len(found[item].reason.views) for item in ("i0", "i1", "i2")} == {1, 2}
    assert len(recommender.answer([Request(history=["i0"], k=5, diversity=0.5)])[0].items) == 5


def test_what_reads_views_is_refused_where_only_vectors_go() -> None:
    with pytest.raises(ExportError, match="FusedViewScorer read the views of items too"):
        require_vectors(MODEL)
    index = CatalogIndex.of(MODEL, DATASET)
    with pytest.raises(ModelError, match="FusedViewScorer cannot be searched approximately"):
        ApproximateSearch.build(index, encode_histories(MODEL, index, HISTORIES))
    with pytest.raises(ModelError, match="have width 16, the index has 48"):
        index.add(torch.zeros(1, 16))


def test_a_scorer_of_other_views_is_refused() -> None:
    with pytest.raises(ModelError, match="made for views of text, image, the item tower gives"):
        TransRec(MODEL.items, MODEL.users, FusedViewScorer(("text", "image")), MODEL.settings)


@pytest.mark.parametrize(
    ("kind", "chosen"),
    [("softmax", {"memory": 2}), ("softmax", {"positions_at_once": 7}), ("gbce", {}), ("multistep", {}), ("masked", {})],
)
def test_every_objective_teaches_the_scorer(kind: str, chosen: dict[str, object]) -> None:
    users = {"attention": "bidirectional", "mask_token": True} if kind == "masked" else {}
    model = viewed_model(DATASET, users=users, prior="none").train()
    assert isinstance(model.scorer, FusedViewScorer) and model.scorer.sharpness is not None
    objective = build_objective(ObjectiveSettings.from_mapping({"kind": kind, kind: chosen}), model)
    store = ContentStore.prepare(DATASET.catalog, model.items.preparers())
    batches = SequenceBatches(leave_one_out(DATASET.interactions), store, objective.plan, batch_size=16, seed=1)
    for step in range(2):
        batch = batches.batch(step)
        objective(model, model(batch), batch).total.backward()
    assert model.scorer.sharpness.grad is not None and model.scorer.sharpness.grad.abs() > 0
    weights = {name: projection.linear.weight.grad for name, projection in model.items.projections.items()}
    assert all(grad is not None and grad.abs().max() > 0 for grad in weights.values())


@pytest.mark.parametrize("kind", ["cosine", "views"])
def test_the_loss_of_a_batch_at_random_is_about_the_log_of_its_size(kind: str) -> None:
    generator, size = torch.Generator().manual_seed(0), 64
    made = {name: torch.randn(size, 300, generator=generator) for name in ("words", "looks")}
    present = {"words": torch.arange(size) % 3 != 2, "looks": torch.arange(size) % 3 != 1}
    items = ItemViews(made, present, torch.randn(size, 300, generator=generator))
    scorer = FusedViewScorer(("words", "looks")) if kind == "views" else CosineScorer()
    with torch.no_grad():
        scores = scorer(torch.randn(size, 300, generator=generator), items.read_by(scorer))
    assert float(torch.nn.functional.cross_entropy(scores, torch.arange(size))) == pytest.approx(np.log(size), abs=0.5)


def test_counts_are_added_to_view_scores() -> None:
    split = leave_one_out(DATASET.interactions)
    counts = Counts.of(split, len(DATASET.catalog))
    index, plain = CatalogIndex.of(MODEL, DATASET, counts), CatalogIndex.of(MODEL, DATASET)
    queries = encode_histories(MODEL, index, HISTORIES)
    assert not torch.allclose(index.scores(queries), plain.scores(queries))
