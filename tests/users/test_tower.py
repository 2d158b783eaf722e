"""Every kind of user encoder, nested: the first numbers of its states are the states of a smaller encoder."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from transrec.errors import SettingsError
from transrec.nesting import leading
from transrec.users.encoder import UserEncoder
from transrec.users.settings import UserSettings
from transrec.users.tower import build_users

SIZES = (8, 16, 32)
KINDS = ["transformer", "gated", "lru"]


def made(kind: str, width: int = 32, **changes: object) -> UserEncoder:
    share = width / 32
    form = {"window": 8, "layers": 2, "heads": int(8 * share), "feedforward": int(48 * share), "dropout": 0.0}
    form |= {"adapter": int(16 * share), "mask_token": True, "lru": {"states": 2, "ring": 0.5}}
    nested = tuple(size for size in SIZES if size <= width)
    settings = UserSettings.from_mapping({**form, "kind": kind, **changes})
    encoder = build_users(width, settings, nested if len(nested) > 1 else ()).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if ".log_" not in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return encoder


def cut(whole: UserEncoder, kind: str, width: int) -> UserEncoder:
    small = made(kind, width)
    given = whole.state_dict()
    for name, own in small.state_dict().items():
        module = whole.get_submodule(name.rpartition(".")[0])
        own.copy_(leading(given[name], own.shape, getattr(module, "parts", 1)))
    return small


def histories(width: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    items_BLD = torch.randn(3, 6, width, generator=torch.Generator().manual_seed(1))
    times_BL = torch.tensor([[1, 5, 70, 90, 1000, 90000]]).expand(3, -1)
    return items_BLD, torch.arange(6) < torch.tensor([6, 3, 1])[:, None], times_BL


@pytest.mark.parametrize("width", SIZES[:-1])
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_numbers_of_states_are_those_of_a_smaller_encoder(kind: str, width: int) -> None:
    whole = made(kind)
    items_BLD, mask_BL, times_BL = histories()
    small = cut(whole, kind, width)
    found = small(items_BLD[..., :width], mask_BL, times_BL).vectors
    expected = whole(items_BLD, mask_BL, times_BL).vectors[..., :width]
    assert found[mask_BL].abs().max() > 0.1
    torch.testing.assert_close(found[mask_BL], expected[mask_BL], atol=1e-5, rtol=0)
    assert whole.nested == SIZES and small.nested == (SIZES[:2] if width == 16 else ())


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_of_an_item_changes_nothing_in_the_blocks_before_its_own(kind: str) -> None:
    encoder = made(kind, adapter=0)
    items_BLD, mask_BL, times_BL = histories()
    items_BLD, mask_BL, times_BL = items_BLD[:1, :3], mask_BL[:1, :3], times_BL[:1, :3]
    jacobian = torch.autograd.functional.jacobian(lambda items: encoder(items, mask_BL, times_BL).vectors[0], items_BLD)
    jacobian_LDLD = jacobian[:, :, 0]
    for size in SIZES[:-1]:
        assert not jacobian_LDLD[:, :size, :, size:].any()
        assert jacobian_LDLD[:, size:, :, :size].any(), "later blocks read earlier ones"


@pytest.mark.parametrize("kind", KINDS)
def test_without_nested_widths_everything_reads_everything(kind: str) -> None:
    encoder = build_users(32, UserSettings(kind=kind, window=8, layers=1, heads=8, feedforward=48, start="fresh")).eval()
    items_BLD, mask_BL, _ = histories()
    moved = items_BLD.clone()
    moved[..., 31] += 1.0
    assert encoder.nested == ()
    assert not torch.allclose(encoder(moved, mask_BL).vectors[..., 0], encoder(items_BLD, mask_BL).vectors[..., 0])


def test_a_width_that_ends_inside_a_head_or_a_feed_forward_part_is_refused() -> None:
    with pytest.raises(SettingsError, match="nested width 8 ends inside a head: each of the 2 heads has 16 numbers"):
        made("transformer", heads=2)
    with pytest.raises(SettingsError, match="ends inside a head"):
        made("gated", heads=2)
    for kind in ("transformer", "lru"):
        with pytest.raises(SettingsError, match="18 cannot be cut in proportion") as told:
            made(kind, feedforward=18)
        assert told.value.where == "model.users.feedforward"
    with pytest.raises(SettingsError, match="6 cannot be cut") as told:
        made("lru", adapter=6)
    assert told.value.where == "model.users.adapter"
