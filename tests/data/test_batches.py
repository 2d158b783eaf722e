"""Batches: the windows and indices of an independent, slower way of making them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transrec.data.batches import ItemBatch, SequenceBatch, SequenceBatches
from transrec.data.counts import Counts
from transrec.data.interactions import Interactions
from transrec.data.splits import Split, leave_one_out
from transrec.data.times import UNKNOWN_TIME
from transrec.data.windows import WindowPlan
from transrec.errors import DataError

NUM_ITEMS = 40


class Rows:
    """An item source without content."""

    def __len__(self) -> int:
        return NUM_ITEMS

    def gather(self, rows: np.ndarray) -> ItemBatch:
        assert len(np.unique(rows)) == len(rows), "every distinct item once"
        return ItemBatch(len(rows), {})

    def loads(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return rows, np.ones(len(rows), dtype=np.int64)


def split_of(lengths: list[int], seed: int = 0) -> Split:
    generator = np.random.default_rng(seed)
    table = pl.DataFrame(
        {
            "user": [f"u{u:03d}" for u, n in enumerate(lengths) for _ in range(n)],
            "row": np.concatenate([generator.permutation(NUM_ITEMS)[:n] for n in lengths]),
            "time": np.concatenate([np.arange(n, dtype=float) for n in lengths]),
        }
    )
    return leave_one_out(Interactions.from_columns(table))


def batches(split: Split, plan: WindowPlan, **changes: object) -> SequenceBatches:
    return SequenceBatches(split, Rows(), plan, **{"batch_size": 4, "seed": 5, **changes})


def rows_at(batch: SequenceBatch, places: torch.Tensor) -> list[int]:
    """Catalog rows of these places among the batch's distinct items."""
    return batch.rows_U[places].reshape(-1).tolist()


def candidates(batch: SequenceBatch) -> list[int]:
    """Catalog rows of the batch's items, and then of those that it remembers."""
    return batch.rows_U.tolist() + ([] if batch.former_R is None else batch.former_R.tolist())


def whole_epoch(made: SequenceBatches) -> list[SequenceBatch]:
    return [made.batch(step) for step in range(made.steps_per_epoch)]


lengths_of_users = st.lists(st.integers(3, 20), min_size=1, max_size=9).filter(lambda lengths: max(lengths) > 3)


@given(lengths=lengths_of_users, window=st.integers(2, 7))
@settings(max_examples=40)
def test_next_plan_predicts_every_training_event_but_the_first_once(lengths: list[int], window: int) -> None:
    split = split_of(lengths)
    seen: dict[int, int] = {}
    lines = {tuple(split.interactions.history(u)[:-2]) for u in range(len(lengths))}
    for batch in whole_epoch(batches(split, WindowPlan("next", length=window))):
        for b in range(len(batch.mask_BL)):
            n = int(batch.mask_BL[b].sum())
            assert batch.mask_BL[b, :n].all() and n <= window
            assert (batch.target_mask_BT[b] == batch.mask_BL[b]).all()
            history, targets = rows_at(batch, batch.history_BL[b, :n]), rows_at(batch, batch.targets_BT[b, :n])
            assert history[1:] == targets[:-1], "the target at a position is the item after it"
            chain = (*history, targets[-1])
            assert any(chain == line[i : i + len(chain)] for line in lines for i in range(len(line)))
            for target in targets:
                seen[target] = seen.get(target, 0) + 1
    expected: dict[int, int] = {}
    for u in range(len(lengths)):
        for row in split.interactions.history(u)[1:-2]:
            expected[row] = expected.get(row, 0) + 1
    assert seen == expected


