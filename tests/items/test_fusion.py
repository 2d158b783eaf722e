import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from transrec.items.fusion import build_fusion, drop_views
from transrec.nesting import Nesting, leading

NAMES = ("text", "image", "audio")
KINDS = ["mean", "gated", "concat"]
masks = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=6)


def _case(rows, width=5):
    present = {name: torch.tensor([row[place] for row in rows]) for place, name in enumerate(NAMES)}
    views = {name: torch.randn(len(rows), width, dtype=torch.float64) for name in NAMES}
    return views, present


def _fusion(kind, width=5):
    fusion = build_fusion(kind, NAMES, width).double()
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter)
    return fusion


@pytest.mark.parametrize("kind", KINDS)
@given(rows=masks, garbage=st.sampled_from([math.nan, math.inf, 1e30]))
def test_an_absent_view_contributes_nothing_at_all(kind, rows, garbage):
    fusion = _fusion(kind)
    views, present = _case(rows)
    expected = fusion({n: torch.where(present[n][:, None], v, 0.0) for n, v in views.items()}, present)
    spoiled = {n: torch.where(present[n][:, None], v, garbage).requires_grad_() for n, v in views.items()}
    found = fusion(spoiled, present)
    assert torch.equal(found, expected)
    found.square().sum().backward()
    for name in NAMES:
        assert (spoiled[name].grad[~present[name]] == 0).all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in fusion.parameters())


@pytest.mark.parametrize("kind", KINDS)
@given(rows=masks)
def test_an_item_without_any_view_is_zero(kind, rows):
    views, present = _case(rows)
    found = _fusion(kind)(views, present)
    nothing = ~torch.stack(list(present.values())).any(dim=0)
    assert (found[nothing] == 0).all()
    assert (found[~nothing].abs().sum(dim=1) > 0).all()


def test_mean_is_the_mean_of_those_present():
    views, present = _case([(True, True, False), (False, False, True)])
    found = build_fusion("mean", NAMES, 5)(views, present)
    torch.testing.assert_close(found[0], (views["text"][0] + views["image"][0]) / 2)
    torch.testing.assert_close(found[1], views["audio"][1])


def test_gated_starts_as_the_mean_and_weighs_by_softmax():
    views, present = _case([(True, True, False), (True, True, True)])
    fusion = build_fusion("gated", NAMES, 5).double()
    torch.testing.assert_close(fusion(views, present), build_fusion("mean", NAMES, 5)(views, present))
    fusion = _fusion("gated")
    score = {n: fusion.gates[n](views[n][0]).exp() for n in ("text", "image")}
    by_hand = sum(score[n] / sum(score.values()) * views[n][0] for n in score)
    torch.testing.assert_close(fusion(views, present)[0], by_hand)


def test_concat_is_concatenation_and_projection():
    views, present = _case([(True, True, True)])
    fusion = _fusion("concat")
    matrix = torch.cat([fusion.maps[name].weight for name in NAMES], dim=1)
    torch.testing.assert_close(fusion(views, present), torch.cat([views[n] for n in NAMES], dim=1) @ matrix.T)


@given(rows=masks, share=st.floats(0.0, 1.0))
def test_modality_dropout_takes_one_view_at_most_and_never_the_last(rows, share):
    _, present = _case(rows)
    kept = drop_views(present, share)
    for place, row in enumerate(rows):
        left = [bool(kept[name][place]) for name in NAMES]
        assert all(had or not has for had, has in zip(row, left, strict=True))
        assert sum(row) - sum(left) in ((0, 1) if sum(row) > 1 else (0,))


def test_modality_dropout_takes_as_often_as_asked_and_each_alike():
    _, present = _case([(True, True, False)] * 20_000)
    kept = drop_views(present, 0.3)
    lost = {name: float((~kept[name]).float().mean()) for name in ("text", "image")}
    assert lost["text"] == pytest.approx(0.15, abs=0.02)
    assert lost["image"] == pytest.approx(0.15, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_nested_the_first_numbers_are_the_fusion_of_the_first_numbers(kind):
    views, present = _case([(True, True, False), (False, False, True), (True, True, True)], width=8)
    whole = build_fusion(kind, NAMES, 8, Nesting((2, 4, 8))).double()
    for parameter in whole.parameters():
        torch.nn.init.normal_(parameter)
    for width, sizes in ((2, (2,)), (4, (2, 4))):
        small = build_fusion(kind, NAMES, width, Nesting(sizes)).double()
        small.load_state_dict({n: leading(whole.state_dict()[n], t.shape) for n, t in small.state_dict().items()})
        narrow = {name: view_UD[:, :width] for name, view_UD in views.items()}
        torch.testing.assert_close(small(narrow, present), whole(views, present)[:, :width])
