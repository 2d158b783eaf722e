"""Seconds of a training step's forward and backward pass, trick by trick, beside its operations.

    python -m benchmarks.ladder --layers 4 --width 256 --out FOLDER        # BERT-mini, top 2 learn

All rungs have the same model and the same batch, start from token ids (the last from what the frozen layers made of them),
and have the same loss. They take turns, round by round, so that a busy machine slows all alike, and medians over the rounds
are compared. Nothing is dropped, the optimiser does not step, and the batch is made beforehand.

Operations are those of matrix products, as ratios over the least: what the learning layers need for every distinct content
of the batch once, without padding, and what is above the encoder. Efficiency is the share of the machine's own rate of
matrix products that goes into the least: the least, over the seconds of the last rung times that rate, which is measured in
every round too, in the same process with the same threads.

The program starts itself anew with an allocator that keeps freed memory, which is worth about as much to every rung.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from benchmarks.prefix import RUNGS, flops, least_of_texts
from benchmarks.rungs import EVERY_OCCURRENCE, STORE, keep_freed_memory, loss_on, occurrences
from benchmarks.step import Platform
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from transrec.data.batches import SequenceBatch, SequenceBatches
from transrec.data.ragged import Ragged
from transrec.data.store import ContentStore
from transrec.model import TransRec
from transrec.objectives import Objective, ObjectiveSettings, build_objective
from transrec.recipes.comparing.figure import FROM_SCRATCH, MOVED, SIMPLE, plain
from transrec.retrieval.prefix import Keeping, with_states

SIDE = 1024
"""Of the matrices whose product tells the machine's rate."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured.

    Attributes:
        seconds: median of each rung.
        operations: of each rung, forward and backward.
        least: operations that a step cannot do without.
        losses: of each rung.
        rate: operations a second of float32 matrix products, median.
        occurrences: events of the batch, each an item to be encoded.
        distinct: items of the batch.
    """

    seconds: Mapping[str, float]
    operations: Mapping[str, int]
    least: int
    losses: Mapping[str, float]
    rate: float
    occurrences: int
    distinct: int

    @property
    def times(self) -> dict[str, float]:
        """Seconds over those of the last rung."""
        return {rung: seconds / self.seconds[STORE] for rung, seconds in self.seconds.items()}

    @property
    def waste(self) -> dict[str, float]:
        """Operations over the least."""
        return {rung: count / self.least for rung, count in self.operations.items()}

    @property
    def efficiency(self) -> float:
        """Share of the machine's rate that goes into the least."""
        return self.least / (self.seconds[STORE] * self.rate)

    @property
    def loss_difference(self) -> float:
        """By how much the losses of the rungs differ at most."""
        return max(self.losses.values()) - min(self.losses.values())

    def report(self) -> dict[str, object]:
        """All of it, for a file."""
        derived = {"times": self.times, "waste": self.waste, "ratio": self.times[EVERY_OCCURRENCE]}
        return {**asdict(self), **derived, "efficiency": self.efficiency, "loss_difference": self.loss_difference}


def measure(platform: Platform, *, batch: int, rounds: int) -> Found:
    """Climb the ladder.

    Args:
        platform: users, and a model that reads their items.
        batch: users in the step.
        rounds: how often every rung is timed.
    """
    model = platform.model.eval()  # nothing is dropped, so that all rungs have the same loss
    objective = build_objective(ObjectiveSettings(), model)

    def made(store: ContentStore) -> SequenceBatch:
        return SequenceBatches(platform.split, store, objective.plan, batch_size=batch, seed=0).batch(0)

    tokens, states = made(platform.store), made(with_states(model, platform.store, Keeping()))
    of = {rung: states if rung == STORE else tokens for rung in RUNGS}
    steps = {rung: partial(loss_on, rung, model, objective, of[rung]) for rung in RUNGS}
    operations = {rung: flops(step) for rung, step in steps.items()}
    seconds, product = timed(model, steps, rounds)
    return Found(
        seconds=seconds,
        operations=operations,
        least=least(model, objective, states),
        losses={rung: float(step().detach()) for rung, step in steps.items()},
        rate=2 * SIDE**3 / product,
        occurrences=len(occurrences(tokens)),
        distinct=tokens.items.size,
    )


