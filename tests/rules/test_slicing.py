"""A slice of a whole model: the same vectors and scores as the first numbers of the whole, and every parameter told of."""

from __future__ import annotations

import pytest
import torch
from cases import Case

from transrec.errors import ModelError
from transrec.items.tower import ItemEncoder
from transrec.model import TransRec
from transrec.rules.slicing import settings_at, sliced
from transrec.scoring import PrefixScorer

SIZES = [4, 8, 16]
FORMS = {
    "lru": {"users": {"kind": "lru"}},
    "transformer": {"users": {"heads": 4}},
    "gated": {"users": {"kind": "gated", "heads": 4}},
    "norm, gated fusion, adapter": {
        "users": {"heads": 4, "adapter": 8, "mask_token": True},
        "items": {"projection": "norm", "fusion": "gated", "modalities": ["given", "identity"]},
    },
    "concatenation, born fresh": {
        "users": {"kind": "lru", "start": "fresh", "lru": {"states": 2}},
        "items": {"fusion": "concat", "start": "random", "modalities": ["given", "identity"]},
    },
}


def moved(name: str) -> Case:
    """A nested model away from its start, where many differences would not show."""
    form = FORMS[name]
    case = Case(
        0, users=form["users"], items={"nested": SIZES, **form.get("items", {})}, added={"matryoshka": {"sizes": SIZES}}
    )
    case.model.items.calibrate(case.store.sample(50, seed=0), case.model.items.projected)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for own, parameter in case.model.named_parameters():
            if ".log_" not in own:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    case.model.eval()
    return case


@pytest.mark.parametrize("width", SIZES[:-1])
@pytest.mark.parametrize("name", FORMS)
def test_the_whole_model_is_nested(name: str, width: int) -> None:
    case = moved(name)
    small, _ = sliced(case.model, width)
    batch = case.batches.batch(0)
    with torch.no_grad():
        whole, part = case.model(batch), small(batch)
        torch.testing.assert_close(part.items.fused_UD, whole.items.fused_UD[:, :width], atol=1e-5, rtol=0)
        real = batch.mask_BL
        torch.testing.assert_close(part.users.vectors[real], whole.users.vectors[real][:, :width], atol=1e-5, rtol=0)
        for view, vectors_UD in part.items.views.items():
            torch.testing.assert_close(vectors_UD, whole.items.views[view][:, :width], atol=1e-5, rtol=0)
        scores = small.scorer(part.users.last_BD, part.items.fused_UD)
        by_prefix = PrefixScorer(case.model.scorer, width)(whole.users.last_BD, whole.items.fused_UD)
        torch.testing.assert_close(scores, by_prefix, atol=1e-4, rtol=0)
    assert part.items.fused_UD.abs().max() > 0.1


@pytest.mark.parametrize("name", FORMS)
def test_it_has_as_many_parameters_as_one_that_is_built_at_that_width(name: str) -> None:
    case = moved(name)
    for width in SIZES[:-1]:
        small, sources = sliced(case.model, width)
        built = TransRec.build(settings_at(case.model.settings, width), [case.dataset.catalog], seed=7)
        shapes = {own: tuple(tensor.shape) for own, tensor in small.state_dict().items()}
        assert shapes == {own: tuple(tensor.shape) for own, tensor in built.state_dict().items()}
        assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in case.model.parameters())
        assert small.settings == built.settings and small.items.width == small.users.width == width
        assert sources.keys() == shapes.keys() and set(sources.values()) == {"slice", "copy"}
        assert sources["prior.popularity"] == "copy" and sources["items.projections.given.linear.weight"] == "slice"


def test_a_slice_of_a_slice_is_the_slice() -> None:
    case = moved("transformer")
    once, _ = sliced(case.model, 4)
    twice, _ = sliced(sliced(case.model, 8)[0], 4)
    for name, tensor in once.state_dict().items():
        assert torch.equal(tensor, twice.state_dict()[name])


def test_a_number_of_the_encoders_vector_may_reach_every_number() -> None:
    """The projection reads all of the content at every width: its rows are cut, its input is not."""
    case = moved("lru")
    assert isinstance(case.model.items, ItemEncoder)
    small, _ = sliced(case.model, 4)
    assert small.items.projections["given"].linear.weight.shape == (4, 8)
    assert torch.equal(small.items.projections["given"].means, case.model.items.projections["given"].means)


def test_a_model_that_is_not_nested_or_not_at_this_width_is_refused() -> None:
    with pytest.raises(ModelError, match=r"layers of this model are not nested.*depend on all 16") as told:
        sliced(Case(0).model, 8)
    assert "--index-only" in str(told.value)
    for width in (6, 16, 32):
        with pytest.raises(ModelError, match=f"nested widths are 4, 8 of 16, {width} is none of them"):
            sliced(moved("lru").model, width)
