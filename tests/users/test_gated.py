"""The gated user encoder: its equations position by position, what it may see, and what it makes of times."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from transrec.data.times import UNKNOWN_TIME
from transrec.errors import SettingsError
from transrec.users.gated import UNKNOWN_BUCKET, GatedBlock, GatedUserEncoder, time_buckets
from transrec.users.settings import UserSettings

WIDTH = 16
DAY = 86_400


def made(**changes: object) -> GatedUserEncoder:
    shape = {"kind": "gated", "window": 8, "layers": 2, "heads": 4, "start": "fresh"}
    encoder = GatedUserEncoder(WIDTH, UserSettings.from_mapping({**shape, **changes})).double().eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in encoder.parameters():  # away from the start, where many differences would not show
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.3)
    return encoder


def drawn(lengths: list[int], total: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Items, mask, and times that rise by anything from a second to a year."""
    generator = torch.Generator().manual_seed(seed)
    items_BLD = torch.randn(len(lengths), total, WIDTH, generator=generator, dtype=torch.float64)
    steps_BL = torch.exp(torch.rand(len(lengths), total, generator=generator) * math.log(365 * DAY)).long()
    times_BL = 1_600_000_000 + steps_BL.cumsum(dim=1)
    mask_BL = torch.arange(total) < torch.tensor(lengths)[:, None]
    return items_BLD, mask_BL, times_BL.masked_fill(~mask_BL, UNKNOWN_TIME)


# ---- the equations ----------------------------------------------------------------------------------------------------


def normed(values: list[float], norm: nn.LayerNorm) -> list[float]:
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values) + norm.eps)
    weights, biases = norm.weight.tolist(), norm.bias.tolist()
    return [(v - mean) / deviation * w + b for v, w, b in zip(values, weights, biases, strict=True)]


def silu(value: float) -> float:
    return value / (1 + math.exp(-value))


def linear(values: list[float], layer: nn.Linear) -> list[float]:
    weights, biases = layer.weight.tolist(), layer.bias.tolist()
    return [b + sum(w * v for w, v in zip(row, values, strict=True)) for row, b in zip(weights, biases, strict=True)]


def bucket(first: int | None, second: int | None) -> int:
    if first is None or second is None:
        return 32
    apart = abs(first - second)
    return next((k for k in range(31) if apart < 2**k), 31)


def slow_block(
    block: GatedBlock, states: list[list[float]], times: list[int | None], *, causal: bool, window: int
) -> list[list[float]]:
    """The docstring of the block, one number at a time."""
    inner = [[silu(v) for v in linear(normed(x, block.norm), block.expand)] for x in states]
    width, d = WIDTH, WIDTH // block.heads
    gates, values, queries, keys = ([row[n * width : (n + 1) * width] for row in inner] for n in range(4))
    assert block.time_bias is not None
    places, gaps = block.position_bias.weight.tolist(), block.time_bias.weight.tolist()
    result = []
    for i, state in enumerate(states):
        seen = range(i + 1) if causal else range(len(states))
        attended = [0.0] * width
        for h in range(block.heads):
            part = range(h * d, (h + 1) * d)
            for j in seen:
                score = sum(queries[i][n] * keys[j][n] for n in part)
                score += places[i - j + (0 if causal else window - 1)][h]
                score += gaps[bucket(times[i], times[j])][h]
                for n in part:
                    attended[n] += silu(score) / len(seen) * values[j][n]
        gated = [a * g for a, g in zip(normed(attended, block.attended_norm), gates[i], strict=True)]
        result.append([x + y for x, y in zip(state, linear(gated, block.contract), strict=True)])
    return result


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("told", ["known", "in part", "never"])
def test_it_is_its_equations(attention: str, told: str) -> None:
    encoder = made(attention=attention, heads=2)
    items_BLD, mask_BL, times_BL = drawn([5, 2], total=6)
    if told == "in part":
        times_BL[0, 2] = UNKNOWN_TIME
    found = encoder(items_BLD, mask_BL, None if told == "never" else times_BL).vectors
    for user, length in enumerate((5, 2)):
        states = items_BLD[user, :length].tolist()
        times = [None if told == "never" or t == UNKNOWN_TIME else t for t in times_BL[user, :length].tolist()]
        for block in encoder.blocks:
            assert isinstance(block, GatedBlock)
            states = slow_block(block, states, times, causal=attention == "causal", window=8)
        assert isinstance(encoder.final_norm, nn.LayerNorm)
        expected = [normed(state, encoder.final_norm) for state in states]
        assert torch.allclose(found[user, :length], torch.tensor(expected, dtype=torch.float64), atol=1e-6)


