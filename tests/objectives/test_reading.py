"""Reading views: what the user encoder is shown of an augmented history."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from cases import Case, timed_case

from transrec.data.augmenting import HIDDEN, PADDED, AugmentSettings
from transrec.errors import ModelError
from transrec.objectives.reading import check_views, read_view

MASKED = {"mask_token": True}


def test_a_view_of_the_history_as_it_is_gives_its_state() -> None:
    case = timed_case("barlow", **MASKED)
    batch = case.batches.batch(0)
    case.model.eval()
    outputs = case.model(batch)
    slots_BL = torch.where(batch.mask_BL, torch.arange(batch.mask_BL.shape[1]), PADDED)
    torch.testing.assert_close(read_view(case.model, outputs, batch, slots_BL).last_BD, outputs.users.last_BD)
    cut_BL = slots_BL.masked_fill(slots_BL >= 1, PADDED)
    only_first = case.model.users(
        outputs.items.fused_UD[batch.history_BL[:, :1]], batch.mask_BL[:, :1], batch.times_BL[:, :1]
    )
    torch.testing.assert_close(read_view(case.model, outputs, batch, cut_BL).last_BD, only_first.last_BD)


def test_a_hidden_item_is_not_seen() -> None:
    case = Case(0, "barlow", users=MASKED)
    batch = case.batches.batch(0)
    case.model.eval()
    slots_BL = torch.where(batch.mask_BL, torch.arange(batch.mask_BL.shape[1]), PADDED)
    slots_BL[:, 0] = HIDDEN
    elsewhere = replace(batch, history_BL=batch.history_BL.index_fill(1, torch.tensor([0]), 3))
    read = [read_view(case.model, case.model(b), b, slots_BL).last_BD for b in (batch, elsewhere)]
    assert read[0].equal(read[1])


def test_views_that_hide_need_something_in_the_place_of_what_is_hidden() -> None:
    case = Case()
    check_views(case.model, AugmentSettings(drop=0.2, mask=0.0, permute=0.0), where="somewhere")
    with pytest.raises(ModelError, match=r"(?s)no vector to put in their place.*somewhere.mask"):
        check_views(case.model, AugmentSettings(mask=0.2), where="somewhere")
