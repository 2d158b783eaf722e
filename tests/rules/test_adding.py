"""A model with a table of item ids beside what it reads: nothing of it is known before anything learns."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

from transrec.data.catalog import Catalog
from transrec.errors import ModelError, SettingsError
from transrec.items.identity import IdentityEncoder
from transrec.model import ModelSettings, TransRec
from transrec.rules import SourceRule, ids_in_fusion, with_ids, without

Platform = Callable[..., Catalog]
Settings = Callable[..., ModelSettings]
Vectors = Callable[[TransRec, Catalog], Tensor]


@pytest.mark.parametrize("fusion", ["mean", "gated", "concat"])
def test_what_was_there_stays_and_what_is_for_the_table_is_fresh(
    platform: Platform, settings: Settings, vectors: Vectors, fusion: str
) -> None:
    model = TransRec.build(settings(fusion=fusion), [platform(1, items=60)], seed=1).eval()
    there = platform(2, items=30)
    larger = with_ids(model, there, seed=3)
    table = larger.items.encoders["identity"]
    assert isinstance(table, IdentityEncoder) and table.ids == tuple(there.ids) and table.shrinkage == 30.0
    assert larger.settings.items.modalities == ("text", "image", "identity") == tuple(larger.items.encoders)
    assert all(larger.state_dict()[name].equal(tensor) for name, tensor in model.state_dict().items())
    fresh = set(larger.state_dict()) - set(model.state_dict()) - set(ids_in_fusion(larger))
    assert fresh == {"items.encoders.identity.table.weight", "items.encoders.identity.events"}
    assert bool(ids_in_fusion(larger)) == (fusion != "mean")
    again = with_ids(model, there, seed=3)
    assert all(again.state_dict()[name].equal(tensor) for name, tensor in larger.state_dict().items()), "by the seed"
    elsewhere = platform(4, items=30)
    assert vectors(without(larger, ["identity"]), elsewhere).allclose(vectors(model, elsewhere), atol=1e-6)
    assert set(model.items.encoders) == {"text", "image"}, "the model is as it was"


def test_a_second_table_is_refused(platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(modalities=["text", "identity"]), [platform(1)], seed=1)
    with pytest.raises(ModelError, match=r"a table of item ids in the run already(.|\n)*leave the rule out"):
        with_ids(model, platform(2))


def test_the_rule_adds_a_table_of_ids_alone() -> None:
    assert SourceRule.parse("items.encoders.identity.*=add").source == "add"
    for wrong in ("items.encoders.text.*=add", "items.encoders.*=add", "users.*=add"):
        with pytest.raises(SettingsError, match="adds something else than a table of item ids"):
            SourceRule.parse(wrong)