# ---- what it may see --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("start", ["similar", "fresh"])
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4), extra=st.integers(0, 3), seed=st.integers(0, 99))
@settings(max_examples=10)
def test_padding_has_no_influence(attention: str, start: str, lengths: list[int], extra: int, seed: int) -> None:
    encoder = made(attention=attention, start=start)
    items_BLD, mask_BL, times_BL = drawn(lengths, total=5, seed=seed)
    padded = torch.cat([items_BLD, torch.full((len(lengths), extra, WIDTH), torch.nan, dtype=torch.float64)], dim=1)
    longer_mask = torch.cat([mask_BL, torch.zeros(len(lengths), extra, dtype=torch.bool)], dim=1)
    later = torch.cat([times_BL.masked_fill(~mask_BL, 7), torch.full((len(lengths), extra), 9)], dim=1)
    short, long = encoder(items_BLD, mask_BL, times_BL).last_BD, encoder(padded, longer_mask, later).last_BD
    assert torch.allclose(short, long, atol=1e-12)
    alone = [
        encoder(items_BLD[b : b + 1, :n], mask_BL[b : b + 1, :n], times_BL[b : b + 1, :n]).last_BD[0]
        for b, n in enumerate(lengths)
    ]
    assert torch.allclose(short, torch.stack(alone), atol=1e-12)


@pytest.mark.parametrize("start", ["similar", "fresh"])
def test_causal_states_see_neither_later_items_nor_later_times(start: str) -> None:
    encoder = made(start=start)
    items_BLD, mask_BL, times_BL = drawn([6], total=6)
    before = encoder(items_BLD, mask_BL, times_BL).vectors
    changed, later = items_BLD.clone(), times_BL.clone()
    changed[:, 4:] *= -1.0
    later[:, 4:] += 1000 * DAY
    for after in (encoder(changed, mask_BL, times_BL).vectors, encoder(items_BLD, mask_BL, later).vectors):
        assert torch.equal(before[:, :4], after[:, :4])
        assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_bidirectional_states_see_both() -> None:
    encoder = made(attention="bidirectional")
    items_BLD, mask_BL, times_BL = drawn([6], total=6)
    before = encoder(items_BLD, mask_BL, times_BL).vectors[:, 0]
    changed, later = items_BLD.clone(), times_BL.clone()
    changed[:, 5] *= -1.0
    later[:, 5] += 1000 * DAY
    assert not torch.allclose(before, encoder(changed, mask_BL, times_BL).vectors[:, 0])
    assert not torch.allclose(before, encoder(items_BLD, mask_BL, later).vectors[:, 0])


def test_order_matters_without_times_too() -> None:
    items_BLD, mask_BL, _ = drawn([5], total=5)
    encoder = made()
    assert not torch.allclose(encoder(items_BLD, mask_BL).last_BD, encoder(items_BLD[:, [1, 0, 2, 3, 4]], mask_BL).last_BD)


def test_an_empty_history_gives_zeros_and_finite_numbers() -> None:
    items_BLD, mask_BL, times_BL = drawn([0, 2], total=3)
    output = made()(items_BLD, mask_BL, times_BL)
    assert torch.equal(output.last_BD[0], torch.zeros(WIDTH, dtype=torch.float64))
    assert torch.isfinite(output.vectors).all()


