"""What each choice of the default recipe is worth, on real platforms, over several seeds; docs/results.md has the table.

Every row changes one thing of ``experiments/real.yaml``, in float32 on every device. Models are measured on the validation
targets, because the choices are made by them; ``--part test`` opens the test targets, for rows that are chosen. Differences
are paired by user, on means over the seeds.

::

    PYTHONPATH=. python experiments/ablations.py --out OUT --minilm FOLDER --squeezenet FILE --sets office films

``OUT/data`` holds the datasets that ``experiments/real.py`` ingests. It can be interrupted: what is done is not done again.
The table is in ``OUT/ablations``, too, as numbers.
"""

from __future__ import annotations

import argparse
import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from experiments.keeping import name_of, ranked, write_table
from experiments.measuring import HEADINGS, Measured, heading, shown
from rich.console import Console

from transrec import Dataset, TrainSettings, train
from transrec.data.splits import split_of
from transrec.evaluation.ranks import ModelRanker, RankedTargets, rank_targets
from transrec.settings import read_yaml

HERE = Path(__file__).parent
DEFAULT, IDS = "the recipe", "with ids besides"

FIRST = {"objective": {"softmax": {"shared_negatives": 2048}}, "tune": "frozen", "training": {"keep": "best"}}
SECOND: dict[str, object] = {
    "stages": [FIRST],
    "objective.softmax.shared_negatives": 256,
    "training.epochs": 2,
    "training.learning_rate": 0.0003,
}
"""Two trainings: one as in the recipe, then a shorter one with fewer candidates, in which encoders can learn, too."""

HINGE: dict[str, object] = {"model.scorer": "distance", "model.prior": "none", "objective.kind": "hinge"}
"""Metric learning, which counts have no place in; to be read beside "without counts"."""

WIDTHS = [32, 64, 128, 256]


def published() -> dict[str, object]:
    """Everything of configs/paper.yaml but its encoders, which are those of the recipe here, and frozen."""
    paper = read_yaml(HERE.parent / "configs" / "paper.yaml")
    items = {f"model.items.{name}": paper["model"]["items"][name] for name in ("start", "standardise")}
    model = {f"model.{name}": paper["model"][name] for name in ("users", "scorer", "prior")}
    training = {f"training.{name}": value for name, value in paper["training"].items()}
    return {**items, **model, **training, "stages": paper["stages"], "objective": paper["objective"]}


def defaults() -> dict[str, object]:
    """Everything that experiments/real.yaml says of other things than encoders, as the library has it by itself."""
    encoders = ("model.items.text.", "model.items.custom.", "tune")
    plain = TrainSettings().model_dump(mode="json")
    said = [name for name in _leaves(read_yaml(HERE / "real.yaml")) if not name.startswith(encoders)]
    return {name: functools.reduce(operator.getitem, name.split("."), plain) for name in said}


def _leaves(section: Mapping[str, object], above: str = "") -> Iterator[str]:
    """The dotted names of what a document says."""
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


