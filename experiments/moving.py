"""What of a run is worth moving to a platform with few users, part by part and way by way; docs/results.md has the tables.

A model is trained on a share of the target's users, from scratch or from a run, of which one part after the other is left
behind, or which learns in another way. It is measured on the validation targets of all users, most of whom it has never
seen; the test targets stay sealed. Means over seeds; differences from training from scratch are paired by user.

::

    PYTHONPATH=. python experiments/moving.py --out OUT --pairs office:films+fashion+books fashion:films

``OUT`` is the folder of ``experiments/real.py``, which made the datasets and the runs. It can be interrupted: what is done
is not done again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from transrec import Dataset, TrainSettings, TransferSettings, train, transfer
from transrec.data.splits import SplitSettings, split_of
from transrec.evaluation.intervals import paired_difference
from transrec.evaluation.metrics import ndcg
from transrec.evaluation.ranks import ModelRanker, RankedTargets, rank_targets
from transrec.model import TransRec
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
    """

    rules: tuple[str, ...] | None = ()
    training: Mapping[str, object] = field(default_factory=dict)
    tune: str | None = None


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
    "the user tower, at a quarter of the learning rate": Move((ALIGNED, "prior.*=fresh"), {"learning_rate": 0.0005}),
    "the user tower, only its norms learn": Move((ALIGNED, "prior.*=fresh"), tune="projections"),
    "the user tower, only adapters learn": Move((ALIGNED, "prior.*=fresh"), tune="adapter"),
}
"""By name; the last six are ways of moving the user tower and the projections."""


def main() -> None:
    """Make what is not there yet, and print the table."""
    options = _options()
    rows = ["| target | from | what moves | NDCG@10 | against scratch | seeds |", "|---|---|---|---|---|---|"]
    for pair in options.pairs:
        target, source = pair.split(":")
        dataset = Dataset.open(options.out / "data" / target)
        scratch = np.zeros(0)
        for name in [SCRATCH, *(move for move in options.moves or MOVES if move != SCRATCH)]:
            ranked = [_ranked(name, seed, dataset, source, options) for seed in options.seeds]
            values = np.mean([ndcg(one.ranks, 10) for one in ranked], axis=0)
            _, users = np.unique(ranked[0].users.to_numpy(), return_inverse=True)
            told = ""
            if name == SCRATCH:
                scratch = values
            else:
                gain = paired_difference(values, scratch, users, np.random.default_rng(0)).gain
                told = f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
            rows.append(f"| {target} | {source} | {name} | {values.mean():.4f} | {told} | {len(options.seeds)} |")
    print("\n".join(rows))


def _ranked(name: str, seed: int, dataset: Dataset, source: str, options: argparse.Namespace) -> RankedTargets:
    folder = options.out / "moving" / f"{dataset.name}-{source}-{options.share}"
    path = folder / f"{name.replace(' ', '-').replace(',', '')}-{seed}.parquet"
    if not path.exists():
        print(f"{dataset.name} from {source}: {name}, seed {seed}", flush=True)
        model, split = _trained(MOVES[name], seed, dataset, options.out / "runs" / source, options.share)
        few, whole = split_of(dataset.interactions, split), split_of(dataset.interactions, SplitSettings())
        path.parent.mkdir(parents=True, exist_ok=True)
        rank_targets(ModelRanker.of(model, dataset, few), few, whole.validation).save(path)
    return RankedTargets.open(path)


def _trained(move: Move, seed: int, dataset: Dataset, run: Path, share: float) -> tuple[TransRec, SplitSettings]:
    """A model of the run's form and settings, trained on a share of the users."""
    record = RunRecord.read(run)
    document = {
        "objective": record.objective,
        "training": {**record.training, "seed": seed, "tensorboard": False, **move.training},
        "split": {**record.split.model_dump(mode="json"), "users": share},
        "tune": move.tune or record.tune,
    }
    quiet = Console(quiet=True)
    if move.rules is not None:
        settings = TransferSettings.from_mapping({**document, "rules": list(move.rules)})
        return transfer(run, dataset, settings, console=quiet)[0], settings.split
    source = TransRec.load(run)
    form = source.settings.model_dump(mode="json")
    form["items"] |= {"platforms": 1, "modalities": [m for m in dataset.catalog.modalities if m in source.items.encoders]}
    fresh = TrainSettings.from_mapping({**document, "model": form})
    return train([dataset], fresh, console=quiet)[0], fresh.split


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder of experiments/real.py")
    parser.add_argument("--pairs", nargs="+", default=["office:films+fashion+books", "fashion:films"], metavar="TARGET:RUN")
    parser.add_argument("--moves", nargs="*", default=[], choices=list(MOVES), help="all by default")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--share", type=float, default=0.1, help="of the target's users, who train")
    return parser.parse_args()


if __name__ == "__main__":
    main()