# ---- times ------------------------------------------------------------------------------------------------------------


def test_the_edges_of_buckets_are_powers_of_two_seconds() -> None:
    apart = {0: 0, 1: 1, 2: 2, 3: 2, 4: 3, 7: 3, 8: 4, 2**30 - 1: 30, 2**30: 31, 2**40: 31, 2**61: 31}
    buckets = time_buckets(torch.tensor([[0, *apart]]))[0]
    assert dict(zip(apart, buckets[0, 1:].tolist(), strict=True)) == apart
    assert buckets.equal(buckets.T), "whichever came first"
    assert buckets.diagonal().eq(0).all()


def test_pairs_of_which_one_time_is_unknown_are_in_a_bucket_of_their_own() -> None:
    buckets = time_buckets(torch.tensor([[5, UNKNOWN_TIME, 5]]))[0]
    assert buckets.tolist() == [[0, 32, 0], [32, 32, 32], [0, 32, 0]]
    assert UNKNOWN_BUCKET == 32


@given(shift=st.integers(-(2**40), 2**40), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_only_times_between_events_matter(shift: int, seed: int) -> None:
    encoder = made()
    items_BLD, mask_BL, times_BL = drawn([6, 3], total=6, seed=seed)
    moved_BL = torch.where(mask_BL, times_BL + shift, times_BL)
    assert torch.equal(encoder(items_BLD, mask_BL, times_BL).vectors, encoder(items_BLD, mask_BL, moved_BL).vectors)
    twice_BL = torch.where(mask_BL, 2 * times_BL, times_BL)
    assert not torch.allclose(encoder(items_BLD, mask_BL, times_BL).last_BD, encoder(items_BLD, mask_BL, twice_BL).last_BD)


def test_no_times_are_unknown_times() -> None:
    encoder = made()
    items_BLD, mask_BL, times_BL = drawn([6, 3], total=6)
    unknown = encoder(items_BLD, mask_BL, torch.full_like(times_BL, UNKNOWN_TIME)).vectors
    assert torch.allclose(encoder(items_BLD, mask_BL).vectors, unknown, atol=1e-12)
    assert not torch.allclose(encoder(items_BLD, mask_BL, times_BL).last_BD, encoder(items_BLD, mask_BL).last_BD)


def test_training_shows_a_share_of_the_histories_without_times() -> None:
    encoder = made(dropout=0.0, gated={"untimed": 0.25}).train()
    items_BLD, mask_BL, times_BL = drawn([4] * 400, total=4)
    with torch.random.fork_rng():
        torch.set_rng_state(torch.Generator().manual_seed(1).get_state())
        shown = encoder(items_BLD, mask_BL, times_BL).last_BD
    encoder.eval()
    timed, untimed = encoder(items_BLD, mask_BL, times_BL).last_BD, encoder(items_BLD, mask_BL).last_BD
    as_timed = torch.isclose(shown, timed, atol=1e-9).all(dim=1)
    as_untimed = torch.isclose(shown, untimed, atol=1e-9).all(dim=1)
    assert (as_timed ^ as_untimed).all()
    assert 70 <= int(as_untimed.sum()) <= 130


def test_without_a_time_bias_there_is_no_trace_of_times() -> None:
    encoder = made(gated={"time_bias": False})
    assert not encoder.reads_times and made().reads_times
    assert not [name for name, _ in encoder.named_parameters() if "time" in name]
    items_BLD, mask_BL, times_BL = drawn([4], total=4)
    assert torch.equal(encoder(items_BLD, mask_BL, times_BL).vectors, encoder(items_BLD, mask_BL).vectors)


# ---- learning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("start", ["similar", "fresh"])
@pytest.mark.parametrize("timed", [True, False])
def test_a_gradient_reaches_every_parameter(attention: str, start: str, timed: bool) -> None:
    """In one pass, so that wrappers that wait for every parameter's gradient do not wait in vain."""
    encoder = made(attention=attention, start=start, adapter=3).train()
    items_BLD, mask_BL, times_BL = drawn([8, 5], total=8)
    states = encoder(items_BLD, mask_BL, times_BL if timed else None).vectors[mask_BL]
    (torch.linspace(0.5, 1.5, states.numel()).view_as(states) * states).sum().backward()
    assert not [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]


def test_what_hangs_on_time_can_be_learned() -> None:
    """Where the newest item followed within a minute it is wanted again, else the one before it."""

    def last_loss(*, times: bool) -> float:
        generator = torch.Generator().manual_seed(0)
        with torch.random.fork_rng():
            torch.set_rng_state(generator.get_state())
            shape = {"kind": "gated", "layers": 1, "heads": 1, "window": 2, "dropout": 0.0, "gated": {"untimed": 0.0}}
            encoder = GatedUserEncoder(8, UserSettings.from_mapping(shape))
        items_BLD = torch.nn.functional.one_hot(torch.randint(8, (256, 2), generator=generator), 8).float()
        soon_B = torch.rand(256, generator=generator) < 0.5
        times_BL = torch.stack([torch.zeros(256).long(), torch.where(soon_B, 30, DAY)], dim=1)
        wanted_BD = torch.where(soon_B[:, None], items_BLD[:, 1], items_BLD[:, 0])
        optimiser = torch.optim.Adam(encoder.parameters(), lr=0.02)
        losses = []
        for _ in range(150):
            states = encoder(items_BLD, torch.ones(256, 2, dtype=torch.bool), times_BL if times else None).last_BD
            loss = nn.functional.cross_entropy(8 * states, wanted_BD)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] < 0.7 * losses[0], "the half that does not hang on time is learned in any case"
        return losses[-1]

    assert last_loss(times=True) < 0.2 * last_loss(times=False)