CHOICES: dict[str, dict[str, object]] = {
    DEFAULT: {},
    "as published, but for its encoders": published(),
    "the library's defaults, frozen": defaults(),
    # ---- towers
    "neither born similar": {"model.items.start": "random", "model.users.start": "fresh"},
    "projections not born similar": {"model.items.start": "random"},
    "users not born similar": {"model.users.start": "fresh"},
    "bidirectional": {"model.users.attention": "bidirectional"},
    "gated users": {"model.users.kind": "gated"},
    "gated users, without times": {"model.users.kind": "gated", "model.users.gated.time_bias": False},
    "recurrent users": {"model.users.kind": "lru"},
    "MISSRec users": {"model.users.kind": "missrec"},
    "one layer": {"model.users.layers": 1},
    "four layers": {"model.users.layers": 4},
    "window 20": {"model.users.window": 20},
    "window 100": {"model.users.window": 100},
    "width 128": {"model.items.width": 128},
    "width 384": {"model.items.width": 384},
    "dropout 0.4": {"model.users.dropout": 0.4},
    "gated fusion": {"model.items.fusion": "gated"},
    "concatenation": {"model.items.fusion": "concat"},
    "modality dropout": {"model.items.modality_dropout": 0.2},
    "text alone": {"model.items.modalities": ["text"]},
    IDS: {},
    f"not shrunk, {IDS}": {"model.items.identity.shrinkage": 0.0},
    f"not shrunk, but dropped now and then, {IDS}": {
        "model.items.identity.shrinkage": 0.0,
        "model.items.modality_dropout": 0.2,
    },
    f"shrunk by 10, {IDS}": {"model.items.identity.shrinkage": 10.0},
    f"shrunk by 100, {IDS}": {"model.items.identity.shrinkage": 100.0},
    # ---- scores
    "inner product": {"model.scorer": "dot"},
    "temperature from 0.1": {"model.temperature": 0.1},
    "temperature from 0.02": {"model.temperature": 0.02},
    "scores of views": {"model.scorer": "views"},
    "scores of views, mean": {"model.scorer": "views", "model.fusing": "static"},
    "without counts": {"model.prior": "none"},
    "without counts, neither born similar": {
        "model.prior": "none",
        "model.items.start": "random",
        "model.users.start": "fresh",
    },
    "ids alone, with counts": {"model.items.modalities": ["identity"], "tune": "full"},
    "nothing given for rare items": {"training.rare_allowance": 0.0},
    # ---- interests
    "two interests": {"model.users.interests.count": 2},
    "three interests": {"model.users.interests.count": 3},
    "five interests": {"model.users.interests.count": 5},
    "four interests, adaptive": {"model.users.interests": {"count": 4, "adaptive": True}},
    "three interests, queries": {"model.users.interests": {"count": 3, "seeds": "queries", "rounds": 0}},
    "three interests, diversity": {"model.users.interests.count": 3, "objective.added.diversity": 1.0},
    f"three interests, {IDS}": {"model.users.interests.count": 3},
    "the state and two interests": {"model.users.interests": {"count": 3, "with_state": True}},
    "the state and two interests, handicapped": {
        "model.users.interests": {"count": 3, "with_state": True, "handicap": True},
    },
    # ---- objectives
    "in-batch candidates alone": {"objective.softmax.shared_negatives": 0},
    "in-batch candidates, and of eight batches before": {
        "objective.softmax.shared_negatives": 0,
        "objective.softmax.memory": 8,
    },
    "512 negatives": {"objective.softmax.shared_negatives": 512},
    "the whole catalog": {"objective.softmax.shared_negatives": 20_000},
    "no correction": {"objective.softmax.correction": "none"},
    "correction by popularity": {"objective.softmax.correction": "popularity", "objective.softmax.shared_negatives": 0},
    "calibrated cross-entropy": {"objective.kind": "gbce", "objective.gbce.shared_negatives": 2048},
    "hinge": HINGE,
    "hinge, three interests": {**HINGE, "model.users.interests.count": 3},
    "hinge, three interests, diversity": {
        **HINGE,
        "model.users.interests.count": 3,
        "objective.added.diversity": 10.0,
    },
    "taught at four widths": {"objective.matryoshka.sizes": WIDTHS},
    "nested, recurrent users": {
        "model.users.kind": "lru",
        "model.items.nested": WIDTHS,
        "objective.matryoshka.sizes": WIDTHS,
    },
    "Barlow Twins beside": {
        "model.users.mask_token": True,
        "objective.added.barlow": 0.004,
        "objective.barlow.width": 256,
    },
    "Barlow Twins before": {
        "model.users.mask_token": True,
        "stages": [{"objective": {"kind": "barlow"}, "tune": "frozen", "training": {"epochs": 4}}],
    },
    "MISSRec": {
        "model.scorer": "views",
        "model.users.kind": "missrec",
        "objective.added.seq_seq": 0.001,
        "objective.added.orthogonality": 0.0001,
    },
    # ---- learning
    "learning rate 0.001": {"training.learning_rate": 0.001},
    "learning rate 0.004": {"training.learning_rate": 0.004},
    "eight epochs": {"training.epochs": 8},
    "batches of 256": {"training.batch_size": 256},
    "bfloat16": {"training.precision": "bfloat16"},
    "top block learns": {"tune": "top:1", "objective.softmax.shared_negatives": 0},
    "frozen and then frozen": SECOND,
    "frozen and then top block": {**SECOND, "tune": "top:1"},
}
"""One row each: what is changed, by dotted name."""


