"""What of a run is worth moving to a platform with few users, part by part and way by way; docs/results.md has the tables.

A model is trained on a share of the target's users, from scratch or from a run, of which one part after the other is left
behind, or which learns in another way. It is measured on the validation targets of all users, most of whom it has never
seen; ``--part test`` opens the test targets, for what is chosen. Means over seeds; differences from training from scratch
are paired by user.

::

    PYTHONPATH=. python experiments/moving.py --out OUT --pairs office:films+fashion+books fashion:films

``OUT`` is the folder of ``experiments/real.py``, which made the datasets and the runs; a run is named as there, or with its
digest where there are several of that name. It can be interrupted: what is done is not done again. The tables are in
``OUT/moving``, too, as numbers.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from experiments.keeping import name_of, ranked, run_called, weights_of, write_table
from experiments.measuring import HEADINGS, Measured, heading, shown
from rich.console import Console

from transrec import Dataset, TrainSettings, TransferSettings, train, transfer
from transrec.data.splits import split_of
from transrec.evaluation.ranks import ModelRanker, RankedTargets, rank_targets
from transrec.model import ModelSettings, TransRec
from transrec.runs import RunRecord

SCRATCH = "nothing: from scratch"
ALIGNED, FRESH = "items.projections.*=aligned", "items.projections.*=fresh"


@dataclass(frozen=True)
class Move:
    """One row.

    Attributes:
        rules: where parameters come from; None: from nowhere, the model is trained from scratch.
        training: what of the run's training changes.
        tune: which parameters learn; None: those that did in the run.
        rate: what the run's learning rate is multiplied by.
    """

    rules: tuple[str, ...] | None = ()
    training: Mapping[str, object] = field(default_factory=dict)
    tune: str | None = None
    rate: float = 1.0


MOVES: dict[str, Move] = {
    SCRATCH: Move(None),
    "everything, as copied": Move(("items.projections.*=copy", "prior.*=copy")),
    "everything, projections aligned": Move((ALIGNED, "prior.*=copy")),
    "the same without what popularity is worth": Move((ALIGNED,)),
    "the same with fresh projections": Move((FRESH,)),
    "aligned projections and the user tower": Move((ALIGNED, "prior.*=fresh")),
    "aligned projections and the prior": Move((ALIGNED, "users.*=fresh")),
    "half of the user tower": Move((ALIGNED, "prior.*=fresh", "users.*=fraction(0.5, convex)")),
    "a quarter of the user tower": Move((ALIGNED, "prior.*=fresh", "users.*=fraction(0.25, convex)")),
    "the user tower, anchored": Move((ALIGNED, "prior.*=fresh"), {"anchor": 100.0}),
    "the user tower, at a quarter of the learning rate": Move((ALIGNED, "prior.*=fresh"), rate=0.25),
    "the user tower, only its norms learn": Move((ALIGNED, "prior.*=fresh"), tune="projections"),
    "the user tower, only adapters learn": Move((ALIGNED, "prior.*=fresh"), tune="adapter"),
}
"""By name; the last six are ways of moving the user tower and the projections."""


def main() -> None:
    """Make what is not there yet, and print the table."""
    options = command_line().parse_args()
    lines, rows = heading("target", "from", "what moves", *HEADINGS, "against scratch", "seeds"), []
    for pair in options.pairs:
        target, source = pair.split(":")
        dataset, run = Dataset.open(options.out / "data" / target), run_called(source, options.out / "runs")
        scratch = None
        for name in [SCRATCH, *(move for move in options.moves or MOVES if move != SCRATCH)]:
            own = _over_seeds(name, dataset, run, options)
            scratch = scratch or own
            told = [target, source, name, *own.cells, shown(own.against(scratch)), str(own.seeds)]
            lines.append(f"| {' | '.join(told)} |")
            rows.append({"target": target, "run": run.name, "moves": name, **asdict(MOVES[name]), **own.to_json(scratch)})
    weights = {row["run"]: weights_of(options.out / "runs" / str(row["run"])) for row in rows}
    asked = {name: getattr(options, name) for name in ("pairs", "moves", "seeds", "share", "part")}
    path = write_table(options.out / "moving", rows, weights=weights, **asked)
    print("\n".join([*lines, "", f"as numbers: {path}"]))


def _over_seeds(name: str, dataset: Dataset, run: Path, options: argparse.Namespace) -> Measured:
    whole = split_of(dataset.interactions, RunRecord.read(run).split)
    found = [moved(name, MOVES[name], seed, dataset, run, options) for seed in options.seeds]
    return Measured.of(found, whole.train_counts(len(dataset.catalog)))


def moved(name: str, move: Move, seed: int, dataset: Dataset, run: Path, options: argparse.Namespace) -> RankedTargets:
    """The ranks of the targets of ``options.part``, after a training on ``options.share`` of the users."""
    settings = settings_of(move, seed, dataset, run, options.share)
    start = None if isinstance(settings, TrainSettings) else weights_of(run)
    deciding = {"settings": settings, "start": start, "data": dataset.fingerprint, "part": options.part}
    folder = options.out / "moving" / f"{dataset.name}-{run.name}-{options.share:g}"

    def make() -> RankedTargets:
        print(f"{dataset.name} from {run.name}: {name}, seed {seed}", flush=True)
        model = _trained(settings, dataset, run)
        few, whole = (split_of(dataset.interactions, split) for split in (settings.split, RunRecord.read(run).split))
        return rank_targets(ModelRanker.of(model, dataset, few), few, getattr(whole, options.part))

    return ranked(folder / f"{name_of(f'{name} {seed} {options.part}', deciding)}.parquet", deciding, make)


def settings_of(move: Move, seed: int, dataset: Dataset, run: Path, share: float) -> TrainSettings | TransferSettings:
    """The run's own settings, for a share of the users, and for a model of the run's form where it is from scratch."""
    record = RunRecord.read(run)
    own = {"seed": seed, "tensorboard": False, "learning_rate": record.training["learning_rate"] * move.rate}
    document = {
        "objective": record.objective,
        "training": {**record.training, **own, **move.training},
        "split": {**record.split.model_dump(mode="json"), "users": share},
        "tune": move.tune or record.tune,
    }
    if move.rules is not None:
        return TransferSettings.from_mapping({**document, "rules": list(move.rules)})
    form = _form(run)
    names = [name for name in dataset.catalog.modalities if name in form.items.modalities]
    model = form.model_dump(mode="json")
    model["items"] |= {"platforms": 1, "modalities": names}
    return TrainSettings.from_mapping({**document, "model": model})


@functools.cache
def _form(run: Path) -> ModelSettings:
    return TransRec.load(run).settings


def _trained(settings: TrainSettings | TransferSettings, dataset: Dataset, run: Path) -> TransRec:
    quiet = Console(quiet=True)
    if isinstance(settings, TransferSettings):
        return transfer(run, dataset, settings, console=quiet)[0]
    return train([dataset], settings, console=quiet)[0]


def command_line() -> argparse.ArgumentParser:
    """What the script can be asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder of experiments/real.py")
    parser.add_argument("--pairs", nargs="+", default=["office:films+fashion+books", "fashion:films"], metavar="TARGET:RUN")
    parser.add_argument("--moves", nargs="*", default=[], choices=list(MOVES), help="all by default")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--share", type=float, default=0.1, help="of the target's users, who train")
    parser.add_argument("--part", choices=("validation", "test"), default="validation", help="the targets")
    return parser


if __name__ == "__main__":
    main()