@given(lengths=lengths_of_users, horizon=st.integers(1, 5))
@settings(max_examples=40)
def test_last_windows_are_the_published_ones(lengths: list[int], horizon: int) -> None:
    split = split_of(lengths)
    plan = WindowPlan("following", length=6, horizon=horizon, negatives=3, windows="last", negatives_avoid="line")
    made = batches(split, plan)
    expected: dict[tuple[tuple[int, ...], tuple[int, ...]], list[set[int]]] = {}
    for u in range(len(lengths)):
        line = split.interactions.history(u).tolist()
        clicks = line[:-2]
        real = min(horizon, len(clicks) - 1)
        if real > 0:
            window = (tuple(clicks[:-real][-6:]), tuple(clicks[-real:]))
            expected.setdefault(window, []).append(set(line))
    windows = []
    for batch in whole_epoch(made):
        for b in range(len(batch.mask_BL)):
            history = tuple(rows_at(batch, batch.history_BL[b][batch.mask_BL[b]]))
            positives = tuple(rows_at(batch, batch.targets_BT[b][batch.target_mask_BT[b]]))
            negatives = set(rows_at(batch, batch.negatives_BK[b]))
            assert len(negatives) == 3
            assert any(not negatives & line for line in expected[history, positives]), "not even the held-out items"
            windows.append((history, positives))
    assert sorted(windows) == sorted(window for window, lines in expected.items() for _ in lines)


def test_negatives_avoid_training_but_know_nothing_of_what_is_held_out() -> None:
    split = split_of([NUM_ITEMS])  # every item is in the line, two of them held out
    plan = WindowPlan("following", length=5, horizon=1, negatives=2)
    for batch in whole_epoch(batches(split, plan)):
        drawn = set(rows_at(batch, batch.negatives_BK))
        assert drawn == set(split.interactions.rows[-2:])


@pytest.mark.parametrize("memory", [0, 3])
def test_own_pairs_are_exactly_the_users_training_items(memory: int) -> None:
    split = split_of([9, 12, 6, 20, 4])
    for batch in whole_epoch(batches(split, WindowPlan("next", length=4, memory=memory), batch_size=2)):
        rows = candidates(batch)
        own = {(int(b), int(rows[u])) for b, u in batch.own_M2}
        for b in range(len(batch.mask_BL)):
            first = rows[batch.history_BL[b, 0]]
            lines = [set(split.interactions.history(u)[:-2]) for u in range(5)]
            mine = {row for place, row in own if place == b}
            assert any(mine == line & set(rows) and first in line for line in lines)


def test_held_out_events_never_show() -> None:
    split = split_of([8] * 6, seed=3)
    hidden = {(u, r) for u in range(6) for r in split.interactions.history(u)[-2:]}
    assert hidden
    targets = []
    for batch in whole_epoch(batches(split, WindowPlan("next", length=50))):
        targets += [tuple(rows_at(batch, batch.targets_BT[b][batch.target_mask_BT[b]])) for b in range(len(batch.mask_BL))]
    assert sorted(targets) == sorted(tuple(split.interactions.history(u)[1:-2]) for u in range(6))


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    split = split_of([9] * 20)
    plan = WindowPlan("following", length=5, horizon=2, negatives=3, shared_negatives=4)
    forwards, backwards = batches(split, plan), batches(split, plan)
    steps = list(range(2 * forwards.steps_per_epoch))
    first = {step: forwards.batch(step) for step in steps}
    second = {step: backwards.batch(step) for step in reversed(steps)}
    for step in steps:
        assert first[step].rows_U.equal(second[step].rows_U) and first[step].history_BL.equal(second[step].history_BL)
        assert first[step].negatives_BK.equal(second[step].negatives_BK)
    assert not first[0].history_BL.equal(first[forwards.steps_per_epoch].history_BL) or not first[0].rows_U.equal(
        first[forwards.steps_per_epoch].rows_U
    )


