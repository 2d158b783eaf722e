"""The same quality: seconds of training to a validation HR@10, with the tricks of the library and without.

    python -m benchmarks.quality --out FOLDER                                          # a world, an untrained BERT
    python -m benchmarks.quality --data DATASET --backbone BACKBONE --rate 1e-3 --encoder-rate 5e-5 --start similar

Two trainings from the same weights, on the same batches, with the same objective, optimiser and schedule. With the tricks:
every content once, in buckets of about one length, frozen layers from the store, the next batch made meanwhile. Without:
every occurrence, padded to the longest text allowed, through all layers, and batches made between the steps; both read token
ids that were made beforehand. Nothing is dropped, so both follow the same curve over the steps, but for rounding.

They take turns, a stretch of steps each, so that a busy machine slows both alike. Seconds are those of training alone:
validation is not in them, and filling the store of frozen layers is, from the start.

The program starts itself anew with an allocator that keeps freed memory, which is worth about as much to both sides.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from benchmarks.rungs import keep_freed_memory
from benchmarks.sides import METRIC, Ground, Options, Side
from matplotlib.figure import Figure

from transrec.recipes.comparing.figure import FROM_SCRATCH, MOVED, plain


@dataclass(frozen=True, slots=True)
class Point:
    """Where both trainings are after the same steps.

    Attributes:
        epoch: so many times every window was seen.
        on: HR@10 with the tricks.
        off: HR@10 without.
        seconds_on: of training so far, filling the store included.
        seconds_off: of training so far.
    """

    epoch: float
    on: float
    off: float
    seconds_on: float
    seconds_off: float


@dataclass(frozen=True, slots=True)
class Result:
    """How the two trainings went.

    Attributes:
        points: before the first step, and after every stretch.
        losses: of the first batch before any step, with the tricks and without.
        filling: seconds that filling the store took.
        steps: of each training.
    """

    points: Sequence[Point]
    losses: tuple[float, float]
    filling: float
    steps: int

    @property
    def reached(self) -> float:
        """The best HR@10 that both trainings reach after their start."""
        return min(max(point.on for point in self.points[1:]), max(point.off for point in self.points[1:]))

    @property
    def seconds(self) -> tuple[float, float]:
        """Until the best common HR@10 is first reached, with the tricks and without."""
        on = next(point.seconds_on for point in self.points[1:] if point.on >= self.reached)
        off = next(point.seconds_off for point in self.points[1:] if point.off >= self.reached)
        return on, off

    @property
    def ratio(self) -> float:
        """Seconds without the tricks over those with them, to the best common HR@10."""
        on, off = self.seconds
        return off / on

    @property
    def ratio_of_all_steps(self) -> float:
        """The same over all steps, whatever HR@10 was when."""
        return self.points[-1].seconds_off / self.points[-1].seconds_on

    @property
    def difference(self) -> float:
        """The largest difference of HR@10 after the same steps."""
        return max(abs(point.on - point.off) for point in self.points)

    def report(self) -> dict[str, object]:
        """All of it, for a file."""
        names = ("reached", "seconds", "ratio", "ratio_of_all_steps", "difference")
        return {**asdict(self), **{name: getattr(self, name) for name in names}}


def run(options: Options, tell: Callable[[Point], object] | None = None) -> Result:
    """Train both sides in turns.

    Args:
        options: see there.
        tell: told every point as soon as it is known.
    """
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground.make(options, Path(folder))
        on, off = Side(ground, options, tricks=True), Side(ground, options, tricks=False)
        losses = (on.rehearse(), off.rehearse())
        points: list[Point] = []

        def measure(steps_done: int) -> None:
            epoch = steps_done / on.batches.steps_per_epoch
            points.append(Point(epoch, on.validate(), off.validate(), on.seconds, off.seconds))
            if tell:
                tell(points[-1])

        measure(0)
        every = options.every or on.batches.steps_per_epoch
        for turn, start in enumerate(range(0, on.total, every)):
            steps = range(start, min(start + every, on.total))
            for side in (on, off) if turn % 2 == 0 else (off, on):
                side.train(steps)
            measure(steps.stop)
    return Result(points, losses, ground.filling, on.total)


def save_figure(result: Result, path: Path, *, title: str) -> None:
    """Draw HR@10 over seconds, a curve a side."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    seconds = {"on": [p.seconds_on for p in result.points], "off": [p.seconds_off for p in result.points]}
    for side, label, colour in (("on", "as it is", MOVED), ("off", "without the tricks", FROM_SCRATCH)):
        values = [getattr(point, side) for point in result.points]
        axes.plot(seconds[side], values, marker="o", color=colour, markersize=4, linewidth=1.9, label=label)
    arrow = {"arrowstyle": "<->", "color": "#555555", "linewidth": 0.9}
    (first, last), height = result.seconds, result.reached
    axes.annotate("", (first, height), (last, height), arrowprops=arrow)
    middle = ((first + last) / 2, height)
    axes.annotate(f"{result.ratio:.1f} x", middle, xytext=(0, 4), textcoords="offset points", ha="center", fontsize=9.5)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds of training, filling the store included", fontsize=9.5)
    axes.set_ylabel(f"{METRIC} on validation targets", fontsize=9.5)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    axes.set_title(title, loc="left", fontsize=9, color="#555555")
    figure.suptitle("Time to the same quality", x=0.01, ha="left", fontsize=12)
    plain(axes, grid="y")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def title_of(options: Options) -> str:
    """What was trained, in a line."""
    data = options.data.name if options.data else f"a world of {options.users:,} users and {options.items:,} items"
    network = options.backbone.name if options.backbone else f"BERT {options.layers} x {options.width}, untrained"
    return f"{data}; {network}, top {options.top} learn; {options.batch} users a step"


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add, default = parser.add_argument, Options()
    add("--data", type=Path, help="a dataset folder, of which the texts are read; a world without it")
    add("--backbone", type=Path, help="a folder of a text network of transformers; an untrained BERT without it")
    add("--users", type=int, default=default.users, help="of the world")
    add("--items", type=int, default=default.items, help="of the world")
    add("--layers", type=int, default=default.layers, help="of the untrained network")
    add("--width", type=int, default=default.width, help="of the untrained network; a multiple of 4")
    add("--top", type=int, default=default.top, help="layers that learn")
    add("--max-length", type=int, default=default.max_length, help="of a text, in tokens")
    add("--batch", type=int, default=default.batch, help="users in a step")
    add("--epochs", type=float, default=default.epochs)
    add("--every", type=int, help="steps between validations; an epoch without it")
    add("--rate", type=float, default=default.rate, help="peak learning rate of what is above the network")
    add("--encoder-rate", type=float, default=default.encoder_rate, help="peak learning rate of the network")
    add(
        "--start",
        choices=("similar", "fresh"),
        default=default.start,
        help="of the user encoder; in a world fresh is faster",
    )
    add("--validation-users", type=int, default=default.validation_users, help="that validation ranks")
    add("--seed", type=int, default=default.seed)
    add("--threads", type=int, default=torch.get_num_threads())
    add("--out", type=Path, help="folder for quality.json and quality.png; nothing is written without it")
    return parser


