"""What the weighing of popularity does to rare and new items, on a real platform; docs/results.md has the table.

A model is trained from scratch by ``experiments/real.yaml``. Then the two weights of its prior are set by hand, as
``recipes/weighing.py`` sets them after every training: what popularity was worth when the model validated best is multiplied
by a factor, and something is added to the score of items that nobody has touched. Validation targets, NDCG@10, as a mean
over the seeds; the test targets stay sealed.

::

    PYTHONPATH=. python experiments/weighing.py --out OUT --minilm FOLDER --squeezenet FILE --sets office --seeds 0

``OUT/data`` holds the datasets that ``experiments/real.py`` ingests. It can be interrupted: what is done is not done again,
and a training resumes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from experiments.ablations import parser_of, recipe
from experiments.keeping import name_of
from rich.console import Console

from transrec import Dataset, TransRec, train
from transrec.data.splits import Split, split_of
from transrec.evaluation.metrics import ndcg
from transrec.evaluation.ranks import ModelRanker, RankedTargets, rank_targets
from transrec.evaluation.slices import by_popularity
from transrec.recipes.weighing import set_worth
from transrec.runs import CARD, RunRecord
from transrec.weights import WEIGHTS, load_weights

PAIRS = ((1.0, 0.0), (1.0, 1.0), (0.6, 0.0), (0.6, 1.0), (0.2, 0.5), (0.0, 0.0), (0.0, 1.0))
"""One row each: what popularity is multiplied by, and what is added to what is new."""
COLD, TAIL = "0 (cold)", "0-4 (tail)"
"""Slices of the targets beside all of them."""


def main() -> None:
    """Do what has not been done yet, and print the table."""
    options = command_line().parse_args()
    rows = ["| set | popularity times | added to what is new | all | cold | tail | seeds |", "|---|---|---|---|---|---|---|"]
    for name in options.sets:
        dataset = Dataset.open(options.out / "data" / name)
        runs = [_trained(dataset, seed, options) for seed in options.seeds]
        for factor, added in PAIRS:
            found = [_measured(run, dataset, factor, added) for run in runs]
            cells = " | ".join(f"{value:.4f}" for value in np.mean(found, axis=0))
            rows.append(f"| {name} | {factor:g} | {added:g} | {cells} | {len(runs)} |")
    print("\n".join(rows))


def command_line() -> argparse.ArgumentParser:
    """What the script can be asked."""
    return parser_of(__doc__, sets=("office",), seeds=(0,))


def _trained(dataset: Dataset, seed: int, options: argparse.Namespace) -> Path:
    """The run of this seed, trained now if it is not."""
    settings = recipe(dataset, seed, options)
    run = options.out / "weighing" / name_of(f"{dataset.name}-{seed}", settings, dataset.fingerprint)
    if not (run / CARD).exists():
        print(f"{dataset.name}, seed {seed}", flush=True)
        train([dataset], settings, run, resume=run.exists(), console=Console(quiet=True))
    return run


def _measured(run: Path, dataset: Dataset, factor: float, added: float) -> tuple[float, float, float]:
    """NDCG@10 of all validation targets, of cold ones and of the tail; not a number where there are none."""
    split = split_of(dataset.interactions, RunRecord.read(run).split)
    ranked = _ranked(run, dataset, split, factor, added)
    values_E = ndcg(ranked.ranks, 10)
    slices = {own.label: own.mask_E for own in by_popularity(ranked.rows, split.train_counts(len(dataset.catalog)))}
    cold, tail = (values_E[slices[label]].mean() if label in slices else np.nan for label in (COLD, TAIL))
    return values_E.mean(), cold, tail


def _ranked(run: Path, dataset: Dataset, split: Split, factor: float, added: float) -> RankedTargets:
    path = run / f"popularity-{factor:g}-new-{added:g}.parquet"
    if not path.exists():
        model = learned(run)
        assert model.prior is not None, "experiments/real.yaml trains with counts"
        set_worth(model.prior, model.prior.popularity * factor, model.prior.unseen + added)
        rank_targets(ModelRanker.of(model, dataset, split), split, split.validation).save(path)
    return RankedTargets.open(path)


def learned(run: Path) -> TransRec:
    """The model of a run as it validated best, before its popularity was weighed."""
    model = TransRec.load(run)
    load_weights(model, run / "checkpoints" / "best" / WEIGHTS)
    return model.eval()


if __name__ == "__main__":
    main()