def test_ranks_share_the_items_of_a_batch_without_overlap() -> None:
    split, plan = split_of([9] * 10), WindowPlan("next", length=20, shared_negatives=4)
    whole = batches(split, plan).batch(0)
    parts = [batches(split, plan).of_rank(rank, 3).batch(0) for rank in range(3)]
    for rank, part in enumerate(parts):
        assert part.shares is not None
        assert part.items.size == part.shares.sizes[rank]
        for name in ("rows_U", "history_BL", "mask_BL", "targets_BT", "own_M2", "inclusion_U", "counts_C"):
            assert getattr(part, name).equal(getattr(whole, name)), "every process knows the whole batch"
        assert part.shares.order_U.sort().values.tolist() == list(range(len(whole.rows_U)))
    assert sum(part.items.size for part in parts) == whole.items.size
    assert whole.shares is None


@pytest.mark.parametrize("memory", [0, 2])
def test_inclusion_is_the_probability_that_simulation_finds(memory: int) -> None:
    """An item with the share p of the events is missed by m independent draws and by the shared ones, in all batches."""
    split = split_of([12] * 30, seed=1)
    plan = WindowPlan("next", length=3, shared_negatives=5, memory=memory)
    made = batches(split, plan, batch_size=6)
    counted = [made.batch(4 - back) for back in range(memory + 1)]
    batch = counted[0]
    drawn = sum(int(one.mask_BL.sum()) + len(one.mask_BL) for one in counted)
    p = split.train_counts(NUM_ITEMS) / split.train_counts(NUM_ITEMS).sum()
    generator = np.random.default_rng(0)
    rounds = 4000
    events = generator.choice(NUM_ITEMS, size=(rounds, drawn), p=p)
    shared = [np.stack([generator.choice(NUM_ITEMS, 5, replace=False) for _ in range(rounds)]) for _ in range(memory + 1)]
    everything = np.concatenate([events, *shared], axis=1)
    for place, row in enumerate(candidates(batch)):
        found = (everything == row).any(axis=1).mean()
        assert abs(found - float(batch.inclusion_C[place])) < 5 * np.sqrt(0.25 / rounds)
    # those of a batch by itself do not know of a memory
    alone = batches(split, replace(plan, memory=0), batch_size=6).batch(4)
    assert batch.inclusion_U.equal(alone.inclusion_C) and alone.inclusion_U.equal(alone.inclusion_C)


def test_nothing_to_predict_is_said() -> None:
    with pytest.raises(DataError, match="none of the 2 users has two training events"):
        batches(split_of([3, 3]), WindowPlan("next", length=4))


def test_what_is_hidden_is_drawn_into_the_batch() -> None:
    split = split_of([9, 14, 4, 20] * 5)
    plan = WindowPlan("none", length=6, hidden=0.3)
    one, other = batches(split, plan), batches(split, plan)
    for step in reversed(range(2 * one.steps_per_epoch)):
        first, again = one.batch(step), other.batch(step)
        assert first.hidden_BL is not None and again.hidden_BL is not None
        assert first.hidden_BL.equal(again.hidden_BL), "a function of seed and step"
        assert first.hidden_BL.any(dim=1).all() and not (first.hidden_BL & ~first.mask_BL).any()
        assert first.targets_BT.shape == (len(first.mask_BL), 0)
        assert first.rows_U.tolist() == sorted(set(rows_at(first, first.history_BL[first.mask_BL])))
        moved = first.to(torch.device("cpu"))
        assert moved.hidden_BL is not None and moved.hidden_BL.equal(first.hidden_BL)
    epochs = [whole_epoch(one)[0].hidden_BL, one.batch(one.steps_per_epoch).hidden_BL]
    assert epochs[0] is not None and epochs[1] is not None and not epochs[0].equal(epochs[1]), "new in every epoch"