def main() -> None:
    """Make what is not there yet, and print the table."""
    options = command_line().parse_args()
    lines, rows = heading("set", "choice", *HEADINGS, "against the recipe", "seeds"), []
    for name in options.sets:
        dataset = Dataset.open(options.out / "data" / name)
        found = {choice: _over_seeds(choice, dataset, options) for choice in options.choices or CHOICES}
        for choice, own in found.items():
            gain = own.against(found.get(DEFAULT))
            lines.append(f"| {' | '.join([name, choice, *own.cells, shown(gain), str(own.seeds)])} |")
            changes = {**_rate(options), **_changes(choice, dataset)}
            rows.append({"set": name, "choice": choice, "changes": changes, **own.to_json(found.get(DEFAULT))})
    asked = {name: getattr(options, name) for name in ("sets", "choices", "seeds", "part", "rate")}
    path = write_table(options.out / "ablations", rows, recipe=read_yaml(HERE / "real.yaml"), **asked)
    print("\n".join([*lines, "", f"as numbers: {path}"]))


def _over_seeds(choice: str, dataset: Dataset, options: argparse.Namespace) -> Measured:
    settings = recipe(dataset, 0, options, _changes(choice, dataset))
    counts_V = split_of(dataset.interactions, settings.split).train_counts(len(dataset.catalog))
    return Measured.of([_ranked(choice, seed, dataset, options) for seed in options.seeds], counts_V)


def _ranked(choice: str, seed: int, dataset: Dataset, options: argparse.Namespace) -> RankedTargets:
    settings = recipe(dataset, seed, options, {**_rate(options), **_changes(choice, dataset)})
    deciding = {"settings": settings, "data": dataset.fingerprint, "part": options.part}
    name = name_of(f"{choice} {seed} {options.part}", deciding)

    def make() -> RankedTargets:
        print(f"{dataset.name}: {choice}, seed {seed}", flush=True)
        model, _ = train([dataset], settings, console=Console(quiet=True))
        split = split_of(dataset.interactions, settings.split)
        return rank_targets(ModelRanker.of(model, dataset, split), split, getattr(split, options.part))

    return ranked(options.out / "ablations" / dataset.name / f"{name}.parquet", deciding, make)


def _rate(options: argparse.Namespace) -> dict[str, object]:
    """The learning rate that is asked for, if one is."""
    return {} if options.rate is None else {"training.learning_rate": options.rate}


def _changes(choice: str, dataset: Dataset) -> Mapping[str, object]:
    """What a choice changes for this dataset, by dotted name."""
    ids = {"model.items.modalities": [*_modalities(dataset), "identity"]} if choice.endswith(IDS) else {}
    return {**ids, **CHOICES[choice]}


def recipe(
    dataset: Dataset, seed: int, options: argparse.Namespace, changes: Mapping[str, object] | None = None
) -> TrainSettings:
    """``experiments/real.yaml`` for a dataset, with the options of :func:`parser_of`, and changes by dotted name."""
    document = read_yaml(HERE / "real.yaml")
    values = {
        "model.items.text.backbone": str(options.minilm),
        "model.items.custom_options": {"image": {"weights": str(options.squeezenet)}},
        "model.items.modalities": _modalities(dataset),
        "training.seed": seed,
        "training.tensorboard": False,
        "training.precision": "float32",
        **(changes or {}),
    }
    for name, value in values.items():
        section = document
        *path, last = name.split(".")
        for part in path:
            section = section.setdefault(part, {})
        section[last] = value
    return TrainSettings.from_mapping(document)


def _modalities(dataset: Dataset) -> list[str]:
    return [name for name in ("text", "image") if name in dataset.catalog.modalities]


def parser_of(description: str | None, *, sets: Sequence[str], seeds: Sequence[int]) -> argparse.ArgumentParser:
    """The options of every script that trains by :func:`recipe`, with these sets and seeds by default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where datasets are and results go")
    parser.add_argument("--minilm", type=Path, required=True, help="the folder of all-MiniLM-L6-v2")
    parser.add_argument("--squeezenet", type=Path, required=True, help="SqueezeNet 1.1 weights as safetensors")
    parser.add_argument("--sets", nargs="+", default=list(sets), help="datasets below OUT/data")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(seeds))
    return parser


def command_line() -> argparse.ArgumentParser:
    """What the script can be asked."""
    parser = parser_of(__doc__, sets=("office", "films"), seeds=(0, 1, 2))
    parser.add_argument("--part", choices=("validation", "test"), default="validation", help="the targets")
    parser.add_argument("--rate", type=float, help="the learning rate of all rows that say none; the recipe's by default")
    parser.add_argument("--choices", nargs="*", default=[], choices=list(CHOICES), metavar="CHOICE", help="all by default")
    return parser


if __name__ == "__main__":
    main()
