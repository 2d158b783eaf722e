"""Fates: every parameter once, with what became of it."""

from __future__ import annotations

from collections.abc import Callable

from transrec.data.catalog import Catalog
from transrec.model import ModelSettings, TransRec
from transrec.rules import Fate, Tuning, anchored, apply_tuning, fates, initial_sources, summarised, untaught, with_earlier

Platform = Callable[..., Catalog]
Settings = Callable[..., ModelSettings]


def test_fates_name_every_parameter_once_and_add_up(platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(), [platform(1)])
    apply_tuning(model, Tuning.parse("frozen"))
    found = fates(model, initial_sources(model))
    assert [fate.name for fate in found] == [name for name, _ in model.named_parameters()]
    for fate in found:
        assert fate.source == ("backbone" if ".backbone." in fate.name else "fresh")
        assert fate.learns != (".backbone." in fate.name)
        assert fate.merged_into is None
    rows = summarised(found)
    assert sum(row.total for row in rows) == sum(p.numel() for p in model.parameters())
    assert sum(row.learning for row in rows) == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert [row.part for row in rows][:2] == ["items.encoders.text", "items.encoders.image"]


def test_what_lora_adds_is_listed_with_the_weight_that_it_becomes_a_part_of(platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(), [platform(1)])
    plain = {name: tuple(p.shape) for name, p in model.named_parameters()}
    sources = initial_sources(model)
    added = apply_tuning(model, Tuning.parse("lora:4"))
    found = fates(model, {**sources, **added})
    kept = {fate.name: fate for fate in found if fate.merged_into is None}
    assert {name: fate.shape for name, fate in kept.items()} == plain, "plain names, as they are in the run folder"
    merged = [fate for fate in found if fate.merged_into]
    assert merged and {fate.merged_into for fate in merged} < set(plain)
    for fate in merged:
        assert fate.source == "lora" and fate.learns
        assert not kept[str(fate.merged_into)].learns
    rows = {(row.part, row.source): row for row in summarised(found)}
    added_numbers = rows["items.encoders.text", "lora"]
    assert added_numbers.learning == added_numbers.total == sum(_rank_four(plain, "items.encoders.text.backbone.encoder."))
    assert rows["items.encoders.text", "backbone"].learning == 0


def _rank_four(shapes: dict[str, tuple[int, ...]], part: str) -> list[int]:
    """Numbers of two matrices of rank 4 beside every matrix of a part."""
    return [4 * sum(shape) for name, shape in shapes.items() if name.startswith(part) and len(shape) == 2]


def test_adapters_are_listed_as_such_and_stay(platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(), [platform(1)])
    sources = dict.fromkeys(initial_sources(model), "copy")
    added = apply_tuning(model, Tuning.parse("adapter:4"))
    found = fates(model, {**sources, **added})
    adapters = [fate for fate in found if fate.source == "adapter"]
    assert {fate.name for fate in adapters} == {name for name, _ in model.named_parameters() if "adapter" in name}
    assert all(fate.learns and fate.merged_into is None for fate in adapters)


def test_what_is_anchored_learns_and_came_from_somewhere(platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(), [platform(1)])
    sources = {name: "fresh" if name.startswith("scorer.") else s for name, s in initial_sources(model).items()}
    sources["users.positions.weight"] = "copy"
    added = apply_tuning(model, Tuning.parse("top:1"))
    held = set(anchored(fates(model, {**sources, **added})))
    top = ("items.encoders.text.backbone.encoder.layer.2.", "items.encoders.image.backbone.encoder.stages.3.")
    assert held == {name for name, _ in model.named_parameters() if name.startswith(top)} | {"users.positions.weight"}


def test_what_learned_in_an_earlier_training_is_no_longer_untaught(platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(), [platform(1)])
    sources = initial_sources(model)
    assert untaught(sources) == {name for name, source in sources.items() if source == "fresh"}
    model.requires_grad_(requires_grad=False)
    model.scorer.requires_grad_()
    before = fates(model, sources)
    assert untaught(sources, before) == untaught(sources) - {"scorer.log_scale"}


def test_of_several_trainings_the_pace_of_the_last_that_moves_a_parameter_is_said() -> None:
    first = Fate("first", (2,), "backbone", True, rate=0.1, from_epoch=3, held=True)
    both = Fate("both", (2,), "fresh", True, rate=0.2, from_epoch=1)
    never = Fate("never", (2,), "backbone", False)
    added = Fate("layer.lora_A", (2,), "lora", True, "layer.weight", rate=0.3, from_epoch=2)
    resting = Fate("first", (2,), "backbone", False)
    again = Fate("both", (2,), "fresh", True, rate=0.4, from_epoch=2)
    assert with_earlier([resting, again, never], [first, both, never, added]) == [first, again, never, added]
