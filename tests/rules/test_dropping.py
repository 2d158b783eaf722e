"""A model without some of its item encoders: what is left says the same of items that had nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

from transrec.data.catalog import Catalog
from transrec.errors import ModelError, SettingsError
from transrec.model import ModelSettings, TransRec
from transrec.rules import SourceRule, dropped, without

Platform = Callable[..., Catalog]
Settings = Callable[..., ModelSettings]
Vectors = Callable[[TransRec, Catalog], Tensor]
ALL = ["text", "image", "identity"]


@pytest.mark.parametrize("fusion", ["mean", "gated", "concat"])
def test_items_whose_ids_are_not_known_have_the_same_vectors(
    platform: Platform, settings: Settings, vectors: Vectors, fusion: str
) -> None:
    model = TransRec.build(settings(modalities=ALL, fusion=fusion), [platform(1, items=60)], seed=1).eval()
    content = without(model, ["identity"])
    there, elsewhere = platform(1, items=60), platform(2, items=30)
    assert set(content.items.encoders) == {"text", "image"} == set(content.settings.items.modalities)
    assert vectors(content, elsewhere).allclose(vectors(model, elsewhere), atol=1e-6)
    assert not vectors(content, there).allclose(vectors(model, there), atol=1e-3)
    assert set(model.items.encoders) == set(ALL), "the model is as it was"
    assert all(tensor.equal(model.state_dict()[name]) for name, tensor in content.state_dict().items())


def test_a_scorer_of_views_needs_none_for_a_single_one(platform: Platform, settings: Settings) -> None:
    asked = settings(modalities=["text", "identity"]).model_copy(update={"scorer": "views"})
    content = without(TransRec.build(asked, [platform(1)], seed=1), ["identity"])
    assert content.settings.scorer == "cosine" and not content.scorer.reads_views


def test_what_cannot_be_left_out(platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(modalities=["text", "identity"]), [platform(1)], seed=1)
    with pytest.raises(ModelError, match="there is no item encoder image: the model reads text, identity"):
        without(model, ["image"])
    with pytest.raises(ModelError, match="no item encoder would be left"):
        without(model, ["text", "identity"])


def test_the_rule_names_an_encoder_as_a_whole() -> None:
    rules = [SourceRule.parse(text) for text in ("items.encoders.identity.*=drop", "users.*=fresh")]
    assert dropped(rules) == ["identity"]
    for wrong in ("users.*=drop", "items.*=drop", "items.encoders.*=drop", "items.encoders.text.backbone.*=drop"):
        with pytest.raises(SettingsError, match="drops something else than an item encoder"):
            SourceRule.parse(wrong)
