"""Fractions: exact at both ends, linear between, of weights alone, and said in the table of fates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from cases import SETTINGS
from cases import platform as given_platform
from rich.console import Console

from transrec.data.catalog import Catalog
from transrec.errors import ModelError, SettingsError
from transrec.model import ModelSettings, TransRec
from transrec.recipes.fitting import TrainSettings, TransferSettings
from transrec.recipes.train import train
from transrec.recipes.transfer import transfer
from transrec.rules import Fraction, SourceRule, anchored, copy_parameters, fates, summarised, untaught, usual_rules
from transrec.rules.fraction import fractional_weights

Platform = Callable[..., Catalog]
Settings = Callable[..., ModelSettings]

QUIET = Console(quiet=True)
TABLE = "items.encoders.identity.table.weight"


def moved(source: TransRec, catalog: Catalog, *rules: str) -> tuple[TransRec, dict[str, str]]:
    """A model for the catalog, always of the same seed, that starts by these rules; and what they did."""
    target = source.fresh_for(catalog, seed=2)
    return target, copy_parameters(target, source.state_dict(), usual_rules(target, [SourceRule.parse(r) for r in rules]))


@pytest.fixture(params=["transformer", "gated", "lru", "interests"])
def source(request: pytest.FixtureRequest, platform: Platform, settings: Settings) -> TransRec:
    """A run's model in which nothing is as it starts, so that what was copied can be told from what is fresh."""
    kind = "transformer" if request.param == "interests" else request.param
    users = {"kind": kind, "start": "similar", "mask_token": True}
    if request.param == "interests":
        users["interests"] = {"count": 3, "seeds": "queries"}
    model = TransRec.build(settings(users=users, fusion="gated", start="random"), [platform(1)], seed=1)
    generator = torch.Generator().manual_seed(9)
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize(
    ("text", "expected", "written"),
    [
        ("fraction(0.2)", Fraction(0.2), "fraction(0.2)"),
        ("fraction(1)", Fraction(1), "fraction(1)"),
        ("fraction( 0 , additive )", Fraction(0), "fraction(0)"),
        ("fraction(0.25,convex)", Fraction(0.25, convex=True), "fraction(0.25, convex)"),
    ],
)
def test_a_fraction_is_read_and_written(text: str, expected: Fraction, written: str) -> None:
    rule = SourceRule.parse(f"users.*={text}")
    assert rule == SourceRule("users.*", expected) and str(rule.source) == written
    assert Fraction.parse(written) == expected


@pytest.mark.parametrize("text", ["fraction", "fraction()", "fraction(a)", "fraction(0.2, half)", "fraction(0.2"])
def test_what_is_no_fraction_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(SettingsError, match=r"not a fraction(.|\n)*fraction\(OMEGA, convex\)"):
        SourceRule.parse(f"users.*={text}")


@pytest.mark.parametrize("omega", ["-0.1", "1.01", "nan", "inf"])
def test_a_share_outside_zero_and_one_is_refused(omega: str) -> None:
    with pytest.raises(SettingsError, match=f"takes {omega} of a weight"):
        SourceRule.parse(f"users.*=fraction({omega})")
    with pytest.raises(SettingsError, match="of a weight; write"):
        TransferSettings.from_mapping({"rules": [f"users.*=fraction({omega})"]})


def test_both_ends_are_exact(source: TransRec, platform: Platform) -> None:
    fresh = source.fresh_for(platform(2), seed=2).state_dict()
    learned = source.state_dict()
    expected = {
        "fraction(0)": lambda name: fresh[name],
        "fraction(0, convex)": lambda name: fresh[name],
        "fraction(1)": lambda name: fresh[name] + learned[name],
        "fraction(1, convex)": lambda name: learned[name],
    }
    for rule, value in expected.items():
        target, found = moved(source, platform(2), f"users.*={rule}")
        mixed = [name for name, fate in found.items() if fate == rule]
        assert mixed and all(target.state_dict()[name].equal(value(name)) for name in mixed), rule


