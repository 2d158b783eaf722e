"""The encoder with interests: parity with torch's own layers, what an interest is, padding, and what is seen from where."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from viewed_ground import viewed_model, viewed_platform

from transrec.data.item import Item
from transrec.errors import ModelError, SettingsError
from transrec.model import TransRec
from transrec.retrieval.encoding import encode_items, prepared_for
from transrec.rules import SourceRule, usual_rules
from transrec.serving.recommender import Recommender
from transrec.testing import UserEncoderContract
from transrec.users.missrec import MissrecUserEncoder
from transrec.users.settings import UserSettings
from transrec.users.transformer import TransformerUserEncoder

WIDTH, MANY = 16, 2
SHAPE = {"window": 8, "layers": 2, "heads": 4, "feedforward": 24, "start": "fresh", "kind": "missrec"}


class TestContract(UserEncoderContract):
    def make(self) -> MissrecUserEncoder:
        encoder = MissrecUserEncoder(WIDTH, UserSettings.from_mapping({**SHAPE, "start": "similar"}))
        encoder.load_state_dict({name: tensor.float() for name, tensor in made(start="similar").state_dict().items()})
        return encoder


class TestBidirectionalContract(UserEncoderContract):
    def make(self) -> MissrecUserEncoder:
        return made(attention="bidirectional").float()


def made(centres: int = 5, **changes: object) -> MissrecUserEncoder:
    encoder = MissrecUserEncoder(WIDTH, UserSettings.from_mapping({**SHAPE, **changes})).double().eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in encoder.parameters():  # away from the start, where many differences would not show
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.2)
    encoder.centres = torch.randn(centres, WIDTH, generator=generator, dtype=torch.float64)
    return encoder


def drawn(lengths: list[int], total: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Histories of items with two views, a third of which are absent."""
    generator = torch.Generator().manual_seed(seed)
    items_BLW = torch.randn(len(lengths), total, (1 + MANY) * WIDTH, generator=generator, dtype=torch.float64)
    absent = torch.rand(len(lengths), total, MANY, generator=generator) < 0.3
    views = items_BLW[..., WIDTH:].unflatten(-1, (MANY, WIDTH)).masked_fill(absent[..., None], 0.0)
    items_BLW = torch.cat([items_BLW[..., :WIDTH], views.flatten(-2)], dim=-1)
    return items_BLW, torch.arange(total) < torch.tensor(lengths)[:, None]


def ids_of(encoder: MissrecUserEncoder, item_W: Tensor) -> list[int]:
    """The clusters of an item's views, slowly."""
    views = item_W[WIDTH:].view(MANY, WIDTH)
    return [int((encoder.centres - view).norm(dim=1).argmin()) for view in views if view.any()]


@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4), centres=st.integers(1, 6), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_interests_are_the_unique_clusters_of_the_views_of_a_history(lengths: list[int], centres: int, seed: int) -> None:
    encoder = made(centres)
    items_BLW, mask_BL = drawn(lengths, total=5, seed=seed)
    found = encoder.discovered(items_BLW, mask_BL)
    for user, length in enumerate(lengths):
        since: dict[int, int] = {}
        for slot in range(length):
            for own in ids_of(encoder, items_BLW[user, slot]):
                since.setdefault(own, slot)
        real = found.mask_BT[user]
        assert found.vectors_BTD[user, real].equal(encoder.centres[list(since)])
        assert found.since_BT[user, real].tolist() == list(since.values())
        assert found.vectors_BTD[user, ~real].eq(0).all()


def test_a_user_of_one_cluster_has_one_interest() -> None:
    encoder = made()
    items_BLW, mask_BL = drawn([5, 5], total=5)
    items_BLW[0, :, WIDTH:] = (encoder.centres[3] + 0.01).repeat(MANY)
    found = encoder.discovered(items_BLW, mask_BL)
    assert found.mask_BT[0].sum() == 1 and found.vectors_BTD[0, 0].equal(encoder.centres[3])
    assert found.mask_BT[1].sum() > 1


