"""What going on from a run is worth beside training again, on a platform cut in two by time; docs/howto/continue.md has it.

The earlier run learns from the first 70 % of the events, and the items among them. Then a training goes on with all events,
or begins from scratch. All are measured on the test targets of the whole platform; differences are paired by user.

::

    PYTHONPATH=. python experiments/going_on.py --data DATASET --minilm FOLDER --out OUT

It can be interrupted: what is done is not done again, and a training resumes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import polars as pl
from experiments.keeping import name_of
from rich.console import Console

from transrec import Catalog, Dataset, Interactions, TrainSettings, train
from transrec.evaluation.protocol import Evaluation, compare
from transrec.recipes.continuing import ContinueSettings, carry_on
from transrec.recipes.evaluate import evaluate
from transrec.runs import CARD

QUIET = Console(quiet=True)
BEFORE = 0.7
METRIC = "NDCG@10"


def main() -> None:
    """Make what is not there yet, and print what came out."""
    options = command_line().parse_args()
    whole, settings = Dataset.open(options.data), of_texts(options.minilm)
    out = options.out / name_of("going on", settings, whole.fingerprint, BEFORE)
    if not (out / "now").exists():
        cut(whole, out)
    now, run = out / "now", out / "run"
    short = settings.updated({"training": {"epochs": 1}})
    if not (run / CARD).exists():
        train([out / "before"], settings, run, resume=run.exists(), console=QUIET)
    found = {"the earlier run": measured(run, now)}
    for name, own in (("4 epochs", settings), ("1 epoch", short)):
        if not ((place := out / f"scratch, {name}") / CARD).exists():
            train([now], own, place, resume=place.exists(), console=QUIET)
        found[place.name] = measured(place, now)
        for replay in (0.0, 0.5):
            if not ((place := out / f"gone on, {name}, replay {replay:g}") / CARD).exists():
                going = ContinueSettings(replay=replay)
                carry_on(run, now, own, place, continuing=going, resume=place.exists(), console=QUIET)
            found[place.name] = measured(place, now)
            print(place.name, json.loads((place / "continued.json").read_text())["check"])
    for name, own in found.items():
        against = compare(own, found["scratch, 4 epochs"], metric=METRIC).gain
        print(f"{name}: {own.overall.metrics[METRIC]}; against scratch, 4 epochs {against}")


def command_line() -> argparse.ArgumentParser:
    """What the script can be asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minilm", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser


def cut(whole: Dataset, out: Path) -> None:
    """Write the platform as it is now, and as it was: users with three events by then."""
    Dataset(whole.catalog, whole.interactions, "now").save(out / "now")
    events = whole.interactions.to_frame().filter(pl.col("time") < float(np.quantile(whole.interactions.times, BEFORE)))
    events = events.filter(pl.len().over("user") >= 3)
    rows = np.unique(events["row"].to_numpy())
    events = events.with_columns(row=pl.Series(np.searchsorted(rows, events["row"].to_numpy())))
    before = Catalog.from_items(whole.catalog.items(rows))
    Dataset(before, Interactions.from_columns(events), "before").save(out / "before")


def of_texts(minilm: Path) -> TrainSettings:
    """Texts by a frozen MiniLM, as in experiments/real.yaml."""
    return TrainSettings.from_mapping(
        {
            "model": {
                "items": {"modalities": ["text"], "text": {"backbone": str(minilm), "max_length": 64}},
                "users": {"window": 50, "layers": 2, "heads": 4, "feedforward": 256, "dropout": 0.2},
            },
            "objective": {"softmax": {"shared_negatives": 2048}},
            "training": {"epochs": 4, "batch_size": 64, "patience": 2, "tensorboard": False, "estimate": False},
            "tune": "frozen",
        }
    )


def measured(run: Path, now: Path) -> Evaluation:
    """On the test targets of the whole platform."""
    return evaluate(run, now, baselines=(), console=QUIET)[0]


if __name__ == "__main__":
    main()