def test_between_the_ends_it_is_linear(source: TransRec, platform: Platform) -> None:
    def start(omega: float, mode: str) -> dict[str, torch.Tensor]:
        target, found = moved(source, platform(2), f"users.*=fraction({omega}, {mode})")
        return {name: target.state_dict()[name].double() for name, fate in found.items() if fate.startswith("fraction")}

    for mode in ("additive", "convex"):
        at_zero = start(0, mode)
        slopes = [
            {name: (own - at_zero[name]) / omega for name, own in start(omega, mode).items()} for omega in (0.25, 0.5, 1)
        ]
        for name in at_zero:
            for slope in slopes[:2]:
                torch.testing.assert_close(slope[name], slopes[2][name], atol=1e-6, rtol=0)


def test_biases_norms_and_buffers_are_copied_and_the_table_says_so(source: TransRec, platform: Platform) -> None:
    target, found = moved(source, platform(2), "items.encoders.*=copy", "*=fraction(0.2)")
    modules = dict(source.named_modules())
    for name, tensor in target.state_dict().items():
        owner, _, own = name.rpartition(".")
        weight = isinstance(modules[owner], torch.nn.Linear | torch.nn.Embedding) and own == "weight"
        weight |= own == "queries"  # of interests, a table of vectors
        if name.startswith("items.encoders."):
            assert found[name] == "copy" and tensor.equal(source.state_dict()[name])
        elif name.endswith(".means"):
            assert found[name] == "fresh"
        else:
            assert found[name] == ("fraction(0.2)" if weight else "copy"), name
            assert tensor.equal(source.state_dict()[name]) != weight, name
    assert set(found) == set(source.state_dict()), "every name has a fate"
    rows = summarised(fates(target, found))
    assert {row.source for row in rows if row.part == "users"} == {"fraction(0.2)", "copy"}
    assert sum(row.total for row in rows) == sum(p.numel() for p in target.parameters())


def test_a_norm_of_two_dimensions_is_no_weight(platform: Platform, settings: Settings) -> None:
    model = TransRec.build(settings(), [platform(1)])
    model.users.add_module("odd_norm", torch.nn.LayerNorm((3, 4)))
    assert not [name for name in fractional_weights(model) if "odd_norm" in name]


def test_it_composes_with_other_rules_the_first_of_which_counts(source: TransRec, platform: Platform) -> None:
    blocks = "users.inner.blocks" if hasattr(source.users, "inner") else "users.blocks"
    _, found = moved(source, platform(2), f"{blocks}.0.*=fresh", f"{blocks}.*=fraction(0.5)")
    lower, upper = f"{blocks}.0.", f"{blocks}.1."
    assert {fate for name, fate in found.items() if name.startswith(lower)} == {"fresh"}
    assert {fate for name, fate in found.items() if name.startswith(upper)} == {"fraction(0.5)", "copy"}


def test_a_projection_that_starts_at_random_can_be_a_fraction(source: TransRec, platform: Platform) -> None:
    weight = "items.projections.text.linear.weight"
    target, found = moved(source, platform(2), "items.projections.*=fraction(0.5)")
    assert found[weight] == "fraction(0.5)" and found["items.projections.text.deviation"] == "copy"
    fresh = source.fresh_for(platform(2), seed=2).state_dict()[weight]
    assert target.state_dict()[weight].equal(fresh + 0.5 * source.state_dict()[weight])


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (
            "items.encoders.text.*=fraction(0.2)",
            r"does not hold as it was before it learned(.|\n)*items\.encoders\.\*=' with copy",
        ),
        ("items.projections.*=fraction(0.2)", r"born similar(.|\n)*with copy or aligned"),
        ("items.encoders.identity.*=fraction(0.2)", r"rows are other items here(.|\n)*with fresh"),
    ],
)
def test_what_has_no_fresh_value_is_refused(platform: Platform, settings: Settings, rule: str, told: str) -> None:
    both = settings(modalities=["text", "image", "identity"])
    with pytest.raises(ModelError, match=told):
        moved(TransRec.build(both, [platform(1)], seed=1), platform(2), rule)


