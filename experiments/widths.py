"""What a run is worth at smaller widths, over several seeds, on a real platform; docs/systems/matryoshka.md has the table.

Every row is a way to come to a narrow model: a plain run that is cut, one that was taught at all widths, nested ones that
are sliced, and a training at that width alone. Test targets, NDCG@10; differences are paired by user, on means over the
seeds, with the plain run at its full width.

::

    PYTHONPATH=. python experiments/widths.py --data-root DATA --minilm FOLDER --squeezenet FILE --out OUT

``OUT`` is the folder of ``experiments/real.py``, whose datasets are used, and made if they are not there. It can be
interrupted: what is done is not done again, and a training resumes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from experiments.real import PLATFORMS, ingested, parser_of, trained

from transrec import Dataset, TransRec
from transrec.data.splits import split_of
from transrec.evaluation.intervals import paired_difference
from transrec.evaluation.metrics import ndcg
from transrec.evaluation.ranks import ModelRanker, RankedTargets, rank_targets
from transrec.recipes.studies.widths import model_at
from transrec.runs import RunRecord

WIDTHS = (32, 64, 128, 256)
ALL = ",".join(map(str, WIDTHS))
TAUGHT = ("--objective.matryoshka.sizes", ALL)
NESTED = ("--model.items.nested", ALL)
ROWS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "taught": TAUGHT,
    "nested": (*TAUGHT, *NESTED, "--model.users.heads", "8"),
    "recurrent": (*TAUGHT, *NESTED, "--model.users.kind", "lru"),
    **{f"narrow-{width}": ("--model.items.width", str(width)) for width in WIDTHS[:-1]},
}
"""By name: what is changed of experiments/real.yaml."""


def main() -> None:
    """Do what has not been done yet, and print the table."""
    options = command_line().parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    print(f"| set | row | {' | '.join(map(str, WIDTHS))} |\n|---|---|{'---|' * len(WIDTHS)}")
    for name in options.only:
        ingested(name, options)
        dataset = Dataset.open(options.out / "data" / name)
        whole: tuple[np.ndarray, np.ndarray] | None = None
        for row in options.rows:
            runs = [_run(name, row, seed, options) for seed in seeds]
            widths = [int(row.removeprefix("narrow-"))] if row.startswith("narrow-") else list(WIDTHS)
            cells = {}
            for width in widths:
                ranked = [_ranked(run, dataset, width) for run in runs]
                values = np.mean([ndcg(one.ranks, 10) for one in ranked], axis=0)
                users = np.unique(ranked[0].users.to_numpy(), return_inverse=True)[1]
                if row == "plain" and width == WIDTHS[-1]:
                    whole = values, users
                cells[width] = _cell(values, users, whole)
            print(f"| {name} | {row} | {' | '.join(cells.get(width, '') for width in WIDTHS)} |", flush=True)


def command_line() -> argparse.ArgumentParser:
    """What the script can be asked."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="*", default=["office"], choices=list(PLATFORMS), help="the platforms")
    parser.add_argument("--rate", type=float, default=0.001, help="the learning rate of all rows")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    return parser


def _run(name: str, row: str, seed: int, options: argparse.Namespace) -> Path:
    learning = ("--training.learning-rate", str(options.rate), "--training.seed", str(seed), "--training.no-tensorboard")
    return trained(f"widths/{name}/{row}-{seed}", (name,), options, settings=(*ROWS[row], *learning))


def _ranked(run: Path, dataset: Dataset, width: int) -> RankedTargets:
    path = run / f"width-{width}.parquet"
    if not path.exists():
        model, record = TransRec.load(run), RunRecord.read(run)
        split = split_of(dataset.interactions, record.split)
        own = model if width == model.items.width else model_at(model, width)[1]
        ranker = ModelRanker.of(own, dataset, split, place=record.place_of(dataset))
        rank_targets(ranker, split, split.test).save(path)
    return RankedTargets.open(path)


def _cell(values: np.ndarray, users: np.ndarray, whole: tuple[np.ndarray, np.ndarray] | None) -> str:
    told = f"{values.mean():.4f}"
    if whole is None or values is whole[0]:
        return told
    gain = paired_difference(values, whole[0], users, np.random.default_rng(0)).gain
    return f"{told} ({gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}])"


if __name__ == "__main__":
    main()