def test_what_is_remembered_comes_after_the_items_of_the_batch() -> None:
    split = split_of([9] * 20)
    counts = Counts.of(split, NUM_ITEMS)
    plain, made = (batches(split, WindowPlan("next", length=4, memory=of), counts=counts, batch_size=2) for of in (0, 2))
    for step in range(4):
        alone, batch = plain.batch(step), made.batch(step).to(torch.device("cpu"))
        assert alone.former_R is None and batch.former_R is not None and bool(len(batch.former_R)) == bool(step)
        rows = candidates(batch)
        assert len(set(rows)) == len(rows)
        assert batch.items.size == len(batch.rows_U) and batch.rows_U.equal(alone.rows_U), "nothing more is encoded"
        assert batch.targets_BT.equal(alone.targets_BT) and batch.history_BL.equal(alone.history_BL)
        for found, expected in ((batch.popularity_C, alone.popularity_C), (batch.counts_C, alone.counts_C)):
            assert found[: batch.items.size].equal(expected) and len(found) == len(rows)
        assert not batch.counts_C[batch.items.size :].any()
        assert batch.evidence is not None and alone.evidence is not None and alone.evidence.targets_Q is not None
        assert alone.evidence.targets_Q.equal(batch.targets_BT[batch.target_mask_BT])
        assert batch.evidence.popularity_C.equal(torch.from_numpy(counts.popularity_V[rows]).float())
        for kind, shares_QC in batch.evidence.shares.items():
            assert shares_QC.shape[1] == len(rows)
            assert torch.allclose(shares_QC[:, : batch.items.size], alone.evidence.shares[kind])


def test_nothing_is_hidden_unless_asked_for() -> None:
    batch = batches(split_of([9] * 8), WindowPlan("next", length=6)).batch(0)
    assert batch.hidden_BL is None
    assert batch.to(torch.device("cpu")).hidden_BL is None


def test_evidence_stands_beside_every_real_target() -> None:
    split = split_of([6, 3, 9])
    counts = Counts.of(split, NUM_ITEMS)
    batch = batches(split, WindowPlan("next", length=4), counts=counts).batch(0)
    assert batch.evidence is not None and batch.evidence.targets_Q is not None
    assert torch.equal(batch.evidence.targets_Q, batch.targets_BT[batch.target_mask_BT])
    assert torch.equal(batch.evidence.popularity_C, torch.from_numpy(counts.popularity_V).float()[batch.rows_U])
    assert batches(split, WindowPlan("next", length=4)).batch(0).evidence is None


@pytest.mark.parametrize("targets", ["next", "following", "none"])
def test_histories_carry_their_own_times_and_no_other(targets: str) -> None:
    split = split_of([9, 14, 4, 20])
    when = np.random.default_rng(1).uniform(0, 1e9, size=len(split.interactions)).round(3)
    events = replace(split.interactions, times=when)
    seconds = {int(row): set() for row in events.rows}
    for user in range(4):
        start, end = events.offsets[user], split.train_ends[user]
        for place in range(start, end):
            seconds[int(events.rows[place])].add(int(np.floor(when[place])))
    plan = WindowPlan(targets, length=5, times=True)
    for batch in whole_epoch(batches(replace(split, interactions=events), plan)):
        assert batch.times_BL is not None and batch.times_BL.shape == batch.history_BL.shape
        assert (batch.times_BL[~batch.mask_BL] == UNKNOWN_TIME).all()
        for row, second in zip(
            rows_at(batch, batch.history_BL[batch.mask_BL]), batch.times_BL[batch.mask_BL].tolist(), strict=True
        ):
            assert second in seconds[row]
        moved = batch.to(torch.device("cpu"))
        assert moved.times_BL is not None and moved.times_BL.equal(batch.times_BL)


def test_times_change_nothing_else_and_are_absent_unless_asked_for() -> None:
    split, plan = split_of([9] * 8), WindowPlan("next", length=6, shared_negatives=3)
    plain, timed = batches(split, plan).batch(1), batches(split, replace(plan, times=True)).batch(1)
    assert plain.times_BL is None and plain.to(torch.device("cpu")).times_BL is None
    assert plain.rows_U.equal(timed.rows_U) and plain.history_BL.equal(timed.history_BL)