def independent(encoder: MissrecUserEncoder, norm: str) -> tuple[nn.Module, list[nn.Module]]:
    """torch's own encoder layer and decoder layers with our weights."""
    form = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": norm == "pre", "dtype": torch.float64}
    layer = nn.TransformerEncoderLayer(WIDTH, 4, 24, **form)
    layers = [nn.TransformerDecoderLayer(WIDTH, 4, 24, **form) for _ in encoder.blocks]

    def parts(block: nn.Module, last_norm: str) -> dict[str, Tensor]:
        named = {
            "self_attn.in_proj": block.query_key_value,
            "self_attn.out_proj": block.output,
            "linear1": block.expand,
            "linear2": block.contract,
            "norm1": block.attention_norm,
            last_norm: block.feedforward_norm,
        }
        return {
            f"{name}{'_' if name.endswith('in_proj') else '.'}{kind}": getattr(part, kind).detach()
            for name, part in named.items()
            for kind in ("weight", "bias")
        }

    layer.load_state_dict(parts(encoder.context[0], "norm2"))
    for theirs, block, look in zip(layers, encoder.blocks, encoder.looks, strict=True):
        crossed = {
            f"multihead_attn.in_proj_{kind}": torch.cat([getattr(look.query, kind), getattr(look.key_value, kind)]).detach()
            for kind in ("weight", "bias")
        }
        crossed |= {f"multihead_attn.out_proj.{kind}": getattr(look.output, kind).detach() for kind in ("weight", "bias")}
        crossed |= {f"norm2.{kind}": getattr(look.norm, kind).detach() for kind in ("weight", "bias")}
        theirs.load_state_dict({**parts(block, "norm3"), **crossed})
    return layer.train(), [own.train() for own in layers]  # dropout is 0; train mode keeps torch on its plain path


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_equals_torchs_own_layers(norm: str) -> None:
    encoder = made(norm=norm, attention="bidirectional")
    items_BLW, mask_BL = drawn([6, 3, 1], total=6)
    items_BLW[2, 0, WIDTH:] += 0.1  # both views are there
    found = encoder.discovered(items_BLW, mask_BL)
    layer, layers = independent(encoder, norm)
    interests = encoder.context_norm(layer(found.vectors_BTD, src_key_padding_mask=~found.mask_BT))
    states = items_BLW[..., :WIDTH] + encoder.positions.weight[:6]
    for own in layers:
        states = own(states, interests, tgt_key_padding_mask=~mask_BL, memory_key_padding_mask=~found.mask_BT)
    expected, ours = encoder.final_norm(states), encoder(items_BLW, mask_BL).vectors
    assert torch.allclose(ours[mask_BL], expected[mask_BL], atol=1e-10)


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4), extra=st.integers(0, 3), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_padding_has_no_influence(attention: str, lengths: list[int], extra: int, seed: int) -> None:
    encoder = made(attention=attention)
    items_BLW, mask_BL = drawn(lengths, total=5, seed=seed)
    more = torch.full((len(lengths), extra, items_BLW.shape[-1]), torch.nan, dtype=torch.float64)
    longer_mask = torch.cat([mask_BL, torch.zeros(len(lengths), extra, dtype=torch.bool)], dim=1)
    short = encoder(items_BLW, mask_BL).last_BD
    assert torch.allclose(short, encoder(torch.cat([items_BLW, more], dim=1), longer_mask).last_BD, atol=1e-12)
    alone = [encoder(items_BLW[b : b + 1, :n], mask_BL[b : b + 1, :n]).last_BD[0] for b, n in enumerate(lengths)]
    assert torch.allclose(short, torch.stack(alone), atol=1e-12)