def test_a_rule_that_is_about_no_weight_is_refused(source: TransRec, platform: Platform) -> None:
    with pytest.raises(SettingsError, match=r"users\.\*bias=fraction\(0\.2\) matches no weight"):
        moved(source, platform(2), "users.*bias=fraction(0.2)")


def test_what_is_partly_fresh_learns_under_every_rule_and_is_not_held(source: TransRec, platform: Platform) -> None:
    target, found = moved(source, platform(2), "users.*=fraction(0.2)")
    mixed = {name for name, fate in found.items() if fate == "fraction(0.2)"}
    assert mixed <= untaught(found)
    assert not mixed & set(anchored(fates(target, found)))


def test_a_transfer_writes_it_down_and_zero_is_a_fresh_start(tmp_path: Path) -> None:
    loop = {"epochs": 1, "device": "cpu", "tensorboard": False, "seed": 3}
    shared = {"training": loop, "tune": "adapter"}
    trained = TrainSettings.from_mapping({**shared, "model": SETTINGS.model_dump(mode="json"), "tune": "full"})
    train([given_platform(seed=0)], trained, tmp_path / "source", console=QUIET)
    target = given_platform(seed=1)
    weights = [name for name in fractional_weights(TransRec.load(tmp_path / "source")) if name.startswith("users.")]
    started = {
        "zero": ["users.*=fraction(0)"],
        "fresh": [f"{name}=fresh" for name in weights],
        "part": ["users.*=fraction(0.2)"],
    }
    made = {}
    for name, rules in started.items():
        chosen = TransferSettings.from_mapping({**shared, "rules": rules})
        made[name], _ = transfer(tmp_path / "source", target, chosen, tmp_path / name, console=QUIET)
    zero, fresh = made["zero"].state_dict(), made["fresh"].state_dict()
    assert all(tensor.equal(fresh[name]) for name, tensor in zero.items()), "the same after training, too"
    written = json.loads((tmp_path / "part" / "parameters.json").read_text())["parameters"]
    told = {row["name"]: row for row in written}
    assert {told[name]["source"] for name in weights} == {"fraction(0.2)"} and all(told[name]["learns"] for name in weights)
    assert "| `users` | fraction(0.2) |" in (tmp_path / "part" / "README.md").read_text()


def learned(weight_DD: torch.Tensor, task_DD: torch.Tensor, inputs_ND: torch.Tensor, steps: int = 3) -> float:
    """The squared error of a linear head on a task after a few steps from this weight."""
    head = torch.nn.Linear(*weight_DD.shape, bias=False)
    head.weight.data.copy_(weight_DD)
    optimiser = torch.optim.SGD(head.parameters(), lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        (head(inputs_ND) - inputs_ND @ task_DD.T).square().sum(dim=1).mean().backward()
        optimiser.step()
    return float((head.weight.detach() - task_DD).square().sum())


@pytest.mark.parametrize("seed", range(5))
def test_a_half_related_source_helps_by_a_fraction_and_an_unrelated_one_hurts_less(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    task, other, noise = (torch.randn(16, 16, generator=generator) for _ in range(3))
    fresh, inputs = 0.05 * torch.randn(16, 16, generator=generator), torch.randn(64, 16, generator=generator)
    half_related = task + noise
    from_copy, from_fresh = (learned(start, task, inputs) for start in (half_related, fresh))
    reached = {omega: learned(Fraction(omega).mixed(fresh, half_related), task, inputs) for omega in (0.2, 0.5, 0.8)}
    assert min(reached.values()) < min(from_copy, from_fresh), reached
    assert learned(Fraction(0.2).mixed(fresh, other), task, inputs) < learned(other, task, inputs)