def test_born_similar_it_is_a_mean_of_the_latest_items() -> None:
    chosen = UserSettings.from_mapping({"kind": "gated", "window": 8, "layers": 1})
    encoder = GatedUserEncoder(WIDTH, chosen).double().eval()
    items_BLD, mask_BL, times_BL = drawn([5, 2], total=6)
    found = encoder(items_BLD, mask_BL, times_BL).last_BD
    for user, length in enumerate((5, 2)):
        weights = torch.exp(-0.5 * torch.arange(length - 1, -1, -1, dtype=torch.float64))
        expected = (weights[:, None] * items_BLD[user, :length]).sum(dim=0) / weights.sum()
        assert torch.allclose(found[user], expected, atol=1e-10)
    found.sum().backward()
    assert encoder.recency is not None and encoder.recency.gate.grad.abs() > 0, "the blocks must be able to come in"


def test_a_hidden_item_has_a_direction() -> None:
    """A history of which only the mask token is left must not blow up where states are scored by their cosine."""
    encoder = GatedUserEncoder(WIDTH, UserSettings.from_mapping({"kind": "gated", "mask_token": True}))
    items_BLD, mask_BL, _ = drawn([1], total=1)
    state = encoder(encoder.hide(items_BLD.float(), mask_BL), mask_BL).vectors[0, 0]
    nn.functional.normalize(state, dim=0)[0].backward()
    assert encoder.mask_token is not None and encoder.mask_token.grad is not None
    assert 0 < encoder.mask_token.grad.norm() < 1e3
    assert made().mask_token is None


# ---- settings ---------------------------------------------------------------------------------------------------------


def test_forms_that_it_does_not_have_are_refused() -> None:
    with pytest.raises(SettingsError, match="5 heads do not divide a width of 16"):
        made(heads=5)
    with pytest.raises(SettingsError, match="its norm before it"):
        made(norm="post")


def test_adapters_stand_behind_every_block() -> None:
    names = set(made().state_dict())
    more = set(made(adapter=3).state_dict())
    assert names < more and all(".attention_adapter." in name for name in more - names)
    assert len(more - names) == 2 * 6
