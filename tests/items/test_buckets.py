"""Buckets by length: every item once, and little padding."""

import numpy as np
import pytest
import torch

from transrec.items.buckets import length_buckets


def drawn(kind, count, seed=0):
    """Lengths as titles have them, or with a long tail."""
    generator = np.random.default_rng(seed)
    if kind == "zipf":
        shares = 1 / np.arange(1, 65)
        return torch.from_numpy(generator.choice(np.arange(3, 67), count, p=shares / shares.sum()))
    return torch.from_numpy(np.clip(np.exp(generator.normal(2.5, 0.6, count)).astype(np.int64) + 2, 3, 64))


def padded(lengths, buckets):
    return sum(len(bucket) * int(lengths[bucket].max()) for bucket in buckets)


@pytest.mark.parametrize("kind", ["zipf", "titles"])
@pytest.mark.parametrize("count", [64, 256, 1000])
def test_padding_is_at_most_15_percent(kind, count):
    lengths = drawn(kind, count)
    waste = padded(lengths, length_buckets(lengths)) / int(lengths.sum())
    assert waste <= 1.15
    assert count * int(lengths.max()) / int(lengths.sum()) > 2.5, "as one batch it would be far more"


@pytest.mark.parametrize("lengths", [[5], [5, 5, 5], [9, 1, 5, 1, 9, 200], list(range(1, 60))])
def test_every_item_is_in_one_bucket_and_shorter_ones_come_first(lengths):
    buckets = length_buckets(torch.tensor(lengths))
    assert sorted(torch.cat(buckets).tolist()) == list(range(len(lengths)))
    in_order = [lengths[place] for place in torch.cat(buckets).tolist()]
    assert in_order == sorted(lengths)


def test_a_bucket_costs_something():
    lengths = drawn("titles", 300)
    assert len(length_buckets(lengths, cost=0)) == len(lengths.unique())
    assert len(length_buckets(lengths, cost=10**9)) == 1
    costs = [padded(lengths, b) + 40 * len(b) for b in (length_buckets(lengths, cost=c) for c in (0, 10, 40, 200, 1000))]
    assert min(costs) == costs[2]


def test_nothing_to_put_into_buckets():
    assert [len(bucket) for bucket in length_buckets(torch.zeros(0, dtype=torch.int64))] == [0]
