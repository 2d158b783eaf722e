"""What a training step takes on a GPU, part by part: one run of a minute and a half answers all that was not measured there.

    python -m benchmarks.gpu                                     # all parts, MiniLM's size
    python -m benchmarks.gpu --parts d f --batches 64
    python -m benchmarks.gpu --device cpu --quick                # a rehearsal

``a``: all blocks learn, from token ids: float32 against bfloat16, padded against packed texts, with the memory of each.
``b``: the top block learns or none does, with what frozen blocks make kept and not kept. ``c``: the steps of others, see
``reference_published.py`` and ``reference_inbatch.py``. ``d``: trainings by the library's own loop where encoders rest, with
counts and without, and the optimiser alone. ``f``: the lines at which a step makes the processor wait for the device.
``e``: blocks compiled; last, because compiling takes longest.

The sides of a table take turns, round by round, on the same batches; medians of rounds are printed, and medians of ratios
within a round. A step brings the batch to the device, runs forward and backward, clips and moves the weights. In all parts
but ``d`` batches are made beforehand. A table is printed as soon as it is known.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from benchmarks.gpu_world import Size, Stepper, World, compiled, laid_out, text_encoder
from benchmarks.reference_inbatch import InBatchStep
from benchmarks.reference_published import PublishedStep
from benchmarks.turns import REFUSALS, Taken, Work, in_turns, machine, show, told_waits, wait
from rich.console import Console

from transrec.data.counts import Counts
from transrec.data.store import ContentStore
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.retrieval.prefix import Keeping, with_states
from transrec.retrieval.vectors import with_vectors
from transrec.training.settings import TrainingSettings
from transrec.training.trainer import Trainer

LONG = 45.0
"""Seconds of compiling after which nothing else is compiled."""
QUICK = Size(users=32, items=60, layers=2, width=32, heads=2, vocabulary=200, max_length=16, vectors=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is measured.

    Attributes:
        batches: users in a step.
        large: users in a step of the largest training with resting encoders.
        rounds: of every table, at most.
        seconds: of every table, after which no other round begins.
        steps: of a training in part d with the smallest batches.
    """

    batches: tuple[int, ...]
    large: int
    rounds: int
    seconds: float
    steps: int

    def units(self, batch: int) -> int:
        """Steps in a turn, so that a turn is not over before it has begun."""
        return max(1, min(4, self.steps // batch))


def whole(world: World, bounds: Bounds) -> None:
    """Part a."""
    # precision, layout, dropout in attention, products in TensorFloat32
    ways = {
        "float32, padded": ("float32", "padded", True, False),
        "float32, packed": ("float32", "packed", True, False),
        "float32 with TensorFloat32, padded": ("float32", "padded", True, True),
        "bfloat16, padded": ("bfloat16", "padded", True, False),
        "bfloat16, packed": ("bfloat16", "packed", True, False),
        "bfloat16, padded, no dropout in attention": ("bfloat16", "padded", False, False),
        "bfloat16, packed, no dropout in attention (the kernel)": ("bfloat16", "packed", False, False),
    }
    model = world.model("full")
    for batch in bounds.batches:
        stepper = Stepper.of(world, model, world.tokens, batch=batch)

        def work(step: int, way: str, stepper: Stepper = stepper) -> None:
            precision, batching, dropout, rounded = ways[way]
            laid_out(model, batching, attention_dropout=dropout)
            torch.set_float32_matmul_precision("high" if rounded and world.device.type == "cuda" else "highest")
            stepper(step, "float32" if precision == "float32" else "bfloat16")

        sides: dict[str, Work] = {way: partial(work, way=way) for way in ways}
        told = f"a: all blocks learn, {batch} users"
        show(told, _turns(sides, world, bounds, bounds.units(batch)), users=batch, base="bfloat16, padded")
    with torch.no_grad(), torch.autocast(world.device.type, torch.bfloat16):
        reason = text_encoder(model.eval()).why_not_packed(world.device.type)
    print(f"  texts can be packed: {'yes' if reason is None else reason}", flush=True)


def kept(world: World, bounds: Bounds) -> None:
    """Part b."""
    for batch in bounds.batches:
        sides: dict[str, Work] = {}
        for tune, named in (("top:1", "the top block learns"), ("frozen", "no block learns")):
            model = world.model(tune)
            begun = time.perf_counter()
            store = with_vectors(model, with_states(model, world.tokens, Keeping()), None, training=True)
            wait(world.device)
            print(f"\nb: {named}: {time.perf_counter() - begun:.2f} s fill the store of {len(store):,} items", flush=True)
            sides[f"{named}, all blocks at every step"] = Stepper.of(world, model, world.tokens, batch=batch)
            sides[f"{named}, from the store"] = Stepper.of(world, model, store, batch=batch)
        show(
            f"b: {batch} users",
            _turns(sides, world, bounds, bounds.units(batch)),
            users=batch,
            base="the top block learns, from the store",
        )


def others(world: World, bounds: Bounds) -> None:
    """Part c."""
    batch, chance, model = bounds.batches[0], random.Random(0), world.model("full")
    tokens_VT, lengths_V = world.padded()
    counts_V = np.bincount(np.concatenate(world.lines), minlength=len(world.catalog))
    popularity_V = torch.from_numpy(counts_V / counts_V.sum()).float().to(world.device)
    published = PublishedStep(model, tokens_VT, lengths_V, world.lines)
    in_batch = InBatchStep(model, tokens_VT, lengths_V, world.lines, popularity_V)

    def users(step: int) -> list[int]:
        return [(step * batch + place) % len(world.lines) for place in range(batch)]

    def published_loss(step: int) -> torch.Tensor:
        return published.loss(users(step), [published.drawn(user, chance) for user in users(step)])

    multistep = ObjectiveSettings.from_mapping({"kind": "multistep", "multistep": {"windows": "last"}})
    sides: dict[str, Work] = {
        "multi-step, as published": Stepper(model, published_loss),
        "multi-step, ours": Stepper.of(world, model, world.tokens, batch=batch, objective=multistep),
        "softmax over the batch, as usual": Stepper(model, lambda step: in_batch.loss(users(step))),
        "softmax over the batch, ours": Stepper.of(world, model, world.tokens, batch=batch),
    }
    title = f"c: all blocks learn, {batch} users"
    show(title, _turns(sides, world, bounds, bounds.units(batch)), users=batch, base="softmax over the batch, ours")


def resting(world: World, bounds: Bounds) -> None:
    """Part d."""
    store, counts = with_vectors(world.model("frozen"), world.tokens, None), world.counts()
    for batch in dict.fromkeys((*bounds.batches, bounds.large)):
        found: dict[str, list[tuple[float, float]]] = {}
        begun = time.perf_counter()
        for _ in range(bounds.rounds):
            for known in (None, counts) if batch < bounds.large else (None,):
                name = f"{batch} users, counts {'on' if known else 'off'}"
                steps = max(8, bounds.steps * bounds.batches[0] // batch // (3 if known else 1))
                try:
                    found.setdefault(name, []).append(_trained(world, store, batch=batch, counts=known, steps=steps))
                except REFUSALS as error:
                    print(f"d: {name}: {str(error)[:150]}", flush=True)
            if time.perf_counter() - begun > bounds.seconds:
                break
        for name, rates in ((name, rates) for name, rates in found.items() if rates):
            rate, waiting = (statistics.median(own) for own in zip(*rates, strict=True))
            told = f"{rate / batch:8.1f} steps/s {rate:10,.0f} users/s, waits for input {waiting:4.0%}"
            print(f"d: {name:32} {told}", flush=True)
    for tune in ("frozen", "full"):
        sides: dict[str, Work] = {
            f"{tune}: {name}": _moving(Stepper(world.model(tune), lambda _: torch.zeros(()), fused=fused))
            for name, fused in (("as torch likes it", False), ("fused", True))
        }
        show(
            f"d: the optimiser alone, tuning {tune}",
            _turns(sides, world, bounds, bounds.units(1)),
            users=1,
            base=next(iter(sides)),
        )


def _trained(world: World, store: ContentStore, *, batch: int, counts: Counts | None, steps: int) -> tuple[float, float]:
    """Users a second of a training by the library's loop, and the share of time that it waits for batches."""
    model = world.model("frozen", prior=counts is not None)
    objective = build_objective(ObjectiveSettings.from_mapping({"softmax": {"positions_at_once": 1 << 15}}), model)
    settings = TrainingSettings(
        epochs=10**6,
        max_steps=steps,
        validate_every=10**5,
        log_every=max(2, steps // 4),
        estimate=False,
        tensorboard=False,
        device="cuda" if world.device.type == "cuda" else "cpu",
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(settings, Path(folder), console=Console(quiet=True))
        trainer.fit(model, objective, world.batches(objective, store, batch, counts), lambda _: {settings.metric: 0.0})
        rows = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["kind"] == "train"][1:]  # the first ones warm up
    names = ("windows_per_second", "waiting_for_input")
    rate, waiting = (statistics.median(row[name] for row in rows) for name in names)
    return rate, waiting


def _moving(stepper: Stepper) -> Work:
    """The optimiser's part of a step."""
    for group in stepper.optimiser.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    return lambda _: stepper.optimiser.step()


def blocks_compiled(world: World, bounds: Bounds) -> None:
    """Part e."""
    batch = bounds.batches[0]
    for batching, dropout in (("padded", True), ("packed", False)):
        told = batching if dropout else f"{batching}, no dropout in attention"
        plain = world.model("full")
        laid_out(plain, batching, attention_dropout=dropout)
        sides: dict[str, Work] = {"as it is": Stepper.of(world, plain, world.tokens, batch=batch)}
        begun = time.perf_counter()
        stepper = Stepper.of(world, compiled(copy.deepcopy(plain)), world.tokens, batch=batch)
        try:
            for step in range(3):
                stepper(step)
            wait(world.device)
            sides["compiled"] = stepper
        except Exception as error:  # compilers raise anything
            print(f"\ne: {told} is not compiled: {type(error).__name__}: {str(error)[:300]}", flush=True)
        seconds = time.perf_counter() - begun
        print(f"\ne: {seconds:.0f} s compile what is {told}, and warm it up", flush=True)
        title = f"e: all blocks learn, {batch} users, {told}"
        show(title, _turns(sides, world, bounds, bounds.units(batch)), users=batch, base="as it is")
        if seconds > LONG:
            return


def waits(world: World, bounds: Bounds) -> None:
    """Part f."""
    if world.device.type != "cuda":
        print("\nf: a processor does not wait for itself", flush=True)
        return
    batch = bounds.batches[0]
    for tune in ("full", "top:1", "frozen"):
        model = world.model(tune)
        store = with_vectors(model, with_states(model, world.tokens, Keeping()), None, training=True)
        stepper = Stepper.of(world, model, store, batch=batch)
        stepper(0)
        print(f"\nf: a step, tuning {tune}, makes the processor wait at", flush=True)
        with told_waits() as found:
            stepper(1)
        for place, times in found.items():
            print(f"  {times} x {place}", flush=True)


def _turns(sides: dict[str, Work], world: World, bounds: Bounds, units: int = 1) -> dict[str, Taken]:
    found = in_turns(sides, world.device, rounds=bounds.rounds, seconds=bounds.seconds, units=units)
    gc.collect()
    return found


PARTS: dict[str, Callable[[World, Bounds], None]] = {
    "a": whole,
    "b": kept,
    "c": others,
    "d": resting,
    "f": waits,
    "e": blocks_compiled,
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--batches", nargs="+", type=int, default=None, help="users in a step; 64 and 512 if left out")
    parser.add_argument("--large", type=int, default=None, help="users in a step of the largest training of part d")
    parser.add_argument("--rounds", type=int, default=7, help="of every table, at most")
    parser.add_argument("--seconds", type=float, default=3.0, help="of every table, after which no other round begins")
    parser.add_argument("--steps", type=int, default=240, help="of a training of the smallest batches in part d")
    parser.add_argument("--quick", action="store_true", help="everything tiny, to see that it runs")
    options = parser.parse_args()
    device, begun = torch.device(options.device), time.perf_counter()
    batches = tuple(options.batches or ((4, 8) if options.quick else (64, 512)))
    large = options.large or (16 if options.quick else 4096)
    steps = 8 if options.quick else options.steps
    bounds = Bounds(batches=batches, large=large, rounds=options.rounds, seconds=options.seconds, steps=steps)
    size = QUICK if options.quick else Size()
    if options.quick:
        torch.set_num_threads(1)
    print(machine(device), flush=True)
    world = World(size, device)
    part = world.tokens.parts["text"]
    tokens = part.sizes(np.arange(len(part))).mean()
    print(f"{size}; {tokens:.0f} tokens a text; made in {time.perf_counter() - begun:.0f} s", flush=True)
    for part in PARTS:
        if part not in options.parts:
            continue
        since = time.perf_counter()
        try:
            PARTS[part](world, bounds)
        except Exception as error:  # the other parts may still be told
            print(f"\n{part}: broken off: {type(error).__name__}: {str(error)[:300]}", flush=True)
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        print(f"  ({part} took {time.perf_counter() - since:.0f} s, {time.perf_counter() - begun:.0f} s in all)", flush=True)


if __name__ == "__main__":
    main()
