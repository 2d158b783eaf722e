"""Ranking the targets of some users among a whole catalog, as ratios over the bare product of users and items.

    python -m benchmarks.evaluation

Sides: the matrix product alone, in the blocks that ours takes; ours, which counts what is above the target and minds ties,
hidden items and scores that are no numbers; the same in blocks of items, as it is done for large catalogs; the double sort
of the published evaluation (github.com/jieWANGforwork/TransRec); one sort a user, as IDvs.MoRec has it. The sides take
turns, and medians are compared. Ranks are held against each other first.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from transrec.data.histories import Histories
from transrec.retrieval.blocks import ranks_in_blocks
from transrec.retrieval.index import CatalogIndex, Queries, users_at_once
from transrec.scoring import DotScorer

HISTORY = 25
TOGETHER = 64
"""Users whose scores the other sides hold at a time; the published code holds 512."""


def sides(*, users: int, items: int, width: int) -> dict[str, Callable[[], np.ndarray]]:
    """By name, what gives the rank of every user's target; the first gives none."""
    generator = torch.Generator().manual_seed(0)
    vectors_VD = torch.randn(items, width, generator=generator)
    users_BD = torch.randn(users, width, generator=generator)
    chance = np.random.default_rng(0)
    targets = chance.integers(items, size=users)
    rows = chance.integers(items, size=users * HISTORY)
    hidden = Histories(rows, np.arange(users + 1) * HISTORY)
    index, queries = CatalogIndex(vectors_VD, DotScorer()), Queries(users_BD, hidden)

    def bare() -> np.ndarray:
        for block_BD in users_BD.split(users_at_once(items)):
            block_BD @ vectors_VD.T
        return np.zeros(0)

    def ours() -> np.ndarray:
        return index.rank(queries, targets, hidden)

    def hidden_scores(start: int, block_BD: torch.Tensor) -> torch.Tensor:
        scores_BV = block_BD @ vectors_VD.T
        owners = np.repeat(np.arange(len(block_BD)), HISTORY)
        scores_BV[owners, rows[start * HISTORY : (start + len(block_BD)) * HISTORY]] = -torch.inf
        return scores_BV

    def one_sort_a_user() -> np.ndarray:
        found = np.empty(users)
        for start in range(0, users, TOGETHER):
            scores_BV = hidden_scores(start, users_BD[start : start + TOGETHER])
            for place, scores_V in enumerate(scores_BV):
                order_V = torch.argsort(scores_V, descending=True)
                found[start + place] = int((order_V == targets[start + place]).nonzero()[0]) + 1
        return found

    def double_sort() -> np.ndarray:
        found = np.empty(users)
        for start in range(0, users, TOGETHER):
            scores_BV = hidden_scores(start, users_BD[start : start + TOGETHER])
            places_BV = torch.argsort(torch.argsort(scores_BV, dim=1, descending=True), dim=1)
            own_B = torch.from_numpy(targets[start : start + TOGETHER])
            found[start : start + len(own_B)] = places_BV[torch.arange(len(own_B)), own_B] + 1
        return found

    return {
        "the product alone": bare,
        "ours": ours,
        "ours, in blocks": lambda: ranks_in_blocks(index, queries, targets, hidden).ranks,
        "one sort a user": one_sort_a_user,
        "double sort": double_sort,
    }


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=256)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    made = sides(users=options.users, items=options.items, width=options.width)
    ranks = {name: side() for name, side in made.items()}
    apart = {name: int((found != ranks["ours"]).sum()) for name, found in ranks.items() if len(found)}
    seconds: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(options.rounds):
        for name, side in made.items():
            start = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    threads = torch.get_num_threads()
    print(f"{options.users} users, {options.items:,} items, width {options.width}, {threads} threads")
    for name, median in medians.items():
        differ = f"   {apart[name]} ranks differ from ours" if name in apart and name != "ours" else ""
        print(f"  {name:20} {median / medians['the product alone']:8.1f} x the product{differ}")
    print(f"  peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