@given(length=st.integers(2, 6), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_a_causal_state_does_not_see_what_comes_later(length: int, seed: int) -> None:
    for attention in ("causal", "bidirectional"):
        encoder = made(attention=attention)
        assert encoder.causal == (attention == "causal")
        items_BLW, mask_BL = drawn([length], total=length, seed=seed)
        other = items_BLW.clone()
        other[:, -1] = drawn([1], 1, seed=seed + 100)[0][0]
        before, after = (encoder(items, mask_BL).vectors[:, :-1] for items in (items_BLW, other))
        assert torch.allclose(before, after, atol=1e-12) == encoder.causal


def test_a_state_depends_on_the_interests() -> None:
    encoder = made()
    items_BLW, mask_BL = drawn([4, 2], total=4)
    other = items_BLW.clone()
    other[..., WIDTH:] = torch.where(items_BLW[..., WIDTH:] != 0, items_BLW[..., WIDTH:].flip(0), 0.0)
    assert not torch.allclose(encoder(items_BLW, mask_BL).last_BD, encoder(other, mask_BL).last_BD)


def test_without_clusters_it_is_read_as_by_a_transformer_whose_looks_see_nothing() -> None:
    encoder = made(0)
    plain = TransformerUserEncoder(WIDTH, UserSettings.from_mapping({**SHAPE, "kind": "transformer"})).double().eval()
    found = plain.load_state_dict(encoder.state_dict(), strict=False)
    assert not found.missing_keys
    items_BLW, mask_BL = drawn([4, 0], total=4)
    states, expected = encoder(items_BLW, mask_BL), plain(items_BLW[..., :WIDTH], mask_BL)
    assert torch.allclose(states.last_BD, expected.last_BD, atol=1e-12)
    assert states.last_BD[1].eq(0).all(), "an empty history"


def test_items_get_gradients_through_their_vectors_and_clusters_get_none() -> None:
    encoder = made()
    items_BLW, mask_BL = drawn([4, 2], total=4)
    items_BLW.requires_grad_()
    encoder(items_BLW, mask_BL).last_BD.square().sum().backward()
    assert items_BLW.grad is not None and items_BLW.grad[..., :WIDTH].abs().max() > 0
    assert items_BLW.grad[..., WIDTH:].eq(0).all() and not encoder.centres.requires_grad
    without = [name for name, p in encoder.named_parameters() if p.grad is None]
    assert not without


def test_it_is_born_similar_like_the_others() -> None:
    encoder = MissrecUserEncoder(WIDTH, UserSettings.from_mapping({**SHAPE, "start": "similar"})).double().eval()
    encoder.centres = torch.ones(2, WIDTH, dtype=torch.float64)
    items_BLW, mask_BL = drawn([4, 2], total=4)
    expected = encoder.recency(items_BLW[..., :WIDTH], mask_BL, torch.zeros(2, 4, WIDTH, dtype=torch.float64))
    assert torch.allclose(encoder(items_BLW, mask_BL).vectors[mask_BL], expected[mask_BL])


def test_a_hidden_item_shows_no_interest() -> None:
    encoder = made(mask_token=True)
    items_BLW, mask_BL = drawn([4, 4], total=4)
    hidden_BL = torch.zeros(2, 4, dtype=torch.bool)
    hidden_BL[0] = True
    found = encoder.discovered(encoder.hide(items_BLW, hidden_BL), mask_BL)
    assert not found.mask_BT[0].any() and found.mask_BT[1].any()


def test_adapters_have_their_places_and_heads_must_fit() -> None:
    assert len([name for name, _ in made(adapter=4).named_modules() if name.endswith("_adapter")]) == 6
    with pytest.raises(SettingsError, match="3 heads do not divide"):
        made(heads=3)


# ---- clusters of a catalog --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "expected"), [(0.02, 1), (0.25, 8), (1.0, 32)])
@pytest.mark.parametrize("clusters", ["kmeans", "density"])
def test_it_is_attuned_to_the_views_that_there_are(ratio: float, expected: int, clusters: str) -> None:
    dataset = viewed_platform()
    model = viewed_model(dataset, users={"kind": "missrec", "missrec": {"ratio": ratio, "clusters": clusters}})
    kept_VW = encode_items(model, prepared_for(model, dataset))
    before = model.users.centres
    model.users.attune(kept_VW, generator=torch.Generator().manual_seed(0))
    assert before.shape == (0, 16) and model.users.centres.shape == (expected, 16)
    assert model.users.centres.norm(dim=1).max() <= 1 + 1e-6, "of unit views"
    if ratio == 1.0:  # each of the 24 + 8 views is a cluster, an absent one is none
        assert model.users.centres.norm(dim=1).min() > 1 - 1e-6


def test_clusters_are_saved_moved_and_enough_for_items_to_come(tmp_path: Path) -> None:
    dataset = viewed_platform()
    # with a scorer that reads no views
    model = viewed_model(dataset, scorer="cosine", users={"kind": "missrec", "missrec": {"ratio": 0.3}})
    model.users.attune(encode_items(model, prepared_for(model, dataset)), generator=torch.Generator().manual_seed(0))
    model.save(tmp_path)
    loaded = TransRec.load(tmp_path)
    assert loaded.users.centres.equal(model.users.centres) and len(loaded.users.centres) == 10
    [expected, found] = [Recommender.of(each, dataset) for each in (model, loaded)]
    assert [item.id for item in expected.recommend(["i0", "i4"])] == [item.id for item in found.recommend(["i0", "i4"])]
    new = Item("new", vectors={"looks": torch.arange(6.0).numpy()})
    found.add([new])
    assert [item.id for item in found.recommend(["new", "i4"])] == [item.id for item in expected.recommend([new, "i4"])]


def test_other_user_encoders_have_nothing_to_attune() -> None:
    with pytest.raises(ModelError, match="TransformerUserEncoder has nothing to attune"):
        TransformerUserEncoder(WIDTH, UserSettings(heads=4)).attune(torch.zeros(1, WIDTH), generator=torch.Generator())


def test_several_interests_are_read_from_its_states(tmp_path: Path) -> None:
    """With the scores of views, too: the parts of two systems together."""
    dataset = viewed_platform()
    users = {"kind": "missrec", "missrec": {"ratio": 0.3}, "interests": {"count": 2}, "attention": "bidirectional"}
    model = viewed_model(dataset, users=users)
    model.users.attune(encode_items(model, prepared_for(model, dataset)), generator=torch.Generator().manual_seed(0))
    model.save(tmp_path)
    expected, found = (Recommender.of(each, dataset).recommend(["i0", "i4"]) for each in (model, TransRec.load(tmp_path)))
    assert [item.id for item in expected] == [item.id for item in found] and len(found) == 10
    given, measured = SourceRule("users.*", "copy"), SourceRule("users.inner.centres", "fresh")
    rules = usual_rules(model, [given])
    assert rules.index(measured) < rules.index(given), "what is measured is never copied"


def test_without_a_view_there_is_nothing_to_find() -> None:
    encoder = made(centres=5)
    for clusters in ("kmeans", "density"):
        encoder.settings = encoder.settings.model_copy(update={"clusters": clusters})
        encoder.attune(torch.zeros(4, (1 + MANY) * WIDTH), generator=torch.Generator())
        assert encoder.centres.shape == (0, WIDTH)


def test_rounding_of_a_training_changes_no_cluster() -> None:
    """With views that lie between two centres, where bfloat16 cannot tell which is nearer."""
    encoder, generator = made(centres=6).float(), torch.Generator().manual_seed(1)
    views = torch.randn(64, WIDTH, generator=generator)
    views = views - views.mean() + encoder.centres[0] / 3
    items_BLW = torch.zeros(16, 4, (1 + MANY) * WIDTH)
    items_BLW[..., WIDTH : 2 * WIDTH] = views.view(16, 4, WIDTH)
    mask_BL = torch.ones(16, 4, dtype=torch.bool)
    expected = encoder.discovered(items_BLW, mask_BL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = views.to(torch.bfloat16) @ encoder.centres.T.to(torch.bfloat16)
        found = encoder.discovered(items_BLW, mask_BL)
    assert (rounded.float() - views @ encoder.centres.T).abs().max() > 1e-3
    assert found.mask_BT.equal(expected.mask_BT) and found.vectors_BTD.equal(expected.vectors_BTD)