def least(model: TransRec, objective: Objective, states: SequenceBatch) -> int:
    """Operations that a step cannot do without: of the learning layers for each content, and of what is above them."""
    part, encoder = states.items.parts["text"], model.items.preparers()["text"]
    assert part.below and not isinstance(part.content, Tensor)
    kept = part.content["states"]
    assert isinstance(kept, Ragged)
    vectors = torch.zeros(len(part.index_n), encoder.width, requires_grad=True)
    given = replace(states.items, parts={"text": replace(part, content=vectors, inverse_n=None)})
    above = flops(lambda: loss_on(STORE, model, objective, replace(states, items=given)))
    return least_of_texts(encoder, kept, part.below) + above


def timed(model: TransRec, steps: Mapping[str, Callable[[], Tensor]], rounds: int) -> tuple[dict[str, float], float]:
    """Median seconds of every step with its backward pass, and of a product of two matrices, in turns."""
    seconds: dict[str, list[float]] = {rung: [] for rung in steps}
    products, (one, other) = [], torch.randn(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for turn in range(rounds + 1):
        for rung, step in steps.items():
            model.zero_grad()
            start = time.perf_counter()
            step().backward()
            if turn:  # the first round warms up
                seconds[rung].append(time.perf_counter() - start)
        for _ in range(5):
            start = time.perf_counter()
            torch.mm(one, other)
            if turn:
                products.append(time.perf_counter() - start)
    model.zero_grad()
    return {rung: statistics.median(found) for rung, found in seconds.items()}, statistics.median(products)


def save_figure(found: Found, path: Path, *, title: str) -> None:
    """Draw a bar for every rung: its time on the left, its operations on the right."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)  # one scale for both
    _bars(left, found.times, "time of forward and backward, times the last", MOVED)
    _bars(right, found.waste, "operations, times the least", FROM_SCRATCH)
    right.axvline(1.0, color=SIMPLE, linewidth=0.9, linestyle=(0, (4, 3)))
    left.set_xlim(0, 1.15 * max(*found.times.values(), *found.waste.values()))  # for both
    left.invert_yaxis()
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _bars(axes: Axes, values: Mapping[str, float], label: str, colour: str) -> None:
    labels = [rung.replace(", padded", ",\npadded").replace("longest text", "longest") for rung in values]
    bars = axes.barh(labels, list(values.values()), 0.62, color=colour)
    axes.bar_label(bars, [f"{value:.2f}" for value in values.values()], padding=4, fontsize=9)
    axes.set_xlabel(label, fontsize=9.5)
    plain(axes, grid="x")


def show(found: Found) -> None:
    """Print the table and what follows from it."""
    print(f"{'':54} {'seconds':>8} {'x last':>7} {'operations x least':>19}")
    for rung in RUNGS:
        print(f"  {rung:52} {found.seconds[rung]:8.3f} {found.times[rung]:7.2f} {found.waste[rung]:19.2f}")
    factor = found.occurrences / found.distinct
    print(f"  {found.occurrences:,} occurrences of {found.distinct:,} items, {factor:.2f} each")
    print(f"  the losses differ by at most {found.loss_difference:.1e}")
    print(f"  products of {SIDE} x {SIDE}: {found.rate / 1e9:.1f} billion operations a second")
    print(f"  of these, the last rung puts {found.efficiency:.2f} into what a step cannot do without")


def main() -> None:
    """Print the table; write it and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4, help="of the text network; the two top ones learn")
    parser.add_argument("--width", type=int, default=256, help="of the text network; a multiple of 64")
    parser.add_argument("--batch", type=int, default=64, help="users in the step")
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="folder for step.json and step.png; nothing is written without it")
    options = parser.parse_args()
    keep_freed_memory("benchmarks.ladder")
    torch.set_num_threads(options.threads)
    platform = Platform(users=options.batch, items=options.items, layers=options.layers, width=options.width)
    found = measure(platform, batch=options.batch, rounds=options.rounds)
    title = f"BERT {options.layers} x {options.width}, top 2 learn; {options.batch} users a step"
    print(f"{title}; {options.threads} threads")
    show(found)
    if options.out:
        save_figure(found, options.out / "step.png", title=title)
        settings = {name: value for name, value in vars(options).items() if name != "out"}
        (options.out / "step.json").write_text(json.dumps({"settings": settings, **found.report()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