def tell(point: Point) -> None:
    """A row of the table, with its head before the first."""
    if not point.epoch:
        print(f"  {'epoch':>6} {METRIC + ' on':>10} {METRIC + ' off':>10} {'seconds on':>10} {'off':>10}")
    print(
        f"  {point.epoch:6.2f} {point.on:10.4f} {point.off:10.4f} {point.seconds_on:10.1f} {point.seconds_off:10.1f}",
        flush=True,
    )


def main() -> None:
    """Print the table and the ratio; write them and the picture."""
    given = vars(arguments().parse_args())
    keep_freed_memory("benchmarks.quality")
    threads, out = given.pop("threads"), given.pop("out")
    torch.set_num_threads(threads)
    options = Options(**given)
    print(f"{title_of(options)}; {threads} threads")
    result = run(options, tell)
    on, off = result.seconds
    print(f"  filling the store: {result.filling:.1f} s")
    print(f"  loss of the first batch: {result.losses[0]:.7f} and {result.losses[1]:.7f}")
    print(f"  largest difference of {METRIC} after the same steps: {result.difference:.4f}")
    print(f"  {METRIC} {result.reached:.4f} after {on:.1f} s and {off:.1f} s: ratio {result.ratio:.2f}")
    print(f"  all {result.steps:,} steps: ratio {result.ratio_of_all_steps:.2f}")
    if out:
        save_figure(result, out / "quality.png", title=title_of(options))
        settings = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()}
        report = {"settings": {**settings, "threads": threads}, **result.report()}
        (out / "quality.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
