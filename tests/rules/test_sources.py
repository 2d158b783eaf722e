"""Rules of origin: what is copied, what starts fresh."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from transrec.data.catalog import Catalog
from transrec.errors import ModelError, SettingsError
from transrec.model import ModelSettings, TransRec
from transrec.rules import SourceRule, copy_parameters, projections_from, usual_rules

Platform = Callable[..., Catalog]
Settings = Callable[..., ModelSettings]
Vectors = Callable[[TransRec, Catalog], Tensor]


def test_a_source_loads_into_a_platform_with_other_users_and_items_without_a_mismatch(
    platform: Platform, settings: Settings
) -> None:
    source = TransRec.build(settings(), [platform(1, items=60)], seed=1)
    target = source.fresh_for(platform(2, items=37), seed=2)
    found = copy_parameters(target, source.state_dict())
    assert set(found.values()) == {"copy"}
    assert set(found) == set(source.state_dict()) == set(target.state_dict())
    assert all(tensor.equal(target.state_dict()[name]) for name, tensor in source.state_dict().items())
    assert not [name for name in found if "identity" in name]


def test_an_identity_table_starts_fresh_and_the_rest_is_copied(platform: Platform, settings: Settings) -> None:
    both = settings(modalities=["text", "image", "identity"])
    source = TransRec.build(both, [platform(1, items=60)], seed=1)
    target = source.fresh_for(platform(2, items=37), seed=2)
    table = "items.encoders.identity.table.weight"
    before = target.state_dict()[table].clone()
    with pytest.raises(
        ModelError, match=r"2 parameters.*identity\.events: the model has shape \(37,\), the source run has shape \(60,\)"
    ):
        copy_parameters(target, source.state_dict())
    found = copy_parameters(target, source.state_dict(), [SourceRule.parse("items.encoders.identity.*=fresh")])
    assert found[table] == "fresh" and target.state_dict()[table].equal(before)
    assert [name for name, fate in found.items() if fate == "fresh"] == ["items.encoders.identity.events", table]


def test_rules_start_parts_fresh_and_the_first_match_counts(platform: Platform, settings: Settings) -> None:
    source = TransRec.build(settings(), [platform(1)], seed=1)
    target = source.fresh_for(platform(2), seed=2)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    rules = [SourceRule.parse("users.positions.*=copy"), SourceRule.parse("users.*=fresh")]
    found = copy_parameters(target, source.state_dict(), rules)
    for name, tensor in target.state_dict().items():
        fresh = name.startswith("users.") and not name.startswith("users.positions.")
        assert found[name] == ("fresh" if fresh else "copy")
        assert tensor.equal(before[name] if fresh else source.state_dict()[name])
    weight = "users.blocks.0.query_key_value.weight"
    assert not before[weight].equal(source.state_dict()[weight])


def test_rules_are_strict(platform: Platform, settings: Settings) -> None:
    source = TransRec.build(settings(), [platform(1)], seed=1)
    target = source.fresh_for(platform(2), seed=2)
    with pytest.raises(SettingsError, match=r"rule user\.\*=fresh matches no parameter"):
        copy_parameters(target, source.state_dict(), [SourceRule.parse("user.*=fresh")])
    for wrong in ("users.*", "users.*=new", "=copy=x"):
        with pytest.raises(SettingsError, match="is not a rule"):
            SourceRule.parse(wrong)
    with pytest.raises(SettingsError, match="aligns something else than a projection"):
        SourceRule.parse("users.*=aligned")
    for part in ("items.encoders.text.*", "items.encoders.*"):
        with pytest.raises(ModelError, match=r"belong to an encoder, for example items\.encoders\.text"):
            copy_parameters(target, source.state_dict(), [SourceRule.parse(f"{part}=fresh")])


def test_a_saved_run_gives_the_same_vectors(
    tmp_path: Path, platform: Platform, settings: Settings, vectors: Vectors
) -> None:
    catalog = platform(1)
    model = TransRec.build(settings(), [catalog], seed=4).eval()
    model.save(tmp_path / "run")
    loaded = TransRec.load(tmp_path / "run")
    assert loaded.settings == model.settings
    assert vectors(model, catalog).equal(vectors(loaded, catalog))
    assert not [path for path in (tmp_path / "run").rglob("*") if path.suffix in {".pkl", ".pickle", ".bin", ".pt"}]


def test_what_is_to_be_aligned_has_the_values_of_the_source_until_it_is(platform: Platform, settings: Settings) -> None:
    source = TransRec.build(settings(), [platform(1)], seed=1)
    target = source.fresh_for(platform(2), seed=2)
    found = copy_parameters(target, source.state_dict(), [SourceRule.parse("items.projections.text.*=aligned")])
    assert projections_from(found, "aligned") == ["text"]
    assert projections_from(found, "copy") == ["image"]
    assert target.items.projections["text"].linear.weight.equal(source.items.projections["text"].linear.weight)


def test_what_popularity_is_worth_stays_behind_unless_it_is_asked_for(platform: Platform, settings: Settings) -> None:
    source = TransRec.build(settings(), [platform(1)], seed=1)
    assert source.prior is not None
    for value in source.prior.parameters():
        value.data.fill_(1.0)
    for given, moved in (([], False), ([SourceRule.parse("prior.*=copy")], True)):
        target = source.fresh_for(platform(2), seed=2)
        copy_parameters(target, source.state_dict(), usual_rules(target, given))
        assert target.prior is not None
        values = {name: float(value.detach()) for name, value in target.prior.named_parameters()}
        assert values == {name: 0.0 if name in ("popularity", "unseen") and not moved else 1.0 for name in values}


def test_gated_users_are_copied_whole_and_their_biases_with_them(platform: Platform, settings: Settings) -> None:
    source = TransRec.build(settings(users={"kind": "gated"}), [platform(1)], seed=1)
    target = source.fresh_for(platform(2), seed=2)
    assert not target.users.state_dict()["blocks.0.time_bias.weight"].equal(
        source.users.state_dict()["blocks.0.time_bias.weight"]
    )
    found = copy_parameters(target, source.state_dict())
    own = {name for name in found if name.startswith("users.")}
    assert own == {f"users.{name}" for name in source.users.state_dict()}
    assert {found[name] for name in own} == {"copy"}
    assert all(tensor.equal(source.users.state_dict()[name]) for name, tensor in target.users.state_dict().items())


def test_another_kind_of_users_is_not_copied_but_can_start_fresh(platform: Platform, settings: Settings) -> None:
    source = TransRec.build(settings(), [platform(1)], seed=1)
    target = TransRec.build(settings(users={"kind": "gated"}), [platform(2)], seed=2)
    with pytest.raises(ModelError, match=r"for example users\.blocks"):
        copy_parameters(target, source.state_dict())
    assert copy_parameters(target, source.state_dict(), [SourceRule.parse("users.*=fresh")])["scorer.log_scale"] == "copy"
