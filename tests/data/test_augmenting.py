"""Augmentations: what each may do to a history and what it may not, and that the step alone decides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cases import platform
from hypothesis import given, settings
from hypothesis import strategies as st

from transrec.data import augmenting
from transrec.data.augmenting import HIDDEN, PADDED, AugmentSettings, as_it_is, two_views
from transrec.data.drawing import Draws
from transrec.data.splits import leave_one_out
from transrec.data.windows import WindowPlan
from transrec.errors import SettingsError

Augment = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]

ALL = (augmenting.crop, augmenting.drop_items, augmenting.permute_segment, augmenting.mask_items, augmenting.mask_segment)
WIDTH = 8

shares = st.floats(0.01, 0.99)
histories = st.lists(st.integers(1, WIDTH), min_size=1, max_size=9)


def real(lengths: list[int]) -> np.ndarray:
    return np.arange(WIDTH) < np.array(lengths)[:, None]


@pytest.mark.parametrize("augment", ALL)
@given(lengths=histories, share=shares, seed=st.integers(0, 99))
@settings(max_examples=60)
def test_each_does_its_own_and_no_more(augment: Augment, lengths: list[int], share: float, seed: int) -> None:
    before_BL = as_it_is(real(lengths))
    after_BL = augment(before_BL, share, np.random.default_rng(seed))
    assert np.array_equal(after_BL, augment(before_BL, share, np.random.default_rng(seed))), "the generator decides"
    assert after_BL.shape == before_BL.shape and after_BL.dtype == np.int64
    for length, row in zip(lengths, after_BL, strict=True):
        places = row[: int((row != PADDED).sum())]
        assert (row[len(places) :] == PADDED).all(), "real places come first"
        shown = places[places >= 0]
        assert len(shown) >= 1 and len(set(shown)) == len(shown) and shown.max() < length
        if augment is augmenting.permute_segment:
            assert sorted(places) == list(range(length))
        elif augment is augmenting.crop:
            assert np.array_equal(places, np.arange(places[0], places[0] + len(places)))
            assert len(places) == length - int(share * length)
        elif augment is augmenting.drop_items:
            assert (np.diff(places) > 0).all()
        else:
            assert len(places) == length
            assert all(slot in (HIDDEN, place) for place, slot in enumerate(places))
        if augment is augmenting.mask_segment and (hidden := np.flatnonzero(places == HIDDEN)).size:
            assert np.array_equal(hidden, np.arange(hidden[0], hidden[-1] + 1))


@given(lengths=histories, seed=st.integers(0, 99), chosen=st.lists(shares, min_size=5, max_size=5))
@settings(max_examples=60)
def test_all_of_them_one_after_the_other_show_something_of_every_history(
    lengths: list[int], seed: int, chosen: list[float]
) -> None:
    names = ("crop", "drop", "permute", "mask", "segment_mask")
    views_2BL = two_views(
        real(lengths), AugmentSettings(**dict(zip(names, chosen, strict=True))), np.random.default_rng(seed)
    )
    assert views_2BL.shape == (2, len(lengths), WIDTH)
    assert (views_2BL >= 0).any(axis=2).all()


@pytest.mark.parametrize("augment", [augmenting.drop_items, augmenting.mask_items])
def test_each_item_has_the_same_probability(augment: Augment) -> None:
    before_BL = as_it_is(np.ones((20_000, 25), dtype=bool))
    after_BL = augment(before_BL, 0.3, np.random.default_rng(0))
    lost_L = [1 - (after_BL == slot).any(axis=1).mean() for slot in range(25)]
    assert np.abs(np.array(lost_L) - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / 20_000)


def test_a_shuffled_run_has_every_order_equally_often() -> None:
    after_BL = augmenting.permute_segment(as_it_is(np.ones((24_000, 4), dtype=bool)), 0.9, np.random.default_rng(0))
    _, counts = np.unique(after_BL, axis=0, return_counts=True)
    assert len(counts) == 24 and np.abs(counts / 1000 - 1).max() < 0.2


def test_without_any_augmentation_there_are_no_two_views() -> None:
    with pytest.raises(SettingsError, match="both views are the history itself"):
        AugmentSettings.from_mapping({"mask": 0, "permute": 0})


def test_views_depend_on_seed_and_step_alone_and_change_nothing_else() -> None:
    split = leave_one_out(platform().interactions)

    def draws(views: AugmentSettings | None, seed: int = 1) -> Draws:
        plan = WindowPlan("next", length=6, negatives=3, shared_negatives=4, views=views)
        return Draws(split, 50, plan, batch_size=16, seed=seed)

    asked = draws(AugmentSettings())
    later, plain = asked.at(5), draws(None).at(5)
    asked.at(2)
    assert later.views_2BL is not None and plain.views_2BL is None
    assert np.array_equal(later.views_2BL, asked.at(5).views_2BL), "whatever was drawn between"
    assert not np.array_equal(later.views_2BL, draws(AugmentSettings(), seed=2).at(5).views_2BL)
    assert not np.array_equal(*later.views_2BL)
    for name in ("history_BL", "negatives_BK", "rows_U", "users"):
        assert np.array_equal(getattr(later, name), getattr(plain, name)), name
