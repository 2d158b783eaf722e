"""Several interests a user: where they begin, what they are dealt, how many there are, and that padding changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from cases import SETTINGS, Case, platform
from rich.console import Console
from torch import Tensor

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.data.splits import leave_one_out
from transrec.errors import ModelError, SettingsError
from transrec.evaluation.lists import ListMeasureSettings, measure_lists
from transrec.evaluation.ranks import ModelRanker, rank_targets
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train
from transrec.users.interests import InterestUserEncoder, farthest
from transrec.users.settings import UserSettings
from transrec.users.tower import build_users

FORM = {"window": 8, "layers": 1, "heads": 2, "feedforward": 16, "dropout": 0.0}
QUIET = Console(quiet=True)


def encoder(
    count: int = 3, *, seed: int = 0, kind: str = "transformer", attention: str = "causal", **interests: object
) -> InterestUserEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # noqa: TID251
        form = {**FORM, "kind": kind, "attention": attention}
        settings = UserSettings.from_mapping({**form, "interests": {"count": count, **interests}})
        users = build_users(16, settings)
    assert isinstance(users, InterestUserEncoder)
    with torch.no_grad():  # away from its start, so that states and ages count
        users.gate.fill_(0.3)
        users.ages.copy_(torch.linspace(0, -1, 8))
    return users.eval()


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def masks(*lengths: int, slots: int = 8) -> Tensor:
    return torch.arange(slots) < torch.tensor(lengths)[:, None]


FORMS = [{}, {"seeds": "queries", "rounds": 0}, {"seeds": "queries"}, {"adaptive": True}, {"with_state": True}]


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("kind", ["transformer", "gated"])
@pytest.mark.parametrize("chosen", FORMS)
def test_padding_has_no_influence(kind: str, attention: str, chosen: dict[str, object]) -> None:
    users, items = encoder(kind=kind, attention=attention, **chosen), drawn(2, 8, 16)
    items[:, 5:] = torch.nan
    padded = users(items, masks(5, 3))
    alone = users(items[1:, :3], masks(3, slots=3))
    assert padded.kind == "interests" and padded.scored.shape == (2, 3, 16)
    assert padded.vectors.isfinite().all()
    assert torch.allclose(padded.scored[1:], alone.scored, atol=1e-6)
    real, real_alone = (output.real[:, 2] if users.causal else output.real for output in (padded, alone))
    assert torch.equal(real[1:], real_alone)


@pytest.mark.parametrize("kind", ["transformer", "gated", "lru"])
@pytest.mark.parametrize("chosen", FORMS)
def test_a_causal_encoder_has_the_interests_of_the_history_up_to_each_position(kind: str, chosen: dict[str, object]) -> None:
    users, items = encoder(kind=kind, **chosen), drawn(2, 8, 16)
    everywhere = users(items, masks(8, 6))
    assert users.causal and everywhere.vectors.shape == (2, 8, 3, 16)
    for length in range(1, 9):
        cut = users(items[:, :length], masks(length, min(length, 6), slots=length))
        assert torch.allclose(cut.scored[0], everywhere.vectors[0, length - 1], atol=1e-5)
        assert torch.equal(cut.real[0, -1], everywhere.real[0, length - 1])
        assert torch.allclose(cut.scored[1], everywhere.vectors[1, min(length, 6) - 1], atol=1e-5)


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_with_the_state_it_is_the_first_and_the_others_are_interests_without_it(attention: str, adaptive: bool) -> None:
    with_state = encoder(3, attention=attention, adaptive=adaptive, with_state=True)
    without = encoder(2, attention=attention)
    without.load_state_dict(with_state.state_dict())
    items, mask = drawn(3, 8, 16), masks(8, 3, 0)
    found, groups = with_state(items, mask), without(items, mask)
    assert torch.allclose(found.scored[:, 0], with_state.inner(items, mask).last_BD, atol=1e-6)
    of_all = [0] if adaptive else [0, 1, 2]  # with three items or none an adaptive user is the state alone
    assert torch.allclose(found.scored[of_all, 1:], groups.scored[of_all], atol=1e-6)
    if adaptive:
        assert torch.equal(found.scored[1, 1:], found.scored[1, :1].expand(2, -1))


def test_the_state_alone_is_no_interest() -> None:
    with pytest.raises(SettingsError, match="the state alone is what count 0 gives"):
        encoder(1, with_state=True)


def test_interests_of_an_encoder_that_looks_both_ways_are_of_the_whole_history() -> None:
    users, items = encoder(attention="bidirectional"), drawn(2, 8, 16)
    output = users(items, masks(8, 6))
    assert not users.causal and output.vectors.shape == (2, 3, 16) and torch.equal(output.scored, output.vectors)


@pytest.mark.parametrize("chosen", [{}, {"seeds": "queries"}, {"adaptive": True}])
def test_an_empty_history_has_zeros_and_every_gradient_is_a_number(chosen: dict[str, object]) -> None:
    users, items = encoder(**chosen), drawn(3, 8, 16).requires_grad_()
    output = users(items, masks(0, 1, 8))
    assert (output.scored[0] == 0).all()
    (output.scored * drawn(3, 3, 16, seed=1)).sum().backward()
    learned = [p.grad for name, p in users.named_parameters() if not name.startswith("inner.")]
    assert all(grad is not None and bool(grad.isfinite().all()) for grad in learned), "and every parameter has one"
    assert items.grad is not None and items.grad.isfinite().all()


def test_two_far_groups_of_items_end_in_two_interests() -> None:
    centres = torch.eye(16)[:2] * 2
    group = torch.tensor([0, 0, 1, 0, 0, 0, 1, 0])
    items = centres[group] + 0.1 * drawn(8, 16)
    users = encoder(2)
    with torch.no_grad():
        users.gate.zero_()
    found = torch.nn.functional.normalize(users(items[None], masks(8)).scored[0], dim=-1)
    nearness = found @ (centres / 2).T
    assert torch.equal(nearness.argmax(dim=1), torch.tensor([0, 1])), "the first where the latest item is"
    assert (nearness.max(dim=1).values > 0.95).all()


def test_seeds_are_the_latest_item_and_then_what_is_farthest() -> None:
    units = torch.nn.functional.normalize(torch.tensor([[1.0, 0.1], [-0.2, 1.0], [0.9, 0.5], [1.0, 0.0]]), dim=1)
    seen = torch.tensor([[[True, True, True, False], [True, True, False, False]]])
    seeds = farthest(units[None], seen, torch.tensor([[2, 1]]), 3)[0]
    assert torch.equal(seeds, units[torch.tensor([[2, 1, 0], [1, 0, 0]])])


def test_where_nothing_else_is_left_the_first_item_begins_again() -> None:
    units = torch.nn.functional.normalize(drawn(2, 16), dim=1)
    noise = 1e-7 * drawn(5, 2, 16, seed=1)  # as another processor rounds
    for each in units + noise:
        seeds = farthest(each[None], torch.ones(1, 1, 2, dtype=torch.bool), torch.tensor([[1]]), 4)[0, 0]
        assert torch.equal(seeds, each[torch.tensor([1, 0, 0, 0])])


def test_an_adaptive_user_has_as_many_interests_as_the_record_is_long() -> None:
    users = encoder(3, adaptive=True, attention="bidirectional")
    output = users(drawn(8, 8, 16), masks(0, 1, 2, 3, 4, 6, 7, 8))
    assert output.real is not None
    assert output.real.sum(dim=1).tolist() == [1, 1, 1, 1, 2, 2, 2, 3]
    missing = ~output.real
    assert torch.equal(output.vectors[missing], output.vectors[:, :1].expand(-1, 3, -1)[missing]), "copies of the first"


def test_one_interest_of_an_adaptive_user_is_made_of_all_items() -> None:
    items, mask = drawn(1, 8, 16), masks(3)
    several, one = encoder(3, adaptive=True), encoder(1)
    several.load_state_dict(one.state_dict())
    assert torch.allclose(several(items, mask).scored[:, 0], one(items, mask).scored[:, 0], atol=1e-6)


def test_the_order_of_queries_changes_nothing_but_the_order_of_interests() -> None:
    users, items, mask = encoder(3, seeds="queries"), drawn(2, 8, 16), masks(8, 5)
    before = users(items, mask).scored
    with torch.no_grad():
        users.asking.queries.copy_(users.asking.queries[[2, 0, 1]])
    assert torch.allclose(users(items, mask).scored, before[:, [2, 0, 1]], atol=1e-6)


def test_a_handicap_is_of_further_interests() -> None:
    for count in (0, 1):
        with pytest.raises(SettingsError, match="after the first"):
            UserSettings.from_mapping({"interests": {"count": count, "handicap": True}})
    case = Case(users={"interests": {"count": 3, "handicap": True}})
    case.objective(case.model, case.model(case.batches.batch(0)), case.batches.batch(0)).total.backward()
    assert case.model.scorer.handicaps.of_each.grad.all(), "each learns"


def test_interests_are_read_from_states() -> None:
    with pytest.raises(ModelError, match="gives interests"):
        InterestUserEncoder(encoder(2), UserSettings.from_mapping({"interests": {"count": 2}}).interests)


@pytest.mark.parametrize("objective", ["barlow", "masked"])
def test_objectives_that_need_states_say_so(objective: str) -> None:
    with pytest.raises(ModelError, match="states, the user encoder gives interests"):
        Case(0, objective, users={"interests": {"count": 2}})


# ---- two far interests -------------------------------------------------------------------------------------------------


def two_interests(*, seed: int, users: int = 200, groups: int = 6, length: int = 16) -> Dataset:
    """Items in far groups; each user likes two, four events in five of the one; the last of half of them is of the other."""
    generator = np.random.default_rng(seed)
    centres = np.linalg.qr(generator.normal(size=(12, 12)))[0][:groups]
    items = [Item(f"i{n}", vectors={"given": centres[n % groups] + 0.15 * generator.normal(size=12)}) for n in range(180)]
    catalog = Catalog.from_items(items)
    rows = np.empty((users, length), dtype=np.int64)
    for user in range(users):
        pools = [
            g + groups * generator.permutation(len(items) // groups) for g in generator.choice(groups, 2, replace=False)
        ]
        other = generator.random(length) < 0.2
        other[-1] = user % 2 == 0
        rows[user] = np.where(other, pools[1][:length], pools[0][:length])
    events = {"user": np.repeat(np.arange(users), length).astype(str), "row": rows.ravel()}
    frame = {**events, "time": np.tile(np.arange(length, dtype=float), users)}
    return Dataset(catalog, Interactions.from_columns(pl.DataFrame(frame)), name="two")


def trained(dataset: Dataset, folder: Path, *, seed: int, diversity: float = 0.0, **interests: object) -> ModelRanker:
    """A run with these interests, and a term that keeps them far apart."""
    settings = TrainSettings.from_mapping(
        {
            "model": {
                "items": {"width": 12},
                "users": {"window": 16, "layers": 1, "heads": 2, "feedforward": 16, "interests": interests},
                "scorer": "distance",
                "prior": "none",
            },
            "objective": {
                "kind": "hinge",
                "added": {"diversity": diversity},
                "diversity": {"least": 0.9, "most": 1.5},
            },
            "tune": "frozen",
            "training": {"epochs": 4, "batch_size": 64, "learning_rate": 0.003, "seed": seed, "tensorboard": False},
        }
    )
    train([dataset], settings, folder, console=QUIET)
    return ModelRanker.of(TransRec.load(folder), dataset, leave_one_out(dataset.interactions))


def recalls(dataset: Dataset, folder: Path, *, seed: int, **interests: object) -> tuple[float, float]:
    """HR@20 of test targets of the smaller interest, and of the larger one."""
    split = leave_one_out(dataset.interactions)
    ranked = rank_targets(trained(dataset, folder, seed=seed, **interests), split, split.test)
    smaller = np.array([int(user) % 2 == 0 for user in ranked.users])
    return float((ranked.ranks[smaller] <= 20).mean()), float((ranked.ranks[~smaller] <= 20).mean())


@pytest.mark.parametrize("seed", [0, 1])
def test_two_interests_find_the_smaller_one_that_one_vector_misses(tmp_path: Path, seed: int) -> None:
    dataset = two_interests(seed=seed)
    (one, _), (two, larger) = (recalls(dataset, tmp_path / str(n), seed=seed, count=n) for n in (1, 2))
    assert two > one + 0.1
    assert larger > 0.4, "and the larger one is not given up"


@pytest.mark.parametrize("seed", [0, 1])
def test_lists_are_more_spread_with_diversity_control(tmp_path: Path, seed: int) -> None:
    dataset = two_interests(seed=seed)
    split, interests = leave_one_out(dataset.interactions), {"count": 2, "seeds": "queries"}
    without, held = (
        measure_lists(
            trained(dataset, tmp_path / str(weight), seed=seed, diversity=weight, **interests),
            *(split, dataset.catalog, ListMeasureSettings(length=10)),
        )
        for weight in (0.0, 10.0)
    )
    assert held.spread.value > 1.05 * without.spread.value


def test_a_run_with_interests_saves_loads_and_ranks_as_before(tmp_path: Path) -> None:
    dataset = platform()
    form = SETTINGS.updated({"users": {"interests": {"count": 2, "adaptive": True}}})
    model = TransRec.build(form, [dataset.catalog]).eval()
    model.save(tmp_path)
    split = leave_one_out(dataset.interactions)
    first, second = (
        rank_targets(ModelRanker.of(each, dataset, split), split, split.validation).ranks
        for each in (model, TransRec.load(tmp_path))
    )
    assert np.array_equal(first, second)
