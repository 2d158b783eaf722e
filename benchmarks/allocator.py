"""Seconds of a processor in training steps on a CPU, with freed memory kept, as ``transrec`` does, and without.

    python -m benchmarks.allocator

Both sides take the same steps, each in processes of its own that take turns, so that a busy machine slows both alike; the
medians are compared. Titles: a whole training step of a text model. Pictures: a ResNet-18 alone, forward and backward, whose
arrays are larger. System seconds are those that the kernel spends on the process: here nearly all of them go into giving
out memory, filled with zeros. Seconds on the clock count whatever else the machine is doing.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from transrec.cli.allocator import keep_freed_memory

SIDES = ("as it is", "kept")
KINDS = ("system", "user", "clock")


def titles() -> Callable[[int], None]:
    """A training step of 64 users, BERT 4 x 256, top 2 learn."""
    import torch
    from benchmarks.step import Platform

    from transrec.data.batches import SequenceBatches
    from transrec.objectives import ObjectiveSettings, build_objective

    platform = Platform(users=256, items=4_000, layers=4, width=256)
    objective = build_objective(ObjectiveSettings(), platform.model)
    batches = SequenceBatches(platform.split, platform.store, objective.plan, batch_size=64, seed=0)
    optimiser = torch.optim.AdamW([p for p in platform.model.parameters() if p.requires_grad], lr=1e-6)

    def step(turn: int) -> None:
        made = batches.batch(turn)
        objective(platform.model, platform.model(made), made).total.backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def pictures() -> Callable[[int], None]:
    """Forward and backward of 200 pictures of 64 x 64, ResNet-18, its two top stages learn."""
    import torch
    import transformers

    from transrec.items.backbones import quiet_transformers

    shape = {"embedding_size": 64, "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "layer_type": "basic"}
    with quiet_transformers():
        network = transformers.ResNetModel(transformers.ResNetConfig(**shape)).eval()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("stages.2" in name or "stages.3" in name)
    pixels = torch.rand(200, 3, 64, 64)

    def step(turn: int) -> None:
        network(pixels).pooler_output.sum().backward()
        network.zero_grad()

    return step


CONTENTS = {"titles": titles, "pictures": pictures}


def measured(content: str, *, kept: bool, steps: int) -> Mapping[str, float]:
    """Seconds of so many steps, and the most memory that the process held."""
    if kept and not keep_freed_memory():
        raise SystemExit("there is nothing to measure: this is not glibc, or the environment has chosen an allocator")
    step = CONTENTS[content]()
    step(0)  # warms up
    begun, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for turn in range(1, steps + 1):
        step(turn)
    ended = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "system": ended.ru_stime - begun.ru_stime,
        "user": ended.ru_utime - begun.ru_utime,
        "clock": time.perf_counter() - start,
        "peak": ended.ru_maxrss / 1024,
    }


def main() -> None:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5, help="in each process")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs=2, metavar=("CONTENT", "SIDE"), help="for the processes that this starts")
    options = parser.parse_args()
    if options.only:
        content, side = options.only
        print(json.dumps(measured(content, kept=side == SIDES[1], steps=options.steps)))
        return
    own = [sys.executable, "-m", "benchmarks.allocator", "--steps", str(options.steps), "--only"]
    for content, make in CONTENTS.items():
        found: dict[str, list[Mapping[str, float]]] = {side: [] for side in SIDES}
        for _ in range(options.rounds):
            for side in SIDES:
                done = subprocess.run([*own, content, side], capture_output=True, text=True, check=True)
                found[side].append(json.loads(done.stdout.splitlines()[-1]))
        medians = {
            side: {kind: statistics.median(one[kind] for one in each) for kind in each[0]} for side, each in found.items()
        }
        print(f"{content}: {make.__doc__} Seconds of {options.steps} steps, medians of {options.rounds}:")
        for side, each in medians.items():
            told = "   ".join(f"{kind} {each[kind]:6.2f}" for kind in KINDS)
            print(f"  {side:10} {told}   at most {each['peak']:,.0f} MiB resident")
        plain, kept = (medians[side] for side in SIDES)
        print("  ratio      " + "   ".join(f"{kind} {plain[kind] / max(kept[kind], 1e-3):6.2f}" for kind in KINDS))


if __name__ == "__main__":
    main()
